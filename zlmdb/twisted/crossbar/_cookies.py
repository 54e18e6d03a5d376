# SPDX-License-Identifier: MIT
"""The cookie store as Crossbar's WebSocket transports want it (FORMAT.md section 7.4): synchronous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from zlmdb.codecs import as_read
from zlmdb.errors import ZlmdbError
from zlmdb.plugins import Context, ManagedStore, Registry, configure
from zlmdb.twisted.crossbar._immediate import open_now, outcome

Auth: TypeAlias = tuple[str | None, str | None, str | None, str | None, dict[str, Any] | None]

_PLUGIN: Final = "cookiestore"
_NOBODY: Final[Auth] = (None, None, None, None, None)
_COOKIE_KEYS: Final = {"name": "cookie_name", "length": "length", "max_age": "max_age"}
_STORE_KEYS: Final = ("maxsize", "readonly", "sync", "purge_on_startup")


class RouterCookieStore:
    """The cookies of one transport, in the database at ``path``; on the reactor's thread.

    What writes has committed when it returns: a browser that was given a cookie can come back with it after any
    crash. A cookie that has expired is unknown. The database is closed when the reactor has shut down.

    ``cookie`` is the transport's configuration item, which Crossbar has checked; ``reactor`` is by default the
    installed one. Raises `PluginError` if the database cannot be opened.
    """

    _log = Logger()

    def __init__(self, path: str, cookie: Mapping[str, Any], reactor: Any = None) -> None:
        if reactor is None:
            from twisted.internet import reactor
        options: dict[str, Any] = {"type": _PLUGIN, "path": path, "short_values": True}  # lengths below 22 are allowed
        options |= {ours: cookie[key] for key, ours in _COOKIE_KEYS.items() if key in cookie}
        options |= {key: cookie["store"][key] for key in _STORE_KEYS if key in cookie["store"]}
        context = Context(open_database=open_now, call_later=reactor.callLater, reactor=reactor)
        self._cookie_id_field: str = cookie.get("name", "cbtid")  # the router's log shows it
        self._nobodies: set[str] = set()  # cookies of which the file says otherwise, and takes nothing
        self._connections: dict[str, set[Any]] = {}
        self._managed: ManagedStore = configure(Registry().load(_PLUGIN), options, context, name=path, path="cookie")
        outcome(ensureDeferred(self._managed.start()))
        reactor.addSystemEventTrigger("after", "shutdown", self._close)

    @property
    def _cookies(self) -> Any:  # the store of a plugin that is found by its name
        return self._managed.store

    def _close(self) -> Deferred[None]:
        return ensureDeferred(self._managed.stop())

    def parse(self, headers: Mapping[str, str]) -> str | None:
        """Return the value of our cookie in these headers, None if there is none that could be ours."""
        value: str | None = self._cookies.parse(headers.get("cookie", ""))
        return value

    def exists(self, cbtid: str) -> bool:
        """Tell whether there is a cookie of this value that has not expired."""
        known = self._cookies.lookup(cbtid) is not None
        if not known:
            self._nobodies.discard(cbtid)
        return known

    def create(self) -> tuple[str, str]:
        """Make a cookie that authenticates nobody; return its value, and the text for ``Set-Cookie``."""
        issued = outcome(self._cookies.create())
        return issued.value, f"{issued.name}={issued.value};max-age={issued.max_age}"

    def getAuth(self, cbtid: str) -> Auth:  # noqa: N802 - Crossbar's names from here on
        """Return authid, authrole, authmethod, authrealm and authextra of a cookie; all None if it is unknown."""
        cookie = self._cookies.lookup(cbtid)
        if cookie is None:
            self._nobodies.discard(cbtid)
            return _NOBODY
        if cbtid in self._nobodies:
            return (*_NOBODY[:4], {})
        return cookie.authid, cookie.authrole, cookie.authmethod, cookie.authrealm, cookie.authextra or {}

    def setAuth(  # noqa: N802
        self,
        cbtid: str,
        authid: str | None,
        authrole: str | None,
        authmethod: str | None,
        authextra: dict[str, Any] | None,
        authrealm: str | None,
    ) -> bool:
        """Remember whom a cookie authenticates, or with None that it authenticates nobody; False if it is unknown.

        The router calls it in the midst of a session's joining, or leaving, and goes no further if it raises. So what
        the store refuses is logged, and the cookie authenticates nobody then: least of all whom it did before.
        """
        try:
            extra = None if authextra is None else as_read(authextra)
            known = bool(outcome(self._cookies.authenticate(cbtid, authid, authrole, authmethod, authrealm, extra)))
        except ZlmdbError as error:
            self._log.error(  # without what was to be stored: it may be secret, and so is the value of the cookie
                "that a cookie authenticates {authid!r} is not stored: {what}; expected {expected}",
                authid=authid,
                what=error.what,
                expected=error.expected or "no failure",
            )
            self._forget(cbtid)
            return False
        self._nobodies.discard(cbtid)
        return known

    def _forget(self, cbtid: str) -> None:
        try:
            outcome(self._cookies.authenticate(cbtid, None))
        except ZlmdbError:  # the file takes nothing: then it has to be remembered here
            self._nobodies.add(cbtid)

    def delAuth(self, cbtid: str) -> bool:  # noqa: N802
        """Delete a cookie; return whether there was one."""
        known = bool(outcome(self._cookies.revoke(cbtid)))
        self._nobodies.discard(cbtid)  # not before: a cookie that could not be deleted still says whom it was of
        return known

    def addProto(self, cbtid: str, proto: Any) -> int:  # noqa: N802
        """Note a connection that came with this cookie; return how many there are."""
        self._connections.setdefault(cbtid, set()).add(proto)
        return len(self._connections[cbtid])

    def dropProto(self, cbtid: str, proto: Any) -> int:  # noqa: N802
        """Forget a connection; return how many are left."""
        connections = self._connections.get(cbtid, set())
        connections.discard(proto)
        if not connections:
            self._connections.pop(cbtid, None)
        return len(connections)

    def getProtos(self, cbtid: str) -> list[Any]:  # noqa: N802
        """Return the connections that came with this cookie."""
        return list(self._connections.get(cbtid, ()))
