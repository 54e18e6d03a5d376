# SPDX-License-Identifier: MIT
"""Sessions of Klein in the cookie store, over HTTP on loopback, with its own procurer and with ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from klein import Authorization, Klein, Requirer, SessionProcurer
from klein.interfaces import (
    ISession,
    ISessionProcurer,
    ISessionStore,
    NoSuchSession,
    SessionMechanism,
    TooLateForCookies,
)
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.web.server import Site
from zope.interface import Interface, implementer
from zope.interface.verify import verifyObject

from tests.cookie_stores import Browser, exact_indexes, serving, started
from tests.reactor_bench import error_of, run
from zlmdb.errors import DatabaseClosed
from zlmdb_cookiestore import CookieStore
from zlmdb_cookiestore.kleinweb import CookieProcurer, CookieSessionStore, ISignedIn, IStoredSession, StoredSession


class IAdmin(Interface):
    """Somebody who may do everything."""


@implementer(IAdmin)
class Admin:
    def __init__(self, name: str | None) -> None:
        self.name = name


def admin(session: StoredSession) -> Any:
    """An authorizer that answers later."""
    cookie = session.cookie
    return succeed(Admin(session.authid) if cookie is not None and cookie.authrole == "admin" else None)


class Application:
    """Routes that need sessions of a procurer."""

    app = Klein()
    requirer = Requirer()

    def __init__(self, procurer: Any) -> None:
        self.procurer = procurer

    @requirer.prerequisite([ISession])
    def procure(self, request: Any) -> Any:
        return self.procurer.procureSession(request)

    @requirer.require(app.route("/whoami"), session=Authorization(IStoredSession))
    def whoami(self, session: StoredSession) -> str:
        return json.dumps({"authid": session.authid, "data": session.data, "confidential": session.isConfidential})

    @requirer.require(app.route("/private"), session=Authorization(ISignedIn))
    def private(self, session: StoredSession) -> str:
        return f"hello {session.authid}"

    @requirer.require(app.route("/admin"), admin=Authorization(IAdmin))
    def admin(self, admin: Admin) -> str:
        return f"hello admin {admin.name}"

    @requirer.require(app.route("/login/<user>", methods=["POST"]), session=Authorization(IStoredSession))
    async def login(self, session: StoredSession, user: str) -> str:
        await session.sign_in(user, "admin" if user == "root" else "user")
        await session.update_data({"seen": 1})
        return "in"

    @requirer.require(app.route("/logout", methods=["POST"]), session=Authorization(IStoredSession))
    async def logout(self, session: StoredSession) -> str:
        return str(await session.sign_out())

    @requirer.require(app.route("/everywhere", methods=["POST"]), session=Authorization(ISignedIn))
    async def everywhere(self, session: StoredSession) -> str:
        return str(await session.sign_out(everywhere=True))

    @app.route("/insecure")
    async def insecure(self, request: Any) -> str:
        session = await self.procurer.procureSession(request, forceInsecure=True)
        return json.dumps(session.isConfidential)

    @app.handle_errors(NoSuchSession)
    def no_session(self, request: Any, failure: Any) -> str:
        request.setResponseCode(403)
        return "no session"


@pytest.fixture
def serve(tmp_path: Path) -> Any:
    """Run a test against a server on the store of this test; again, after a restart, when called again."""

    def serve(
        test: Callable[[Browser, CookieStore, Clock], Any],
        *,
        at: float = 0,
        tls: bool = True,
        make: Callable[[CookieSessionStore], Any] | None = None,
        **options: Any,
    ) -> Any:
        async def main(reactor: Any) -> Any:
            clock = Clock()
            clock.advance(at)
            async with started(tmp_path / "cookies", reactor, clock, **options) as store:
                sessions = CookieSessionStore(store, {IAdmin: admin})
                procurer = make(sessions) if make else CookieProcurer(sessions, behind_tls=tls)
                async with serving(reactor, Site(Application(procurer).app.resource())) as browser:
                    return await test(browser, store, clock)

        return run(main)

    return serve


# --- sessions


def test_a_session_survives_a_restart_of_the_server(serve: Any, tmp_path: Path) -> None:
    async def first(browser: Browser, store: CookieStore, clock: Clock) -> dict[str, str]:
        answer = json.loads((await browser.get("/whoami"))[1])
        assert answer == {"authid": None, "data": {}, "confidential": True}
        value = browser.cookies["cbtid"]
        assert browser.set_cookies == [f"cbtid={value}; Max-Age=604800; Path=/; Secure; HttpOnly; SameSite=Lax"]
        assert (await browser.get("/private"))[0] == 401
        assert await browser.post("/login/alice") == (200, "in")
        assert len(browser.set_cookies) == 1
        assert browser.cookies["cbtid"] != value
        assert store.lookup(value) is None
        return browser.cookies

    async def then(browser: Browser, store: CookieStore, clock: Clock) -> None:
        browser.cookies = dict(cookies)
        assert await browser.get("/private") == (200, "hello alice")
        assert browser.set_cookies == []
        assert json.loads((await browser.get("/whoami"))[1])["data"] == {"seen": 1}
        assert (await browser.get("/admin"))[0] == 401
        assert await browser.post("/logout") == (200, "1")
        assert browser.cookies == {}

    async def last(browser: Browser, store: CookieStore, clock: Clock) -> None:
        assert (await browser.get("/private", cookie=f"cbtid={cookies['cbtid']}".encode()))[0] == 401

    cookies = dict(serve(first))
    serve(then, at=604_799)
    serve(last)
    assert exact_indexes(tmp_path / "cookies") == 1


def test_authorizers_of_the_application_decide_on_its_interfaces(serve: Any) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        await browser.get("/whoami")
        await browser.post("/login/root")
        assert await browser.get("/admin") == (200, "hello admin root")

    serve(test)


def test_logging_out_everywhere_ends_all_sessions_of_the_user(serve: Any) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        values = []
        for user in ("alice", "alice", "bob"):
            browser.cookies = {}
            await browser.get("/whoami")
            await browser.post(f"/login/{user}")
            values.append(browser.cookies["cbtid"].encode())
        assert await browser.post("/everywhere", cookie=b"cbtid=" + values[0]) == (200, "2")
        assert [(await browser.get("/private", cookie=b"cbtid=" + value))[0] for value in values] == [401, 401, 200]

    serve(test)


def test_a_sliding_session_lives_as_long_as_it_is_used(serve: Any) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        await browser.get("/whoami")
        await browser.post("/login/alice")
        for _ in range(3):
            clock.advance(90)
            assert await browser.get("/private") == (200, "hello alice")
            assert "Max-Age=100;" in browser.set_cookies[0]
        clock.advance(100)
        assert (await browser.get("/private"))[0] == 401

    serve(test, **{"max-age": 100, "sliding": True, "sweep-interval": None})


def test_no_session_is_made_by_a_request_that_changes_something(serve: Any) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        assert await browser.post("/login/alice") == (403, "no session")
        assert await browser.get("/nowhere", cookie=b"cbtid=" + b"x" * 24) != (403, "no session")
        assert store.counters().created == 0

    serve(test)


def test_no_session_is_made_where_none_is_wanted(serve: Any) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        assert await browser.get("/whoami") == (403, "no session")
        assert store.counters().created == 0

    serve(test, make=lambda sessions: CookieProcurer(sessions, create=False))


# --- secure and insecure


def test_a_session_without_tls_is_never_taken_for_one_with_it(serve: Any) -> None:
    async def plain(browser: Browser, store: CookieStore, clock: Clock) -> str:
        await browser.get("/whoami")
        await browser.post("/login/mallory")
        assert "Secure" not in browser.set_cookies[0]
        return browser.cookies["cbtid-insecure"]

    async def secure(browser: Browser, store: CookieStore, clock: Clock) -> None:
        answer = json.loads((await browser.get("/whoami", cookie=f"cbtid={value}".encode()))[1])
        assert answer == {"authid": None, "data": {}, "confidential": True}
        assert await browser.get("/insecure", cookie=f"cbtid-insecure={value}".encode()) == (200, "false")
        assert browser.set_cookies == []

    value = serve(plain, tls=False)
    serve(secure)


def test_a_confidential_session_that_is_sent_without_tls_is_revoked(serve: Any) -> None:
    async def secure(browser: Browser, store: CookieStore, clock: Clock) -> str:
        await browser.get("/whoami")
        await browser.post("/login/alice")
        return browser.cookies["cbtid"]

    async def plain(browser: Browser, store: CookieStore, clock: Clock) -> None:
        assert store.lookup(value) is not None
        await browser.get("/whoami", cookie=f"cbtid={value}".encode())
        assert store.lookup(value) is None
        (other,) = [browser.cookies[name] for name in browser.cookies if name == "cbtid-insecure"]
        await browser.get("/whoami")
        assert store.lookup(other) is not None

    value = serve(secure)
    serve(plain, tls=False)


def test_a_token_in_a_header_is_a_session_of_a_program(serve: Any) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        browser.headers = {b"X-Auth-Token": (await store.sign_in(None, "robot")).value.encode()}
        assert await browser.get("/private") == (200, "hello robot")
        assert await browser.post("/logout") == (200, "1")
        assert browser.set_cookies == []
        for token in (browser.headers[b"X-Auth-Token"], b"\xff", b"x" * 24):
            browser.headers = {b"X-Auth-Token": token}
            assert await browser.get("/private") == (403, "no session")

    serve(test)


@pytest.mark.parametrize(
    "cookie",
    [b"cbtid", b"cbtid=", b"cbtid=" + b"\xff" * 30, b"cbtid=" + b"x" * 9000, b";;=;\x80", b'cbtid="' + b"a" * 24],
)
def test_a_hostile_cookie_is_none(serve: Any, cookie: bytes) -> None:
    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        assert (await browser.get("/private", cookie=cookie))[0] == 401

    serve(test)


# --- what Klein asks for


def test_kleins_own_procurer_works_with_the_store_and_survives_a_restart(serve: Any) -> None:
    async def first(browser: Browser, store: CookieStore, clock: Clock) -> dict[str, str]:
        await browser.get("/whoami")
        value = browser.cookies["Klein-INSECURE-Session"]
        issued = await store.sign_in(value, "alice", name=store.config.insecure_name)
        browser.cookies["Klein-INSECURE-Session"] = issued.value
        return browser.cookies

    async def then(browser: Browser, store: CookieStore, clock: Clock) -> None:
        browser.cookies = dict(cookies)
        assert await browser.get("/private") == (200, "hello alice")

    async def leak(browser: Browser, store: CookieStore, clock: Clock) -> None:
        value = (await store.sign_in(None, "alice")).value
        await browser.get("/whoami", cookie=f"Klein-Secure-Session={value}".encode())
        assert store.lookup(value) is None

    cookies = serve(first, make=SessionProcurer)
    serve(then, make=SessionProcurer)
    serve(leak, make=SessionProcurer)


def test_the_interfaces_of_klein_are_provided(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        async with started(tmp_path / "cookies", reactor, Clock()) as store:
            sessions = CookieSessionStore(store)
            session = await sessions.newSession(True, SessionMechanism.Cookie)
            verifyObject(ISessionStore, sessions)
            verifyObject(ISession, session)
            verifyObject(ISignedIn, session)
            verifyObject(ISessionProcurer, CookieProcurer(sessions))
            again = await sessions.loadSession(session.identifier, True, SessionMechanism.Cookie)
            assert (again.identifier, again.isConfidential, again.authenticatedBy) == (
                session.identifier,
                True,
                SessionMechanism.Cookie,
            )
            assert list(await again.authorize([IStoredSession, ISignedIn, IAdmin])) == [IStoredSession]
            for identifier, confidential in (("", True), ("x" * 24, True), (session.identifier, False), (None, True)):
                failure = sessions.loadSession(identifier, confidential, SessionMechanism.Cookie)  # type: ignore[arg-type]
                error = await error_of(failure)
                assert isinstance(error, NoSuchSession)
                assert session.identifier not in str(error)
            assert session.is_csrf_token(again.csrf_token())
        assert isinstance(await error_of(sessions.loadSession("x" * 24, True, SessionMechanism.Cookie)), DatabaseClosed)

    run(main)


def test_a_session_is_not_begun_when_the_headers_are_gone(serve: Any) -> None:
    errors: list[Any] = []

    class Late(CookieProcurer):
        def procureSession(self, request: Any, forceInsecure: bool = False) -> Any:
            request.write(b"early ")
            procured = super().procureSession(request, forceInsecure)
            return procured.addErrback(lambda failure: (errors.append(failure.value), failure)[1])

    async def test(browser: Browser, store: CookieStore, clock: Clock) -> None:
        await browser.get("/whoami")

    with pytest.raises(AssertionError, match=r"errors that nobody handled.*TooLateForCookies"):  # Klein logs it
        serve(test, make=Late)
    assert isinstance(errors[0], TooLateForCookies)


def test_without_klein_the_module_says_what_to_install() -> None:
    code = """
import sys
sys.modules["klein"] = None
from zlmdb.errors import MissingDependency
try:
    import zlmdb_cookiestore.kleinweb
except MissingDependency as error:
    print(error.extra, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("klein ")
    assert "pip install zlmdb[klein]" in done.stdout
