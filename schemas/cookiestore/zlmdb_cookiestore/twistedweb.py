# SPDX-License-Identifier: MIT
"""Sessions of twisted.web in a cookie store: they survive a restart, and processes share them.

``CookieSite(resource, store)`` takes the place of ``Site(resource)``; resources go on calling
``request.getSession()``. A response leaves once what was asked of its session is on the disk.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request, Session, Site

from zlmdb.errors import ConfigError
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._header import IssuedCookie
from zlmdb_cookiestore._requests import send_cookie, sent_value
from zlmdb_cookiestore._store import CookieStore
from zlmdb_cookiestore.csrf import csrf_token, is_csrf_token

__all__ = ["CookieSession", "CookieSite", "SessionRequest"]

_log = Logger()
_UNAVAILABLE = 503
_REFUSAL = b"The session could not be stored.\n"


def _not_stored(failure: Failure) -> None:
    _log.failure("a session was not stored", failure=failure)


class CookieSession(Session):
    """A session whose identity and data are in the store; `CookieSite` makes it. Use it on the reactor's thread.

    Whether it is valid is asked of the store each time, so what another process revoked is gone here too. Only
    ``cookie`` and ``data`` survive a restart; components, and `notifyOnExpire`, are this process's. The object
    leaves the memory ``sessionTimeout`` seconds after its last use, unless somebody waits for its end; the
    session itself lives as long as its cookie.
    """

    def __init__(self, site: CookieSite, uid: bytes, reactor: Any = None) -> None:
        self.pending: set[Deferred[None]] = set()
        """Fire when what was asked of the store is done; responses wait for them."""
        self.is_new = False
        """Whether it is yet to be stored."""
        super().__init__(site, uid, reactor)  # type: ignore[no-untyped-call]

    @property
    def value(self) -> str:
        """The cookie's value: a secret."""
        return str(self.uid.decode("ascii"))

    @property
    def cookie(self) -> Cookie | None:
        """The cookie as it is stored now; None once it has expired or was revoked."""
        found: Cookie | None = self.site.store.lookup(self.value)
        return found

    @property
    def authid(self) -> str | None:
        """Who is signed in."""
        cookie = self.cookie
        return None if cookie is None else cookie.authid

    @property
    def data(self) -> dict[str, Any]:
        """A copy of what is stored with the session; see `update_data`."""
        cookie = self.cookie
        return dict(cookie.authextra or {}) if cookie is not None else {}

    def update_data(self, changes: dict[str, Any]) -> Deferred[bool]:
        """Change keys of ``data``, or remove them by None; see `CookieStore.update_data`."""
        return self.track(self.site.store.update_data(self.value, changes))

    def revoke(self) -> Deferred[bool]:
        """End the session, and fire once that is on the disk."""
        self.leave(notify=True)
        return self.track(self.site.store.revoke(self.value))

    def expire(self) -> None:
        """End the session; the response waits until that is on the disk."""
        self.revoke().addErrback(lambda failure: _log.failure("a session was not revoked", failure=failure))

    def csrf_token(self) -> str:
        """Return the token for the forms of this session."""
        return csrf_token(self.value)

    def is_csrf_token(self, token: object) -> bool:
        """Tell whether a form came with the token of this session, in constant time."""
        return is_csrf_token(self.value, token)

    # --- its life in memory

    def track(self, outcome: Deferred[Any]) -> Deferred[Any]:
        """Have responses wait until ``outcome`` has fired; return it."""
        done: Deferred[None] = Deferred()
        self.pending.add(done)

        def fired(result: object) -> object:
            self.pending.discard(done)
            done.callback(None)
            return result

        return outcome.addBoth(fired)

    def is_valid(self) -> bool:
        """Tell whether the store has it, or is about to."""
        return self.is_new or self.cookie is not None

    def startCheckingExpiration(self) -> None:  # noqa: N802
        """Look after ``sessionTimeout`` seconds whether the object is still needed."""
        self._expireCall = self._reactor.callLater(self.sessionTimeout, self._idle)

    def _idle(self) -> None:
        self._expireCall = None
        if not self.is_valid():
            self.leave(notify=True)
        elif self.expireCallbacks:
            self.startCheckingExpiration()
        else:
            self.leave(notify=False)

    def leave(self, notify: bool) -> None:
        """Leave the memory; ``notify`` those who asked to be told of the end."""
        if self.site.sessions.get(self.uid) is self:
            del self.site.sessions[self.uid]
        if self._expireCall is not None and self._expireCall.active():
            self._expireCall.cancel()
        self._expireCall = None
        if notify:
            callbacks, self.expireCallbacks = self.expireCallbacks, []
            for callback in callbacks:
                callback()


