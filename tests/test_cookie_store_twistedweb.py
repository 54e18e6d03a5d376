# SPDX-License-Identifier: MIT
"""Sessions of twisted.web in the cookie store, over HTTP on loopback, with restarts of store and server."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.components import registerAdapter
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import Interface, implementer

from tests.cookie_stores import Browser, exact_indexes, serving, started
from tests.reactor_bench import run
from zlmdb.errors import ConfigError
from zlmdb_cookiestore import BlockingCookieStore, CookieStore
from zlmdb_cookiestore.twistedweb import CookieSession, CookieSite, SessionRequest

Serve = Callable[..., Any]


class ICounter(Interface):
    """A component of a session."""


@implementer(ICounter)
class Counter:
    def __init__(self, session: CookieSession) -> None:
        self.number = 0


registerAdapter(Counter, CookieSession, ICounter)


class Application(Resource):
    """Each path is a method of its name; what it returns, or what its coroutine does, is sent as JSON."""

    isLeaf = True

    def render(self, request: SessionRequest) -> Any:
        answer = getattr(self, request.path.decode().strip("/"))(request)
        if not isinstance(answer, Coroutine):
            return json.dumps(answer).encode()
        done = Deferred.fromCoroutine(answer)
        done.addCallback(lambda value: (request.write(json.dumps(value).encode()), request.finish()))
        done.addErrback(request.processingFailed)
        return NOT_DONE_YET

    def whoami(self, request: SessionRequest) -> Any:
        session = request.getSession()
        return {"authid": session.authid, "data": session.data}

    def peek(self, request: SessionRequest) -> Any:
        return request.find_session() is not None

    def insecure(self, request: SessionRequest) -> Any:
        return request.getSession(forceNotSecure=True).authid

    def count(self, request: SessionRequest) -> Any:
        counter = request.getSession(ICounter)
        counter.number += 1
        return counter.number

    def put(self, request: SessionRequest) -> Any:
        name, value = request.args[b"item"][0].decode().split("=")
        request.getSession().update_data({name: value})
        return "put"

    async def login(self, request: SessionRequest) -> Any:
        issued = await request.sign_in(request.args[b"user"][0].decode(), "user")
        return issued.name

    async def logout(self, request: SessionRequest) -> Any:
        return await request.sign_out(everywhere=b"all" in request.args)

    def expire(self, request: SessionRequest) -> Any:
        request.getSession().expire()
        return "expired"

    def csrf(self, request: SessionRequest) -> Any:
        session = request.getSession()
        return [session.csrf_token(), session.is_csrf_token(request.args.get(b"token", [b""])[0])]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Run a test against a server on the store of this test; again, after a restart, when called again."""

    def serve(
        test: Callable[[Browser, CookieStore, Clock], Any], *, at: float = 0, tls: bool = True, **options: Any
    ) -> Any:
        async def main(reactor: Any) -> Any:
            clock = Clock()
            clock.advance(at)
            async with started(tmp_path / "cookies", reactor, clock, **options) as store:
                site = CookieSite(Application(), store, behind_tls=tls)
                async with serving(reactor, site) as browser:
                    try:
                        return await test(browser, store, clock)
                    finally:
                        site.stopFactory()

        return run(main)

    return serve


# --- restarts


def test_a_session_survives_a_restart_of_the_server(serve: Serve, tmp_path: Path) -> None:
    async def first(browser: Browser, store: CookieStore, clock: Clock) -> dict[str, str]:
        await browser.get("/whoami")
        await browser.post("/put?item=theme%3Ddark")
        assert await browser.post("/login?user=alice") == (200, '"cbtid"')
        return browser.cookies

    async def then(browser: Browser, store: CookieStore, clock: Clock) -> None:
        browser.cookies = dict(cookies)
        assert await browser.get("/whoami") == (200, '{"authid": "alice", "data": {"theme": "dark"}}')
        assert browser.set_cookies == []

    async def late(browser: Browser, store: CookieStore, clock: Clock) -> None:
        browser.cookies = dict(cookies)
        assert await browser.get("/peek") == (200, "false")

    cookies = serve(first)
    serve(then, at=604_799)
    serve(late, at=604_800)
    assert exact_indexes(tmp_path / "cookies") == 1


