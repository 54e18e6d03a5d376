# SPDX-License-Identifier: MIT
"""The page of the example router: the router a real process, the browser a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys

from tests.browser import chromium
from tests.browser.chromium import Page
from tests.router_bench import Router

pytestmark = pytest.mark.skipif(
    not (chromium.DRIVER and chromium.BROWSER), reason="needs chromium and chromedriver: install both"
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    running = chromium.start(tmp_path_factory.mktemp("profile"))
    try:
        yield running
    finally:
        running.quit()


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    """A router, and a publisher that is logged in to it."""
    running = Router(tmp_path / "router")
    try:
        running.login("publisher")
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


@pytest.fixture
def page(driver: Chrome, router: Router) -> Iterator[Page]:
    shown = Page(driver, router.port)
    try:
        yield shown
        assert shown.complaints() == []
    finally:
        driver.get("about:blank")
        driver.delete_all_cookies()
        driver.execute_cdp_cmd("Network.clearBrowserCookies", {})


def restarted(router: Router, port: int) -> Router:
    """Start the router again on its files."""
    again = Router(router.data, port=port)
    again.cookie = router.cookie
    return again


def end(router: Router) -> None:
    router.process.kill()
    router.process.communicate()


def differs(page: Page, contents: list[str]) -> bool:
    return page.contents() != contents


def page_back(page: Page, newest_first: list[str]) -> None:
    """Page back to the beginning; at each step the list is to have no gap, and nothing twice."""
    shown: list[str] = []
    while shown != newest_first:
        page.until(partial(differs, page, shown), "older events should be shown")
        shown = page.contents()
        assert shown == newest_first[: len(shown)]
        page.find("older").click()
    page.until(lambda: not page.find("older").is_enabled(), "there is nothing older")


# --- who it is


def test_who_is_not_logged_in_is_asked_to_log_in_and_sees_no_event(page: Page, router: Router) -> None:
    router.publish("news", "secret")
    page.open()
    page.until_status("Not logged in")
    assert page.find("login").is_displayed()
    assert not page.find("feed").is_displayed()
    assert "secret" not in page.driver.page_source


def test_a_name_that_the_router_refuses_is_told_why(page: Page) -> None:
    page.open()
    page.until_status("Not logged in")
    page.find("name").send_keys("\u202e", "\n")  # not printable
    page.until(lambda: "1 to 100 printable characters" in page.find("problem").text, "the refusal should be shown")
    assert page.status == "Not logged in"


def test_a_login_lasts_until_the_logout(page: Page, router: Router) -> None:
    router.publish("news", "seen")
    page.log_in("alice")
    page.open()
    page.until_status("Live")
    assert page.find("authid").text == "alice"
    page.find("logout").click()
    page.until_status("Not logged in")
    assert page.rows() == []
    page.open()
    page.until_status("Not logged in")


# --- events


def test_an_event_that_another_client_publishes_is_shown_at_once(page: Page, router: Router) -> None:
    page.log_in("alice")
    assert page.find("none").is_displayed()
    router.publish("news.local", "hello", 2, loud=True)
    page.until_contents(['"hello" 2 loud=true'])
    ((_, topic, author, _),) = page.rows()
    assert (topic, author) == ("news.local", "publisher")
    assert not page.find("none").is_displayed()


def test_the_history_is_paged_back_to_its_beginning_while_events_come(page: Page, router: Router) -> None:
    for number in range(120):
        router.publish("news", number)
    page.log_in("alice")
    page.until_contents([str(number) for number in range(119, 69, -1)])
    router.publish("news", 120)
    page.until_contents([str(number) for number in range(120, 69, -1)])
    page.find("older").click()
    page.until_contents([str(number) for number in range(120, 19, -1)])
    page.find("older").click()
    page.until_contents([str(number) for number in range(120, -1, -1)])
    assert not page.find("older").is_enabled()


HELD = """
const answered = window.fetch;
const hold = () => new Promise((resolve) => { window.release = () => { delete window.release; resolve(); }; });
window.fetch = async (path, options) => {
  if (!path.startsWith("history")) return answered(path, options);
  await hold();
  const response = await answered(path, options);
  await hold();
  return response;
};
window.arrived = 0;
window.EventSource = class extends EventSource {
  constructor(path) {
    super(path);
    this.addEventListener("message", () => { window.arrived += 1; });
  }
};
"""
"""Has the history wait for ``release`` before and after it is read; counts what came live."""


def held(page: Page, arrived: int) -> bool:
    """Tell whether the history waits, and so many events came live."""
    found: bool = page.driver.execute_script(f"return 'release' in window && window.arrived === {arrived}")
    return found


def test_an_event_that_comes_while_the_history_is_read_is_there_once(page: Page, router: Router) -> None:
    page.log_in("alice")
    script = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HELD})
    try:
        page.open()
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    page.until(partial(held, page, 0), "the history should be asked for")
    for number in range(3):  # these come both ways
        router.publish("news", number)
    page.until(partial(held, page, 3), "they should come live")
    page.driver.execute_script("release()")
    page.until(partial(held, page, 3), "the history should have been read")
    router.publish("news", 3)  # this one comes live only
    page.until(partial(held, page, 4), "it should come live")
    assert page.rows() == []
    page.driver.execute_script("release()")
    page.until_status("Live")
    router.publish("news", 4)
    page.until_contents(["4", "3", "2", "1", "0"])


def test_more_events_than_there_is_room_for_are_found_again_as_older_ones(page: Page, router: Router) -> None:
    page.log_in("alice")
    for number in range(1005):
        router.publish("news", number)
    newest_first = [str(number) for number in range(1004, -1, -1)]
    page.until_contents(newest_first[:1000])
    page.find("older").click()
    page.until_contents(newest_first)


def test_a_pattern_chooses_the_events(page: Page, router: Router) -> None:
    for topic in ("news.a.x", "news.b.x", "other"):
        router.publish(topic, topic)
    page.log_in("alice")
    for pattern, match, expected in (
        ("news.", "prefix", ["news.b.x", "news.a.x"]),
        ("news.a.x", "exact", ["news.a.x"]),
        ("news..x", "wildcard", ["news.b.x", "news.a.x"]),
        ("", "exact", ["other", "news.b.x", "news.a.x"]),
    ):
        page.find("topic").clear()
        page.find("topic").send_keys(pattern)
        page.find("match").send_keys(match)
        page.find("topic").send_keys("\n")
        page.until_contents([f'"{topic}"' for topic in expected])
    router.publish("other", "live")
    page.until(lambda: page.contents()[:1] == ['"live"'], "what matches comes live")


def test_it_is_usable_by_keyboard_alone(page: Page, router: Router) -> None:
    for number in range(60):
        router.publish("news", number)
    page.open()
    page.until_status("Not logged in")
    page.press("alice", Keys.ENTER)  # the name has the focus
    page.until_status("Live")
    page.press(Keys.TAB)  # from the topic to the match,
    page.press(Keys.TAB)  # to "Show",
    page.press(Keys.TAB)  # to "Older"
    page.press(Keys.ENTER)
    page.until_contents([str(number) for number in range(59, -1, -1)])


# --- restarts of the router


@pytest.mark.parametrize("missed", [0, 1, 120, 1100], ids=["nothing", "a part of a page", "pages", "all that is kept"])
def test_after_a_restart_each_event_is_there_once(page: Page, router: Router, missed: int) -> None:
    numbers = count()
    for _ in range(70):
        router.publish("news", next(numbers))
    page.log_in("alice")
    router.publish("news", next(numbers))
    page.until_contents([str(number) for number in range(70, 19, -1)])
    router.stop()
    page.until_status("Not connected, trying again")
    elsewhere = restarted(router, port=0)  # where the page does not see it
    try:
        for _ in range(missed):
            elsewhere.publish("news", next(numbers))
        elsewhere.stop()
    finally:
        end(elsewhere)
    again = restarted(router, port=router.port)
    try:
        for _ in range(20):  # before the page has connected again, or after it
            again.publish("news", next(numbers))
        page.until_status("Live")
        again.publish("news", last := next(numbers))
        newest_first = [str(number) for number in range(last, -1, -1)]
        page.until(lambda: page.contents()[:1] == newest_first[:1], "the last one should be shown")
        page_back(page, newest_first)
        assert page.find("authid").text == "alice"
    finally:
        end(again)


def test_who_was_logged_out_while_the_router_was_down_is_asked_again(page: Page, router: Router) -> None:
    page.log_in("alice")
    router.publish("news", 1)
    page.until_contents(["1"])
    router.stop()
    page.until_status("Not connected, trying again")
    page.driver.delete_all_cookies()
    again = restarted(router, port=router.port)
    try:
        page.until_status("Not logged in")
        assert page.rows() == []
    finally:
        end(again)


# --- hostile events

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def test_markup_in_an_event_is_shown_as_text(page: Page, router: Router) -> None:
    router.publish("<b>topic</b>", HOSTILE)  # comes by the history
    router.login(HOSTILE)
    page.log_in(HOSTILE[:100])
    router.publish("live", **{HOSTILE: {"__proto__": HOSTILE}})  # comes live
    page.until(lambda: len(page.rows()) == 2, "both should be shown")
    live, stored = page.rows()
    assert stored[1] == "<b>topic</b>"
    assert HOSTILE.replace('"', '\\"') in stored[3]
    assert live[2] == HOSTILE
    assert live[3].startswith(HOSTILE + "=")
    assert page.find("authid").text == HOSTILE[:100]
    assert page.driver.execute_script("return document.querySelectorAll('img, main b, body script').length") == 0
    assert page.driver.title == "Events"


def test_the_browser_itself_refuses_to_make_markup_of_text(page: Page) -> None:
    page.log_in("alice")
    refused = page.driver.execute_script(
        "try { document.body.innerHTML = '<b>x</b>' } catch (error) { return error.name }"
    )
    assert refused == "TypeError"
    assert page.status == "Live"
    assert any("TrustedHTML" in message for message in page.complaints())  # which forgets them
