# SPDX-License-Identifier: MIT
"""The example router as a real process on a real port, and the comparison that its demonstration relies on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.router.comparison import differences
from examples.router.measure import Durations, Heartbeat, percentile
from examples.router.parameters import status_of
from tests.router_bench import PATIENCE, ROOT, Router, start
from zlmdb import errors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    running = Router(tmp_path_factory.mktemp("router"), **{"subscriber-queue": 3})
    try:
        yield running
        running.stop()
    finally:
        running.process.kill()
        running.process.communicate()


@pytest.fixture
def alice(router: Router) -> Router:
    router.cookie = ""
    router.login("alice")
    return router


# --- who it is


def test_a_login_gives_a_cookie_that_tells_who_it_is(router: Router) -> None:
    router.cookie = ""
    assert router.ask("GET", "/whoami")[0] == 401
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert router.ask("POST", "/login", "authid=bob%20b", **form) == (200, {"authid": "bob b"})
    answer = router.get("/whoami")
    assert (answer["authid"], answer["authrole"]) == ("bob b", "user")


def test_a_new_login_replaces_the_cookie_of_the_former_one(alice: Router) -> None:
    former = alice.cookie
    alice.login("carol")
    assert alice.cookie != former
    assert alice.ask("GET", "/whoami", cookie=former)[0] == 401
    assert alice.get("/whoami")["authid"] == "carol"


def test_a_logout_ends_it(alice: Router) -> None:
    cookie = alice.cookie
    assert alice.ask("POST", "/logout") == (200, {"logged_out": True})
    assert alice.cookie == "cbtid="
    for hostile in (cookie, "cbtid=", "cbtid=" + "x" * 5000, "cbtid=\xff;;==", ""):
        status, answer = alice.ask("GET", "/whoami", cookie=hostile)
        assert (status, answer) == (401, {"error": "no valid cookie: POST /login first"})
    assert alice.ask("POST", "/publish", {"topic": "a"}, cookie=cookie)[0] == 401


# --- events


def test_pages_of_the_history_give_each_event_once(alice: Router) -> None:
    sent = [alice.publish(f"paged.{number % 3}", number, text="ü")["publication"] for number in range(10)]
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        page = alice.get("/history", topic="paged.", match="prefix", limit=3, after=token)
        assert len(page["events"]) <= 3
        found += page["events"]
        token = page["token"]
        if token is None:
            break
    assert [event["publication"] for event in found] == sent
    assert [(event["args"], event["kwargs"]) for event in found] == [([n], {"text": "ü"}) for n in range(10)]
    assert {event["publisher_authid"] for event in found} == {"alice"}
    exact = alice.get("/history", topic="paged.1")["events"]
    assert [event["publication"] for event in exact] == sent[1::3]
    first = alice.get("/history", topic="paged.", match="prefix", limit=6, order="newest")
    then = alice.get("/history", topic="paged.", match="prefix", limit=6, order="newest", after=first["token"])
    assert [event["publication"] for event in first["events"] + then["events"]] == sent[::-1]


def test_a_subscriber_gets_what_matches_and_nothing_else(alice: Router) -> None:
    connection = alice.connect()
    connection.request("GET", "/subscribe?topic=live.&match=prefix", headers={"Cookie": alice.cookie})
    stream = connection.getresponse()
    assert stream.getheader("Content-Type") == "text/event-stream; charset=utf-8"
    assert stream.readline() == b": subscribed\n"
    alice.publish("other.a", 1)
    published = alice.publish("live.a", 2, key=None)
    lines = [stream.readline() for _ in range(3)]
    assert lines[:2] == [b"\n", f"id: {published['publication']}\n".encode()]
    event = json.loads(lines[2].removeprefix(b"data: "))
    assert event == {**published, "topic": "live.a", "args": [2], "kwargs": {"key": None}, "authid": "alice"}
    connection.close()


def test_a_subscriber_that_does_not_read_is_dropped_and_the_router_goes_on(alice: Router) -> None:
    before = alice.get("/stats")["live"]["dropped"]
    with socket.create_connection(("127.0.0.1", alice.port), timeout=PATIENCE) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET /subscribe?topic=big HTTP/1.1\r\nHost: x\r\nCookie: {alice.cookie}\r\n\r\n"
        slow.sendall(request.encode())
        assert slow.recv(100)
        for _ in range(200):
            alice.publish("big", "x" * 200_000)
            if alice.get("/stats")["live"]["dropped"] > before:
                break
    assert alice.get("/stats")["live"]["dropped"] == before + 1


def test_the_statistics_tell_latency_lateness_and_what_the_stores_did(alice: Router) -> None:
    alice.publish("counted")
    statistics = alice.get("/stats")
    assert statistics["events_published"] == statistics["realm"]["written"] == statistics["write_latency"]["count"] > 0
    for measured in ("write_latency", "loop_lateness"):
        found = statistics[measured]
        assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert statistics["stores"] == {"cookiestore": "started", "realmstore": "started"}
    assert statistics["cookies"]["created"] > 0


def test_a_page_of_the_history_is_bounded_in_bytes(alice: Router) -> None:
    sent = [alice.publish("long", "x" * 100_000)["publication"] for _ in range(5)]
    first = alice.get("/history", topic="long", limit=1000)
    then = alice.get("/history", topic="long", limit=1000, after=first["token"])
    assert [len(page["events"]) for page in (first, then)] == [3, 2]
    assert [event["publication"] for event in first["events"] + then["events"]] == sent
    assert then["token"] is None


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")],
)
def test_a_browser_is_to_load_nothing_from_elsewhere_and_to_make_no_markup_of_text(
    router: Router, path: str, content_type: str
) -> None:
    connection = router.connect()
    connection.request("GET", path)
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    body = response.read()
    connection.close()
    assert (response.status, headers["content-type"]) == (200, f"{content_type}; charset=utf-8")
    assert headers["x-content-type-options"] == "nosniff"
    policy = [directive.strip() for directive in headers["content-security-policy"].split(";")]
    assert {"default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'"} <= set(policy)
    assert not any("unsafe" in directive for directive in policy)
    assert b"://" not in body
    assert b"style=" not in body


# --- bad input


def nested(levels: int) -> str:
    return '{"topic": "a", "args": ' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize(
    ("status", "method", "path", "body", "message"),
    [
        (404, "GET", "/nothing", None, "Not Found"),
        (405, "GET", "/publish", None, "Method Not Allowed"),
        (400, "POST", "/login", "{}", "authid: expected"),
        (400, "POST", "/login", '{"authid": "a\\nb"}', "authid: expected"),
        (400, "POST", "/login", '{"authid": "' + "a" * 101 + '"}', "authid: expected"),
        (400, "POST", "/publish", "", "the body is not JSON"),
        (400, "POST", "/publish", b"\xff\xfe", "the body is not JSON"),
        (400, "POST", "/publish", "[]", "not a JSON object, but list"),
        (400, "POST", "/publish", '{"topic": "a", "args": [NaN]}', "NaN is not JSON"),
        (400, "POST", "/publish", '{"topic": "a", "kwargs": {"x": 1e999}}', "1e999 is larger than any number"),
        (400, "POST", "/publish", '{"topic": "a", "args": [[-1e999]]}', "-1e999 is larger than any number"),
        (400, "POST", "/publish", nested(60), "nested deeper"),
        (400, "POST", "/publish", nested(100_000), "the body is not JSON"),
        (400, "POST", "/publish", '{"topic": "a", "args": ["\\ud800"]}', ""),
        (400, "POST", "/publish", '{"topic": "a", "arg": []}', "unknown keys: arg"),
        (400, "POST", "/publish", '{"topic": "a", "args": {}}', "args: expected a list"),
        (400, "POST", "/publish", '{"topic": "a", "kwargs": []}', "kwargs: expected an object"),
        (400, "POST", "/publish", "{}", "topic: expected"),
        (400, "POST", "/publish", '{"topic": "a..b"}', "topic: expected"),
        (400, "POST", "/publish", '{"topic": "' + "a" * 201 + '"}', "topic: expected"),
        (413, "POST", "/publish", "x" * 300_000, "longer than 262144 bytes"),
        (400, "GET", "/history?limit=0", None, "limit: expected a number from 1 to 1000, got 0"),
        (400, "GET", "/history?limit=x", None, "limit: expected a number"),
        (400, "GET", "/history?order=some", None, "order: expected oldest or newest first, got some"),
        (400, "GET", "/history?match=some", None, "match: expected one of exact, prefix, wildcard, got some"),
        (400, "GET", "/history?after=x", None, "not a token"),
        (400, "GET", "/history?topic=%ff", None, "topic: expected UTF-8"),
        (400, "GET", "/subscribe?match=some", None, "match: expected"),
    ],
)
def test_bad_input_is_answered_with_what_is_wrong(
    alice: Router, status: int, method: str, path: str, body: str | bytes | None, message: str
) -> None:
    found, answer = alice.ask(method, path, body)
    assert (found, list(answer)) == (status, ["error"])
    assert message in answer["error"]
    assert alice.get("/whoami")["authid"] == "alice"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Backpressure("full"), 503),
        (errors.DatabaseClosed("closed"), 503),
        (errors.MapFull("full"), 503),
        (errors.DiskFull("full"), 503),
        (errors.WrongValue("wrong"), 400),
        (errors.ConfigError("wrong"), 400),
        (errors.StorageFailure("broken"), 500),
        (KeyError("ours"), 500),
    ],
)
def test_the_status_says_whose_fault_an_error_of_a_store_is(error: Exception, status: int) -> None:
    assert status_of(error) == status


# --- life


def test_cookies_and_events_outlive_a_sigterm(tmp_path: Path) -> None:
    first = Router(tmp_path)
    try:
        first.login("alice")
        published = first.publish("kept", 1, of={"some": ["depth"]})
        statistics = first.stop()
    finally:
        first.process.kill()
    assert statistics["events_published"] == 1
    assert statistics["stores"] == {"cookiestore": "stopped", "realmstore": "stopped"}
    then = Router(tmp_path)
    try:
        then.cookie = first.cookie
        assert then.get("/whoami")["authid"] == "alice"
        (event,) = then.get("/history", topic="kept")["events"]
        then.stop()
    finally:
        then.process.kill()
    assert {**published, "args": [1], "kwargs": {"of": {"some": ["depth"]}}}.items() <= event.items()


def test_the_demonstration_runs_without_a_terminal_and_leaves_nothing_running(tmp_path: Path) -> None:
    environment = {**os.environ, "CI": "true", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "examples.router.demo", "--seconds", "1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing that was acknowledged is lost" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_publisher_without_a_router_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    process = start("--url", url, "--log", str(tmp_path / "log"), module="examples.router.publisher")
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert said.startswith(f"no router answers at {url}: ")
    assert "Traceback" not in said


# --- the comparison


def event(publication: int, topic: str = "host.cpu", **kwargs: Any) -> dict[str, Any]:
    return {"publication": publication, "topic": topic, "kwargs": {"sequence": publication, **kwargs}}


SENT = [event(1, percent=[0.5]), event(2), event(3)]


def test_the_comparison_accepts_what_is_there_once_and_what_nobody_was_told_of() -> None:
    assert differences(SENT, reversed(SENT)) == []
    assert differences(SENT, [*SENT, event(4)]) == []


@pytest.mark.parametrize(
    ("history", "problem"),
    [
        (SENT[:2], "publication 3 to host.cpu is missing"),
        ([*SENT, SENT[1]], "publication 2 to host.cpu is there 2 times"),
        ([*SENT, {**SENT[1], "publication": 9}], "what publication 2 says is there 2 times"),
        ([*SENT[:2], event(3, "host.memory")], "publication 3 is another than it was"),
        ([event(1, percent=[0.6]), *SENT[1:]], "publication 1 is another than it was"),
        ([*SENT[:2], {**SENT[2], "kwargs": {}}], "publication 3 is another than it was"),
    ],
)
def test_the_comparison_notices_a_missing_a_doubled_and_an_altered_event(
    history: list[dict[str, Any]], problem: str
) -> None:
    (found,) = differences(SENT, history)
    assert found.startswith(problem)


# --- measuring


def test_percentiles_are_of_what_was_measured() -> None:
    assert percentile([], 0.99) == 0
    assert percentile([1.0], 0.5) == 1
    assert percentile([float(number) for number in range(1, 101)], 0.99) == 99
    durations = Durations()
    for milliseconds in (3, 1, 2):
        durations.add(milliseconds / 1000)
    assert durations.report() == {"count": 3, "p50_ms": 2, "p99_ms": 3, "max_ms": 3}


def test_the_heartbeat_measures_how_late_the_loop_is() -> None:
    from twisted.internet.task import Clock

    clock = Clock()
    heartbeat = Heartbeat(clock, clock.seconds)
    heartbeat.start()
    clock.advance(0.001)
    clock.advance(0.5)
    assert heartbeat.lateness.report()["count"] == 2
    assert heartbeat.lateness.report()["max_ms"] == pytest.approx(499)
    heartbeat.stop()
    assert not clock.getDelayedCalls()