def test_a_session_that_was_logged_out_stays_so_after_a_restart(serve: Serve) -> None:
    async def first(browser: Browser, store: CookieStore, clock: Clock) -> dict[str, str]:
        await browser.post("/login?user=alice")
        cookies = dict(browser.cookies)
        assert await browser.post("/logout") == (200, "1")
        assert browser.cookies == {}
        assert await browser.post("/logout", cookie=f"cbtid={cookies['cbtid']}".encode()) == (200, "0")
        return cookies

    async def then(browser: Browser, store: CookieStore, clock: Clock) -> None:
        browser.cookies = dict(cookies)
        assert await browser.get("/peek") == (200, "false")
        assert json.loads((await browser.get("/whoami"))[1])["authid"] is None

    cookies = serve(first)
    serve(then)


# --- cookies


def test_a_session_cookie_has_all_attributes_and_is_sent_once(serve: Serve) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        await browser.get("/whoami")
        value = browser.cookies["__Host-sid"]
        assert browser.set_cookies == [f"__Host-sid={value}; Max-Age=604800; Path=/; Secure; HttpOnly; SameSite=Strict"]
        await browser.get("/whoami")
        assert browser.set_cookies == []
        assert store.counters().created == 1

    serve(test, **{"cookie-name": "__Host-sid", "same-site": "Strict"})


def test_a_login_changes_the_cookie_and_the_form_token(serve: Serve) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        token, _ = json.loads((await browser.get("/csrf"))[1])
        assert json.loads((await browser.get(f"/csrf?token={token}"))[1]) == [token, True]
        before = browser.cookies["cbtid"]
        await browser.get("/count")
        await browser.post("/login?user=alice")
        assert len(browser.set_cookies) == 1
        assert browser.cookies["cbtid"] != before
        assert json.loads((await browser.get(f"/csrf?token={token}"))[1])[1] is False
        assert await browser.get("/count") == (200, "2")  # components stay with the session
        assert await browser.get("/peek", cookie=f"cbtid={before}".encode()) == (200, "false")

    serve(test)


def test_a_session_without_tls_is_never_taken_for_one_with_it(serve: Serve) -> None:
    async def plain(browser: Browser, store: CookieStore, clock: Clock) -> dict[str, str]:
        assert await browser.post("/login?user=mallory") == (200, '"cbtid-insecure"')
        assert "Secure" not in browser.set_cookies[0]
        return browser.cookies

    async def secure(browser: Browser, store: CookieStore, clock: Clock) -> None:
        value = cookies["cbtid-insecure"]
        assert await browser.get("/peek", cookie=f"cbtid={value}".encode()) == (200, "false")
        assert await browser.get("/insecure", cookie=f"cbtid-insecure={value}".encode()) == (200, '"mallory"')
        assert await browser.get("/peek", cookie=f"cbtid-insecure={value}".encode()) == (200, "false")

    cookies = serve(plain, tls=False)
    serve(secure)


@pytest.mark.parametrize(
    "cookie",
    [b"cbtid", b"cbtid=", b"cbtid=" + b"\xff" * 30, b"cbtid=" + b"x" * 9000, b";;=;\x80", b'cbtid="' + b"a" * 24],
)
def test_a_hostile_cookie_is_none(serve: Serve, cookie: bytes) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        assert await browser.get("/peek", cookie=cookie) == (200, "false")
        assert (await browser.get("/whoami", cookie=cookie))[0] == 200

    serve(test)


# --- lifetimes and revocation


def test_a_sliding_session_lives_as_long_as_it_is_used(serve: Serve) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        await browser.post("/login?user=alice")
        for _ in range(5):
            clock.advance(90)
            assert json.loads((await browser.get("/whoami"))[1])["authid"] == "alice"
            assert "Max-Age=100;" in browser.set_cookies[0]
        clock.advance(30)
        await browser.get("/whoami")
        assert browser.set_cookies == []  # too little to gain
        clock.advance(70)
        assert await browser.get("/peek") == (200, "false")

    serve(test, **{"max-age": 100, "sliding": True, "sweep-interval": None})


