# SPDX-License-Identifier: MIT
"""The routes: the page, login, logout, and logout everywhere."""

from __future__ import annotations

from typing import Any, Final

from klein import Klein
from klein.interfaces import NoSuchSession
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request, Site
from werkzeug.exceptions import HTTPException

from examples.login import pages
from examples.login.passwords import Gate
from zlmdb_cookiestore import CookieStore
from zlmdb_cookiestore.kleinweb import CookieProcurer, CookieSessionStore, StoredSession

_LARGEST: Final = 16 * 1024  # bytes of a form
_TRIES: Final = 2  # passwords that are checked at the same time: each takes a core and 16 MiB
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "Content-Type": "text/html; charset=utf-8",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Refused(Exception):
    """The request is answered with a status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class SmallRequest(Request):
    """A request whose body is kept up to a limit; more of it is read and forgotten."""

    too_long = False

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep a piece of the body."""
        content: Any = self.content  # open since the headers came
        self.too_long = self.too_long or content.tell() + len(data) > _LARGEST
        if not self.too_long:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]


class Login:
    """The application; use it on the reactor's thread, while the store is started."""

    app = Klein()
    _log = Logger()

    def __init__(self, store: CookieStore, gate: Gate, *, behind_tls: bool = False) -> None:
        self._store = store
        self._gate = gate
        self._procurer = CookieProcurer(CookieSessionStore(store), behind_tls=behind_tls)
        self._tries = DeferredSemaphore(_TRIES)

    def site(self) -> Site:
        """Return what a port listens with."""
        return Site(self.app.resource(), SmallRequest, timeout=60)  # type: ignore[no-untyped-call]

    def _session(self, request: Any) -> Deferred[StoredSession]:
        for name, value in _HEADERS.items():
            request.setHeader(name, value)
        if request.too_long:
            raise Refused(413, f"the form is longer than {_LARGEST} bytes")
        return self._procurer.procureSession(request)

    async def _posted(self, request: Any) -> StoredSession:
        """Return the session of a form that was sent from a page of that session."""
        session = await self._session(request)
        if not session.is_csrf_token(_field(request, "token")):
            raise Refused(403, "the form was not sent from a page of this session")
        return session

    @app.route("/", methods=["GET"])
    async def page(self, request: Any) -> str:
        """Show who is logged in, or the form to do so."""
        session = await self._session(request)
        authid = session.authid
        if authid is None:
            return pages.login(session.csrf_token())
        visits = int(session.data.get("visits", 0)) + 1
        await session.update_data({"visits": visits})
        here, sessions = session.cookie, await self._store.of_authid(authid)
        if here is None:  # it was logged out from elsewhere, just now
            return pages.refusal("You have been logged out.")
        return pages.welcome(session.csrf_token(), authid, here, sessions, visits)

    @app.route("/style.css", methods=["GET"])
    def style(self, request: Any) -> str:
        """Send the style sheet."""
        request.setHeader("Content-Type", "text/css; charset=utf-8")
        return pages.STYLE

    @app.route("/login", methods=["POST"])
    async def login(self, request: Any) -> str:
        """Log in with name and password."""
        session = await self._posted(request)
        name, password = _field(request, "name"), _field(request, "password")
        if not await self._tries.run(lambda: Deferred.fromCoroutine(self._gate.admits(name, password))):
            request.setResponseCode(401)
            return pages.login(session.csrf_token(), "Name or password is wrong.")
        await session.sign_in(name, authrole="user", authmethod="password")
        return _go_home(request)

    @app.route("/logout", methods=["POST"])
    async def logout(self, request: Any) -> str:
        """Log out here."""
        session = await self._posted(request)
        await session.sign_out()
        return _go_home(request)

    @app.route("/logout-everywhere", methods=["POST"])
    async def logout_everywhere(self, request: Any) -> str:
        """Log out here and in all other browsers."""
        session = await self._posted(request)
        await session.sign_out(everywhere=True)
        return _go_home(request)

    @app.handle_errors(Exception)
    def failed(self, request: Any, failure: Failure) -> str:
        """Answer with the reason; what is nobody's fault but ours is logged, and not told."""
        error = failure.value
        status, reason = 500, "Something went wrong."
        if isinstance(error, Refused):
            status, reason = error.status, str(error)
        elif isinstance(error, NoSuchSession):
            status, reason = 403, "Your session has ended."
        elif isinstance(error, HTTPException):
            status, reason = error.code or 500, error.name
        if status == 500:
            self._log.failure("{method} {path} failed", failure=failure, method=request.method, path=request.path)
        request.setResponseCode(status)
        request.setHeader("Content-Type", _HEADERS["Content-Type"])
        return pages.refusal(reason)


def _field(request: Any, name: str) -> str:
    value: bytes = request.args.get(name.encode(), [b""])[0]
    return value.decode("utf-8", "replace")


def _go_home(request: Any) -> str:
    request.setResponseCode(303)
    request.setHeader("Location", "/")
    return ""
