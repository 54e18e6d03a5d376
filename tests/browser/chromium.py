# SPDX-License-Identifier: MIT
"""A headless Chromium that shows the router's page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE = 30  # seconds; only a page that hangs gets there

_ROWS = "return [...document.querySelectorAll('#events tr')].map(row => [...row.cells].map(cell => cell.textContent))"


def start(profile: Path) -> Chrome:
    options = ChromeOptions()
    options.binary_location = BROWSER or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",  # which does not work for root
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=ChromeService(DRIVER))


class Page:
    """The page in the browser, without a cookie at first."""

    def __init__(self, driver: Chrome, port: int) -> None:
        self.driver = driver
        self.url = f"http://127.0.0.1:{port}/"

    def open(self) -> None:
        self.driver.get(self.url)

    def find(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def until(self, condition: Callable[[], Any], what: str) -> None:
        wait = WebDriverWait(self.driver, PATIENCE, 0.05, ignored_exceptions=[StaleElementReferenceException])
        wait.until(lambda _: condition(), f"{what}: {self.status!r}, {self.rows()[:5]}")

    @property
    def status(self) -> str:
        return self.find("status").text

    def until_status(self, text: str) -> None:
        self.until(lambda: self.status == text, f"the status should be {text!r}")

    def rows(self) -> list[list[str]]:
        """Return time, topic, publisher and content of the events shown."""
        rows: list[list[str]] = self.driver.execute_script(_ROWS)
        return rows

    def contents(self) -> list[str]:
        return [row[3] for row in self.rows()]

    def until_contents(self, expected: list[str]) -> None:
        self.until(lambda: self.contents() == expected, f"the events should be {expected[:5]}…")

    def press(self, *keys: str) -> None:
        """Send keys to what has the focus, as a keyboard does."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def log_in(self, name: str) -> None:
        self.open()
        self.until_status("Not logged in")
        self.find("name").send_keys(name, "\n")
        self.until_status("Live")

    def complaints(self) -> list[str]:
        """Return what the console has to say but for requests that were not answered, or were refused."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["source"] != "network"]