class SessionRequest(Request):
    """A request with sessions of a cookie store; its site is a `CookieSite`."""

    def __init__(self, channel: Any, *args: Any, **options: Any) -> None:
        super().__init__(channel, *args, **options)  # type: ignore[no-untyped-call]
        self._sessions: dict[bool, CookieSession] = {}
        self._awaited: set[Deferred[Any]] = set()
        self._kept: list[bytes] = []  # written while something is awaited
        self._ended = False
        self._failed = False

    def getSession(self, sessionInterface: Any = None, forceNotSecure: bool = False) -> Any:  # noqa: N802, N803
        """Return the session of this request, a new one if it has none; or its component, as twisted.web does.

        A new one is in the file before the response leaves; if that fails, the answer is 503.
        """
        session = self.find_session(forceNotSecure)
        if session is None:
            secure = self._is_secure(forceNotSecure)
            session, issued, stored = self._site.begin(self._site.store.config.session_name(secure))
            self._sessions[secure] = session
            send_cookie(self, issued.header)
            self.wait_for(stored, vital=True)
        return session.getComponent(sessionInterface) if sessionInterface else session  # type: ignore[no-untyped-call]

    def find_session(self, force_not_secure: bool = False) -> CookieSession | None:
        """Return the session of this request if it has one, and make none."""
        secure = self._is_secure(force_not_secure)
        session = self._sessions.get(secure)
        if session is not None and session.is_valid():
            session.touch()  # type: ignore[no-untyped-call]
            return session
        name = self._site.store.config.session_name(secure)
        value = sent_value(self, name)
        session = None if value is None else self._site.find(value, name)
        if session is not None:
            self._sessions[secure] = session
            self._prolong(session)
        return session

    def sign_in(
        self,
        authid: str,
        authrole: str | None = None,
        authmethod: str | None = None,
        authrealm: str | None = None,
        authextra: dict[str, Any] | None = None,
    ) -> Deferred[IssuedCookie]:
        """Have this request's session, or a new one, authenticate ``authid``, under a new value of its cookie."""
        secure = self._is_secure(False)
        former, store = self.find_session(), self._site.store
        value, name = None if former is None else former.value, store.config.session_name(secure)
        signed = store.sign_in(value, authid, authrole, authmethod, authrealm, authextra, name=name)
        signed.addCallback(lambda issued: self._signed_in(issued, former, secure))
        self.wait_for(signed, vital=False)
        return signed

    def sign_out(self, everywhere: bool = False) -> Deferred[int]:
        """End this request's session, or all sessions of who is signed in; fires with how many that were."""
        session, store = self.find_session(), self._site.store
        send_cookie(self, store.forget_header(store.config.session_name(self._is_secure(False))))
        authid = None if session is None else session.authid
        ended: Deferred[Any] = Deferred()
        if session is None:
            ended.callback(0)
        elif everywhere and authid is not None:
            session.leave(notify=True)
            ended = store.revoke_all(authid)
        else:
            ended = session.revoke().addCallback(int)
        self.wait_for(ended, vital=False)
        return ended

    def _signed_in(self, issued: IssuedCookie, former: CookieSession | None, secure: bool) -> IssuedCookie:
        self._sessions[secure] = self._site.admit(issued.value, former)
        send_cookie(self, issued.header)
        return issued

    def _prolong(self, session: CookieSession) -> None:
        if self._site.store.config.sliding and not session.pending:
            touched = self._site.store.touch(session.value)
            touched.addCallback(lambda issued: None if issued is None else send_cookie(self, issued.header))
            touched.addErrback(lambda failure: _log.failure("a session was not prolonged", failure=failure))
            self.wait_for(touched, vital=False)

    def _is_secure(self, force_not_secure: bool) -> bool:
        return not force_not_secure and bool(self._site.behind_tls or self.isSecure())  # type: ignore[no-untyped-call]

    @property
    def _site(self) -> CookieSite:
        site: Any = self.site
        if not isinstance(site, CookieSite):
            raise ConfigError("a SessionRequest needs the sessions of its site", got=site, expected="a CookieSite")
        return site

    # --- the response

    def wait_for(self, outcome: Deferred[Any], *, vital: bool) -> None:
        """Hold the response until ``outcome`` has fired; if it is vital and fails, answer 503 instead."""
        self._awaited.add(outcome)

        def fired(result: object) -> object:
            self._awaited.discard(outcome)
            self._failed |= vital and isinstance(result, Failure)
            if not self._awaited:
                self._release()
            return result

        outcome.addBoth(fired)
        if vital:
            outcome.addErrback(_not_stored)

    def write(self, data: bytes) -> None:
        """Write data, once nothing is waited for any more."""
        self._wait_for_sessions()
        if self._awaited:
            self._kept.append(data)
        elif not self._failed:
            super().write(data)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """End the response, once nothing is waited for any more."""
        self._wait_for_sessions()
        self._ended = True
        if not self._awaited:
            super().finish()  # type: ignore[no-untyped-call]

    def _wait_for_sessions(self) -> None:
        for session in self._sessions.values():
            for done in session.pending - self._awaited:
                self.wait_for(done, vital=False)

    def _release(self) -> None:
        kept, self._kept = self._kept, []
        if self._disconnected:
            return
        if self._failed and not self.startedWriting:
            kept = [_REFUSAL]
            self.cookies.clear()
            self.responseHeaders.removeHeader(b"content-encoding")
            self.setResponseCode(_UNAVAILABLE)
            self.setHeader(b"content-type", b"text/plain; charset=utf-8")  # type: ignore[no-untyped-call]
            self.setHeader(b"content-length", str(len(_REFUSAL)).encode())  # type: ignore[no-untyped-call]
        for data in kept:
            super().write(data)  # type: ignore[no-untyped-call]
        if self._ended:
            super().finish()  # type: ignore[no-untyped-call]


