# SPDX-License-Identifier: MIT
"""The login example as real processes on real ports."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from examples.login import passwords
from tests.cookie_stores import exact_indexes
from zlmdb_cookiestore import BlockingCookieStore

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PATIENCE = 60  # seconds; only a server that hangs gets there
PASSWORD = "correct horse ü"


class Server:
    """The running application."""

    def __init__(self, data: Path, *options: str) -> None:
        command = [sys.executable, "-m", "examples.login", "--data", str(data), "run", "--port", "0", *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready.startswith("ready http://127.0.0.1:"), self.process.communicate()[1]
        self.port = int(ready.rsplit(":", 1)[1])

    def stop(self) -> str:
        """End it as a service manager does; return what it logged."""
        self.process.send_signal(signal.SIGTERM)
        _, logged = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, logged
        return logged


class Visitor:
    """A browser that follows forms."""

    def __init__(self, cookie: str = "") -> None:
        self.cookie = cookie
        self.page = ""
        self.headers: dict[str, str] = {}

    def ask(self, server: Server, method: str, path: str, form: dict[str, str] | str | None = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            **({"Cookie": self.cookie} if self.cookie else {}),
        }
        connection.request(method, path, urlencode(form) if isinstance(form, dict) else form, headers)
        response = connection.getresponse()
        self.page, self.headers = response.read().decode(), dict(response.getheaders())
        connection.close()
        if set_cookie := self.headers.get("Set-Cookie"):
            self.cookie = "" if "Max-Age=0" in set_cookie else set_cookie.partition(";")[0]
        return response.status

    def visit(self, server: Server) -> str:
        assert self.ask(server, "GET", "/") == 200
        return self.page

    def send(self, server: Server, action: str, **form: str) -> int:
        token = re.search(r'name="token" value="([^"]+)"', self.page)
        assert token is not None, self.page
        return self.ask(server, "POST", action, {"token": token[1], **form})

    def login(self, server: Server, name: str = "alice", password: str = PASSWORD) -> int:
        self.visit(server)
        return self.send(server, "/login", name=name, password=password)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("alice", "bob"):
        passwords.add(tmp_path / "users", name, PASSWORD)
    return tmp_path


def add(data: Path, name: str, password: str) -> int:
    command = [sys.executable, "-m", "examples.login", "--data", str(data), "add", name]
    return subprocess.run(command, cwd=ROOT, input=password, text=True, check=False, capture_output=True).returncode


@pytest.fixture
def start(data: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*options: str) -> Server:
        servers.append(Server(data, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()


def test_a_login_survives_a_restart_and_a_logout_does_too(start: Callable[..., Server], data: Path) -> None:
    server, alice = start(), Visitor()
    assert alice.login(server) == 303
    assert "Hello alice" in alice.visit(server)
    assert server.stop() == ""

    server = start()
    assert "Visits: 2." in alice.visit(server)
    cookie = alice.cookie
    assert alice.send(server, "/logout") == 303
    assert alice.cookie == ""
    server.process.kill()  # what was answered is on the disk

    server = start()
    assert "Log in" in Visitor(cookie).visit(server)
    server.stop()
    exact_indexes(data / "sessions")


def test_logging_out_everywhere_reaches_other_browsers_and_other_servers(start: Callable[..., Server]) -> None:
    here, there = start(), start()  # two processes, one store
    phone, laptop, bob = Visitor(), Visitor(), Visitor()
    for visitor, server in ((phone, here), (laptop, there)):
        assert visitor.login(server) == 303
    bob.login(there, "bob")
    assert phone.visit(there).count("<li>") == 2
    assert phone.send(here, "/logout-everywhere") == 303
    assert "Hello" not in laptop.visit(there)
    assert "Hello bob" in bob.visit(here)
    here.stop()
    there.stop()


def test_a_wrong_login_tells_nothing_and_is_not_logged(start: Callable[..., Server]) -> None:
    server, mallory = start(), Visitor()
    pages = set()
    for name, password in (("alice", "wrong horse"), ("nobody", "wrong horse"), ("alice", "x"), ("", "")):
        assert mallory.login(server, name, password) == 401
        pages.add(re.sub(r'value="[^"]+"', "", mallory.page))
    assert len(pages) == 1
    assert server.stop() == ""


def test_a_forged_form_is_refused(start: Callable[..., Server]) -> None:
    server, alice, mallory = start(), Visitor(), Visitor()
    alice.login(server)
    alice.visit(server)
    mallory.visit(server)
    page, alice.page = alice.page, mallory.page
    assert alice.send(server, "/logout") == 403  # with the token of another session
    for form in ({}, {"token": ""}, {"token": "\udcff"}, "token=%ff", "&&&", "%"):
        body = form if isinstance(form, str) else urlencode(form, errors="surrogateescape")
        assert alice.ask(server, "POST", "/logout", body) == 403
    assert "Hello alice" in alice.visit(server)
    assert Visitor().ask(server, "POST", "/login", {"name": "alice", "password": PASSWORD}) == 403
    alice.page = page
    assert alice.send(server, "/logout") == 303
    server.stop()


def test_a_login_changes_cookie_and_token(start: Callable[..., Server]) -> None:
    server, alice = start(), Visitor()
    alice.visit(server)
    planted, before = alice.cookie, alice.page
    assert alice.login(server) == 303
    assert alice.cookie != planted
    alice.page = before
    assert alice.send(server, "/logout") == 403
    assert "Log in" in Visitor(planted).visit(server)
    server.stop()


def test_the_page_is_sent_with_safe_headers(start: Callable[..., Server], data: Path) -> None:
    server, visitor = start("--behind-tls"), Visitor()
    visitor.visit(server)
    assert re.fullmatch(
        r"login=[\w-]{24}; Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=Lax", visitor.headers["Set-Cookie"]
    )
    assert visitor.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in visitor.headers["Content-Security-Policy"]
    assert visitor.cookie.partition("=")[2] not in visitor.page
    assert visitor.ask(server, "GET", "/style.css") == 200
    server.stop()


def test_what_nobody_should_send_is_answered(start: Callable[..., Server], data: Path) -> None:
    server = start()
    visitor = Visitor()
    visitor.visit(server)
    visitor.cookie, good = "login-insecure=" + "x" * 9000, visitor.cookie
    assert visitor.ask(server, "GET", "/") == 200
    for cookie in ("login-insecure=\xff", ";;=", f"{good}; login-insecure=aaaaaaaaaaaa"):
        assert Visitor(cookie).ask(server, "GET", "/") == 200
    visitor.cookie = good
    assert visitor.ask(server, "POST", "/login", "name=" + "x" * 100_000) == 413
    assert visitor.ask(server, "GET", "/nowhere") == 404
    assert visitor.ask(server, "PUT", "/login") == 405
    visitor.visit(server)
    assert visitor.send(server, "/login", name="<script>" * 20, password="<script>" * 20) == 401
    assert "<script>" not in visitor.page
    assert server.stop() == ""


def test_a_session_ends_when_its_user_is_logged_out_by_an_administrator(
    start: Callable[..., Server], data: Path
) -> None:
    server, alice = start(), Visitor()
    alice.login(server)
    with BlockingCookieStore({"path": str(data / "sessions")}) as store:  # as an administrator's script has it
        assert store.revoke_all("alice") == 1
    assert "Log in" in alice.visit(server)
    server.stop()


def test_users_are_added_with_a_password_of_some_length(start: Callable[..., Server], data: Path) -> None:
    for name, password in (("carol", "short"), ("", PASSWORD)):
        assert add(data, name, password) == 2
    assert add(data, "carol", PASSWORD) == 0
    server = start()
    assert Visitor().login(server, "carol") == 303
    server.stop()


def test_a_port_that_is_taken_is_said(start: Callable[..., Server], data: Path) -> None:
    server = start()
    command = [sys.executable, "-m", "examples.login", "--data", str(data), "run", "--port", str(server.port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert "failed: " in done.stderr
    assert "Traceback" not in done.stderr
    server.stop()
