# SPDX-License-Identifier: MIT
"""Sessions of Klein in a cookie store: its ``ISessionStore``, and a procurer that makes good use of it.

::

    sessions = CookieSessionStore(store)
    procurer = CookieProcurer(sessions)
    requirer = Requirer()

    @requirer.prerequisite([ISession])
    def procure(request):
        return procurer.procureSession(request)

    @requirer.require(app.route("/private"), session=Authorization(ISignedIn))
    def private(session):
        return f"hello {session.authid}"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import Attribute, Interface, implementer  # type: ignore[import-untyped]

from zlmdb.errors import MissingDependency
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._header import IssuedCookie
from zlmdb_cookiestore._requests import send_cookie, sent_value
from zlmdb_cookiestore._store import CookieStore
from zlmdb_cookiestore.csrf import csrf_token, is_csrf_token

try:
    from klein.interfaces import (
        ISession,
        ISessionProcurer,
        ISessionStore,
        NoSuchSession,
        SessionMechanism,
        TooLateForCookies,
    )
except ModuleNotFoundError as exc:
    raise MissingDependency(
        "Klein is needed for this module", next_step="pip install zlmdb[klein]", extra="klein"
    ) from exc

if TYPE_CHECKING:
    from constantly import NamedConstant  # type: ignore[import-untyped]

__all__ = ["CookieProcurer", "CookieSessionStore", "ISignedIn", "IStoredSession", "StoredSession"]

_log = Logger()
_CREATING = (b"GET", b"HEAD")  # nothing that changes anything should be the first request of a session


class IStoredSession(Interface):  # type: ignore[misc]  # zope.interface has no types
    """The session itself, as what `ISession.authorize` gives every session: see `StoredSession`."""

    cookie = Attribute("The cookie as it is stored now, or None.")


class ISignedIn(IStoredSession):
    """The session itself, if somebody is signed in."""

    authid = Attribute("Who is signed in: a str.")


AnInterface: TypeAlias = Any  # zope's interfaces are no types to checkers
Authorizer: TypeAlias = Callable[["StoredSession"], Any]
"""Returns a provider of an interface for a session, or None, or an awaitable of these."""


@implementer(ISession, IStoredSession, ISignedIn)
class StoredSession:
    """A session of one request, whose identity and data are in the store. Use it on the reactor's thread."""

    def __init__(self, sessions: CookieSessionStore, value: str, confidential: bool, mechanism: NamedConstant) -> None:
        self._sessions = sessions
        self.request: Any = None
        """The request that this is the session of; None with Klein's own procurer."""
        self.identifier = value
        """The cookie's value: a secret. Klein's own forms show it in the page; `csrf_token` need not."""
        self.isConfidential = confidential
        self.authenticatedBy = mechanism
        self.issued: IssuedCookie | None = None
        """What the browser is yet to be sent, of a session that is new or has signed in."""

    @property
    def cookie(self) -> Cookie | None:
        """The cookie as it is stored now; None once it has expired or was revoked."""
        return self._sessions.store.lookup(self.identifier)

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

    def authorize(self, interfaces: Iterable[AnInterface]) -> Deferred[dict[AnInterface, Any]]:
        """Return the providers of those of ``interfaces`` that this session is authorized for."""
        return Deferred.fromCoroutine(self._authorize(interfaces))

    async def _authorize(self, interfaces: Iterable[AnInterface]) -> dict[AnInterface, Any]:
        providers = {}
        for interface in interfaces:
            provider = self._sessions.provider(interface, self)
            if inspect.isawaitable(provider):
                provider = await provider
            if provider is not None:
                providers[interface] = provider
        return providers

    # --- what the application does with it; each fires once it is on the disk

    def sign_in(
        self,
        authid: str,
        authrole: str | None = None,
        authmethod: str | None = None,
        authrealm: str | None = None,
        authextra: dict[str, Any] | None = None,
    ) -> Deferred[IssuedCookie]:
        """Authenticate ``authid`` from now on, under a new value of the cookie, and send that to the browser.

        With Klein's own procurer nothing is sent: add the outcome's ``header`` to the response yourself.
        """
        sessions = self._sessions
        name = sessions.store.config.session_name(self.isConfidential)
        identity = (authid, authrole, authmethod, authrealm, authextra)
        return sessions.store.sign_in(self.identifier, *identity, name=name).addCallback(self._renewed)

    def _renewed(self, issued: IssuedCookie) -> IssuedCookie:
        self.identifier, self.issued = issued.value, issued
        self.send(issued.header)
        return issued

    def sign_out(self, everywhere: bool = False) -> Deferred[int]:
        """End this session, or all sessions of who is signed in; fires with how many that were."""
        store = self._sessions.store
        self.send(store.forget_header(store.config.session_name(self.isConfidential)))
        authid = self.authid
        if everywhere and authid is not None:
            return store.revoke_all(authid)
        return store.revoke(self.identifier).addCallback(int)

    def update_data(self, changes: dict[str, Any]) -> Deferred[bool]:
        """Change keys of ``data``, or remove them by None; see `CookieStore.update_data`."""
        return self._sessions.store.update_data(self.identifier, changes)

    def csrf_token(self) -> str:
        """Return the token for the forms of this session; it changes when somebody signs in."""
        return csrf_token(self.identifier)

    def is_csrf_token(self, token: object) -> bool:
        """Tell whether a form came with the token of this session, in constant time."""
        return is_csrf_token(self.identifier, token)

    # --- for procurers

    def bind(self, request: Any) -> StoredSession:
        """Send cookies with the response to ``request`` from now on; return self."""
        self.request = request
        return self

    def send(self, header: str) -> None:
        """Send a cookie, if there is a response to do so and it came by cookie."""
        if self.request is not None and self.authenticatedBy is SessionMechanism.Cookie:
            send_cookie(self.request, header)