class CookieSite(Site):
    """A `Site` whose sessions are in ``store``, a `CookieStore` that is started before the first request.

    Sessions over TLS have cookies of the configured name, sessions without TLS others (``insecure_name``), which
    are never taken for the former. ``behind_tls`` says that a proxy in front of this server speaks TLS with all
    browsers. Further arguments are those of `Site`; a ``requestFactory`` must be a `SessionRequest`.
    """

    requestFactory = SessionRequest  # noqa: N815
    sessionFactory = CookieSession  # noqa: N815

    def __init__(self, resource: Any, store: CookieStore, *args: Any, behind_tls: bool = False, **options: Any) -> None:
        super().__init__(resource, *args, **options)  # type: ignore[no-untyped-call]
        self.store = store
        self.behind_tls = behind_tls

    def makeSession(self) -> CookieSession:  # noqa: N802
        """Make a session, whose cookie has the configured name; responses wait until it is stored."""
        session, _, stored = self.begin(self.store.config.cookie_name)
        stored.addErrback(_not_stored)
        return session

    def begin(self, name: str) -> tuple[CookieSession, IssuedCookie, Deferred[None]]:
        """Make a session with a cookie of this name; the Deferred fires when it is stored."""
        issued, stored = self.store.issue(name=name)
        session = self.admit(issued.value)
        session.is_new = True

        def settled(result: object) -> object:
            session.is_new = False
            if isinstance(result, Failure):
                session.leave(notify=True)
            return result

        return session, issued, session.track(stored.addBoth(settled))

    def getSession(self, uid: bytes) -> CookieSession:  # noqa: N802
        """Return the session of this value; raise KeyError if the store has none that is valid."""
        session = self.find(uid.decode("latin-1"), None)
        if session is None:
            raise KeyError("no such session")
        return session

    def find(self, value: str, name: str | None) -> CookieSession | None:
        """Return the session of this value, if its cookie has that name (None: any)."""
        session: CookieSession | None = self.sessions.get(value.encode("utf-8", "surrogatepass"))
        cookie = self.store.lookup(value)
        if cookie is None:
            if session is None or session.is_new:
                return session
            session.leave(notify=True)
            return None
        if name is not None and cookie.name != name:
            return None
        if session is None:
            return self.admit(value)
        session.touch()  # type: ignore[no-untyped-call]
        return session

    def admit(self, value: str, former: CookieSession | None = None) -> CookieSession:
        """Keep the session of this value in memory: ``former``, which had another value, or a new object."""
        uid = value.encode("ascii")
        if former is None:
            session: CookieSession = self.sessionFactory(self, uid)
            session.startCheckingExpiration()
        else:
            session = former
            if self.sessions.get(session.uid) is session:
                del self.sessions[session.uid]
            session.uid = uid
        self.sessions[uid] = session
        return session

    def stopFactory(self) -> None:  # noqa: N802
        """Let go of the sessions in memory; they go on when there is a site again."""
        for session in list(self.sessions.values()):
            session.leave(notify=False)
        super().stopFactory()