def test_what_another_process_revokes_is_gone_here_at_the_next_request(serve: Serve, tmp_path: Path) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        await browser.post("/login?user=alice")
        with BlockingCookieStore({"path": str(tmp_path / "cookies"), "sync": False}) as other:  # as a process has it
            assert other.revoke(browser.cookies["cbtid"])
        assert await browser.get("/peek") == (200, "false")
        assert json.loads((await browser.get("/whoami"))[1])["authid"] is None

    serve(test)


def test_logging_out_everywhere_ends_all_sessions_of_the_user(serve: Serve) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        values = []
        for user in ("alice", "alice", "bob"):
            browser.cookies = {}
            await browser.post(f"/login?user={user}")
            values.append(browser.cookies["cbtid"])
        assert await browser.post("/logout?all=1", cookie=f"cbtid={values[0]}".encode()) == (200, "2")
        there = [(await browser.get("/peek", cookie=f"cbtid={value}".encode()))[1] for value in values]
        assert there == ["false", "false", "true"]

    serve(test)


def test_an_expired_session_is_revoked_before_the_answer_leaves(serve: Serve) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        await browser.get("/whoami")
        value = browser.cookies["cbtid"]
        assert await browser.get("/expire") == (200, '"expired"')
        assert store.lookup(value) is None
        assert store.counters().revoked == 1

    serve(test)


# --- the site


def test_the_interface_of_a_site_is_kept(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        clock = Clock()
        told: list[str] = []
        async with started(tmp_path / "cookies", reactor, clock) as store:
            site = CookieSite(Application(), store, reactor=clock)
            session = site.makeSession()
            session.notifyOnExpire(lambda: told.append("end"))
            assert site.getSession(session.uid) is session
            for done in list(session.pending):
                await done
            assert site.getSession(session.uid) is session
            for unknown in (b"", b"x" * 24, b"\xff"):
                with pytest.raises(KeyError):
                    site.getSession(unknown)
            clock.advance(CookieSession.sessionTimeout)
            assert session.uid in site.sessions  # somebody waits for its end
            assert await store.revoke(session.value)
            clock.advance(CookieSession.sessionTimeout)
            assert (told, site.sessions) == (["end"], {})
            with pytest.raises(KeyError):
                site.getSession(session.uid)
            site.stopFactory()

    run(main)


def test_an_idle_session_leaves_the_memory_and_comes_back(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        clock = Clock()
        async with started(tmp_path / "cookies", reactor, clock) as store:
            site = CookieSite(Application(), store, reactor=clock)
            session = site.makeSession()
            for done in list(session.pending):
                await done
            clock.advance(CookieSession.sessionTimeout)
            assert site.sessions == {}
            again = site.getSession(session.uid)
            assert again is not session
            assert again.cookie is not None
            site.stopFactory()

    run(main)


def test_a_session_that_cannot_be_stored_is_not_handed_out(serve: Serve, tmp_path: Path) -> None:
    async def create(browser: Browser, store: CookieStore, clock: Clock) -> None:
        await store.create()

    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        status, body = await browser.get("/whoami")
        assert (status, body) == (503, "The session could not be stored.\n")
        assert browser.set_cookies == []
        assert store.counters().created == 0

    serve(create)
    with pytest.raises(AssertionError, match=r"errors that nobody handled.*ReadonlyTransaction"):  # it is logged
        serve(test, readonly=True)


def test_a_session_request_of_another_site_says_what_it_needs() -> None:
    from twisted.web.server import Site
    from twisted.web.test.requesthelper import DummyChannel

    channel = DummyChannel()
    request = SessionRequest(channel)
    request.site = Site(Resource())
    with pytest.raises(ConfigError, match="CookieSite"):
        request.getSession()