@implementer(ISessionStore)
class CookieSessionStore:
    """Klein's session store over ``store``, a `CookieStore` that is started before the first request.

    ``authorizers`` say for which interfaces sessions are authorized, besides `IStoredSession` and `ISignedIn`.
    Confidential sessions have cookies of the configured name and others of the ``insecure_name``: none is ever
    taken for the other. What was sent without TLS and should not have been, is revoked.
    """

    def __init__(self, store: CookieStore, authorizers: Mapping[AnInterface, Authorizer] | None = None) -> None:
        self.store = store
        self._authorizers = dict(authorizers or {})

    def newSession(  # noqa: N802
        self,
        isConfidential: bool,  # noqa: N803
        authenticatedBy: NamedConstant,  # noqa: N803
    ) -> Deferred[StoredSession]:
        """Make a session; fires once it is on the disk."""

        def made(issued: IssuedCookie) -> StoredSession:
            session = StoredSession(self, issued.value, isConfidential, authenticatedBy)
            session.issued = issued
            return session

        return self.store.create(name=self.store.config.session_name(isConfidential)).addCallback(made)

    def loadSession(  # noqa: N802
        self,
        identifier: str,
        isConfidential: bool,  # noqa: N803
        authenticatedBy: NamedConstant,  # noqa: N803
    ) -> Deferred[StoredSession]:
        """Return the session of this identifier; fails with `NoSuchSession` if there is none that is valid."""
        try:
            cookie = self.store.lookup(identifier)
        except Exception:  # noqa: BLE001  whatever it is, it is the Deferred's
            return fail()
        if cookie is None or cookie.name != self.store.config.session_name(isConfidential):
            return fail(NoSuchSession("there is no such session"))
        return succeed(StoredSession(self, identifier, isConfidential, authenticatedBy))

    def sentInsecurely(self, identifiers: Iterable[str | bytes]) -> None:  # noqa: N802
        """Revoke those confidential sessions that were sent without TLS, where anybody may have seen them.

        Does nothing if the store is configured without ``secure``: then they are sent so by intent.
        """
        if not self.store.config.secure:
            return
        for identifier in identifiers:
            value = identifier.decode("latin-1") if isinstance(identifier, bytes) else identifier
            cookie = self.store.lookup(value)
            if cookie is not None and cookie.name == self.store.config.cookie_name and cookie.oid is not None:
                _log.warn("session {oid} was sent without TLS, and is revoked", oid=cookie.oid)
                self.store.revoke(value).addErrback(
                    lambda failure: _log.failure("a session was not revoked", failure=failure)
                )

    def provider(self, interface: AnInterface, session: StoredSession) -> Any:
        """Return the provider of ``interface`` for a session, None if it is not authorized, or an awaitable."""
        if interface is IStoredSession:
            return session
        if interface is ISignedIn:
            return session if session.authid else None
        authorizer = self._authorizers.get(interface)
        return None if authorizer is None else authorizer(session)


@implementer(ISessionProcurer)
class CookieProcurer:
    """Gets the session of a request, from the store's cookies or from a token in a header.

    It does what Klein's ``SessionProcurer`` does, with names, lifetime and attributes as the store is configured,
    with ``sliding`` sessions, and whatever browsers may send. ``behind_tls`` says that a proxy in front of this
    server speaks TLS with all browsers. Without ``create`` sessions are not made on GET.
    """

    def __init__(
        self,
        sessions: CookieSessionStore,
        *,
        behind_tls: bool = False,
        create: bool = True,
        secure_header: bytes = b"X-Auth-Token",
        insecure_header: bytes = b"X-INSECURE-Auth-Token",
    ) -> None:
        self._sessions = sessions
        self._config = sessions.store.config
        self._behind_tls = behind_tls
        self._create = create
        self._secure_header = secure_header
        self._insecure_header = insecure_header

    def procureSession(self, request: Any, forceInsecure: bool = False) -> Deferred[StoredSession]:  # noqa: N802, N803
        """Return the session of a request, a new one if it has none and is a GET.

        Fails with `NoSuchSession` if there is none and none is to be made, and `TooLateForCookies` if one should
        be made and the response has begun.
        """
        return Deferred.fromCoroutine(self._procure(request, forceInsecure))

    async def _procure(self, request: Any, force_insecure: bool) -> StoredSession:
        secure = self._behind_tls or request.isSecure()
        known: StoredSession | None = request.getComponent(ISession)
        if known is not None and not (secure and force_insecure):
            return known
        if not secure:
            self._look_for_leaks(request)
        confidential = secure and not force_insecure
        session = await self._by_header(request, confidential) or await self._by_cookie(request, confidential)
        if session is None:
            session = await self._new(request, confidential)
        if confidential == secure:  # the insecure session of a secure request is not its session
            request.setComponent(ISession, session)
        return session

    def _look_for_leaks(self, request: Any) -> None:
        cookie = sent_value(request, self._config.cookie_name)
        sent = request.requestHeaders.getRawHeaders(self._secure_header, [])
        self._sessions.sentInsecurely([*sent, *([cookie] if cookie else [])])

    async def _by_header(self, request: Any, confidential: bool) -> StoredSession | None:
        token = request.getHeader(self._secure_header if confidential else self._insecure_header)
        if not token:
            return None
        value = token.decode("latin-1")
        return await self._sessions.loadSession(value, confidential, SessionMechanism.Header)

    async def _by_cookie(self, request: Any, confidential: bool) -> StoredSession | None:
        value = sent_value(request, self._config.session_name(confidential))
        if value is None:
            return None
        try:
            session = await self._sessions.loadSession(value, confidential, SessionMechanism.Cookie)
        except NoSuchSession:
            return None
        if self._config.sliding and not request.startedWriting:
            await self._prolong(session.bind(request))
        return session.bind(request)

    async def _prolong(self, session: StoredSession) -> None:
        try:
            issued = await self._sessions.store.touch(session.identifier)
        except Exception:  # noqa: BLE001  it is valid all the same
            _log.failure("a session was not prolonged")
        else:
            if issued is not None:
                session.send(issued.header)

    async def _new(self, request: Any, confidential: bool) -> StoredSession:
        if request.startedWriting:
            raise TooLateForCookies("a session is to be made, and the headers of the response were sent already")
        if not self._create or request.method not in _CREATING:
            raise NoSuchSession("the request has no session, and none is made for it")
        session = await self._sessions.newSession(confidential, SessionMechanism.Cookie)
        session.bind(request)
        if session.issued is not None:
            session.send(session.issued.header)
        return session
