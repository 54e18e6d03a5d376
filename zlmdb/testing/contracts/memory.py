# SPDX-License-Identifier: MIT
"""Stores without a file, for tests of programs that use stores: they keep everything until they are stopped."""

from __future__ import annotations

import dataclasses
import itertools
import re
import secrets
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from twisted.internet.defer import Deferred, execute

from zlmdb.errors import DatabaseClosed, WrongValue
from zlmdb.plugins import API_VERSION, Context, Plugin

_SECOND: Final = 10**9
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _MemoryStore:
    """The steps of a store that has nothing to open."""

    def __init__(self, config: Any, context: Context) -> None:
        self._config = config
        self._now = context.time_ns
        self._running = False

    def attach(self) -> None:
        """Do nothing."""

    def migrate(self) -> None:
        """Do nothing."""

    def start(self) -> None:
        """Take work from now on."""
        self._running = True

    def drain(self) -> None:
        """Take nothing more."""
        self._running = False

    def stop(self) -> None:
        """Do nothing: what was kept goes with the store."""

    def _check(self) -> None:
        if not self._running:
            raise DatabaseClosed("the store is not running", where=type(self).__name__, next_step="start it")


# --- cookies ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class MemoryCookieConfig:
    """The keys of a `MemoryCookieStore`; ``max_age`` is in seconds."""

    cookie_name: str = "cbtid"
    max_age: int = 604800


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryCookie:
    """A cookie: as it is handed out, and as it is looked up. ``created`` is in nanoseconds, ``max_age`` in seconds."""

    name: str
    value: str = dataclasses.field(repr=False)
    created: int
    max_age: int
    authid: str | None = None
    authrole: str | None = None
    authmethod: str | None = None
    authrealm: str | None = None
    authextra: dict[str, Any] | None = None

    @property
    def header(self) -> str:
        """The text of a ``Set-Cookie`` header."""
        return f"{self.name}={self.value}; Max-Age={self.max_age}; Path=/"


class MemoryCookieStore(_MemoryStore):
    """Cookies in memory, with the methods that `zlmdb.testing.CookieStoreContract` asks for."""

    def __init__(self, config: MemoryCookieConfig, context: Context) -> None:
        super().__init__(config, context)
        self._cookies: dict[str, MemoryCookie] = {}

    def create(self, *, name: str | None = None, max_age: int | None = None) -> Deferred[MemoryCookie]:
        """Make a cookie; fails with `WrongValue` for what none can have."""
        config = self._config
        return execute(
            self._create, config.cookie_name if name is None else name, config.max_age if max_age is None else max_age
        )

    def _create(self, name: str, max_age: object) -> MemoryCookie:
        self._check()
        if not _KEY.fullmatch(name):
            raise WrongValue("not a name of a cookie", got=name, expected=_KEY.pattern)
        if type(max_age) is not int or max_age <= 0:
            raise WrongValue("not a lifetime of a cookie", got=max_age, expected="an int of seconds > 0")
        cookie = MemoryCookie(name=name, value=secrets.token_urlsafe(18), created=self._now(), max_age=max_age)
        self._cookies[cookie.value] = cookie
        return cookie

    def lookup(self, value: str) -> MemoryCookie | None:
        """Return a cookie that has not expired."""
        self._check()
        cookie = self._cookies.get(value)
        return None if cookie is None or self._has_expired(cookie) else cookie

    def _has_expired(self, cookie: MemoryCookie) -> bool:
        return cookie.created + cookie.max_age * _SECOND <= self._now()

    def authenticate(
        self,
        value: str,
        authid: str | None,
        authrole: str | None = None,
        authmethod: str | None = None,
        authrealm: str | None = None,
        authextra: dict[str, Any] | None = None,
    ) -> Deferred[bool]:
        """Remember whom a cookie authenticates; fires with False if there is none."""
        identity = {"authid": authid, "authrole": authrole, "authmethod": authmethod}
        return execute(self._authenticate, value, {**identity, "authrealm": authrealm, "authextra": authextra})

    def _authenticate(self, value: str, identity: dict[str, Any]) -> bool:
        cookie = self.lookup(value)
        if cookie is not None:
            self._cookies[value] = dataclasses.replace(cookie, **identity)
        return cookie is not None

    def revoke(self, value: str) -> Deferred[bool]:
        """Forget a cookie."""
        return execute(self._forget, [value]).addCallback(bool)

    def revoke_all(self, authid: str) -> Deferred[int]:
        """Forget the cookies of an authid."""
        return execute(self._forget, [each.value for each in self._cookies.values() if each.authid == authid])

    def sweep(self) -> Deferred[int]:
        """Forget what has expired."""
        return execute(self._forget, [each.value for each in self._cookies.values() if self._has_expired(each)])

    def _forget(self, values: list[str]) -> int:
        self._check()
        return sum(self._cookies.pop(value, None) is not None for value in values)

    def parse(self, header: str) -> str | None:
        """Return the value of our cookie in a ``Cookie`` header."""
        pairs = (pair.strip().partition("=") for pair in header.split(";"))
        return next((value for key, _, value in pairs if key == self._config.cookie_name and value), None)


# --- realms ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class MemoryItem:
    """A URI, how it is matched, and how many events or calls there may be."""

    uri: str
    match: str = "exact"
    limit: int = 100

    def matches(self, uri: str) -> bool:
        """Tell whether a URI is meant."""
        if self.match == "prefix":
            return uri.startswith(self.uri)
        pattern, parts = self.uri.split("."), uri.split(".")
        if self.match == "wildcard":
            return len(pattern) == len(parts) and all(
                own in ("", part) for own, part in zip(pattern, parts, strict=True)
            )
        return uri == self.uri


@dataclasses.dataclass(frozen=True)
class MemoryRealmConfig:
    """The keys of a `MemoryRealmStore`, as a router has them."""

    event_history: list[MemoryItem] = dataclasses.field(default_factory=list)
    call_queue: list[MemoryItem] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class MemoryCall:
    """A call that waits."""

    session: Any
    call: Any
    registration: Any
    authorization: Any


class MemoryRealmStore(_MemoryStore):
    """A realm in memory, behind a router's realm-store interface (FORMAT.md section 7.1)."""

    def __init__(self, config: MemoryRealmConfig, context: Context) -> None:
        super().__init__(config, context)
        self._events: list[dict[str, Any]] = []
        self._sessions: list[tuple[int, dict[str, Any]]] = []  # with the time of joining, the oldest first
        self._items: dict[int, MemoryItem] = {}
        self._calls: dict[int, deque[MemoryCall]] = {}

    def store_session_joined(self, session: Any, details: Any) -> None:
        """Remember a session."""
        self._check()
        names = ["realm", "session", "authid", "authrole", "authmethod", "authprovider", "authextra"]
        names += ["serializer", "resumed", "resumable", "resume_token"]
        found = {name: getattr(details, name, None) for name in names}
        self._sessions.append((self._now(), found | {"transport": details.transport.marshal()}))

    def store_session_left(self, session: Any, details: Any) -> None:
        """Do nothing: sessions are remembered."""
        self._check()

    def get_session_by_session_id(self, session_id: int, joined_before: int | None = None) -> dict[str, Any] | None:
        """Return the details of the session that joined last."""
        joined = [
            found
            for joined_at, found in self._sessions
            if found["session"] == session_id and (joined_before is None or joined_at < joined_before)
        ]
        return joined[-1] if joined else None

    def get_sessions_by_authid(self, authid: str) -> list[tuple[int, int]]:
        """Return id and time of joining of the sessions of an authid, newest first."""
        return [(found["session"], time) for time, found in reversed(self._sessions) if found["authid"] == authid]

    def attach_subscription_map(self, subscription_map: Any) -> None:
        """Observe the subscriptions of the configuration."""
        for item in self._config.event_history:
            observation, *_ = subscription_map.add_observer(self, uri=item.uri, match=item.match)
            self._items[observation.id] = item

    def store_event(self, session: Any, publication_id: int, publish: Any) -> None:
        """Keep a publication."""
        self._check()
        event = {"time_ns": self._now(), "publication": publication_id, "session_id": session._session_id}
        event |= {name: getattr(session, f"_{name}") for name in ("realm", "authid", "authrole")}
        event |= {name: getattr(publish, name) for name in ("topic", "args", "kwargs")}
        self._events.append(event)

    def store_event_history(self, publication_id: int, subscription_id: int, receiver: Any) -> None:
        """Do nothing: an event is kept once."""

    def get_events(self, subscription_id: int, limit: int | None = None) -> list[dict[str, Any]] | None:
        """Return the events of a subscription, newest first."""
        return self.get_event_history(subscription_id, 0, 2**64, reverse=True, limit=limit)

    def get_event_history(
        self, subscription_id: int, from_ts: int, until_ts: int, reverse: bool | None = None, limit: int | None = None
    ) -> list[dict[str, Any]] | None:
        """Return the events of a subscription between two times."""
        item = self._items.get(subscription_id)
        if item is None:
            return None
        events: Iterator[dict[str, Any]] = reversed(self._events) if reverse else iter(self._events)
        found = (each for each in events if item.matches(each["topic"]) and from_ts <= each["time_ns"] < until_ts)
        return list(itertools.islice(found, item.limit if limit is None else min(limit, item.limit)))

    def maybe_queue_call(self, session: Any, call: Any, registration: Any, authorization: Any) -> bool:
        """Queue a call if its procedure has a queue with room."""
        limits = [item.limit for item in self._config.call_queue if item.matches(registration.uri)]
        queue = self._calls.setdefault(registration.id, deque())
        if len(queue) >= max(limits, default=0):
            return False
        queue.append(MemoryCall(session, call, registration, authorization))
        return True

    def get_queued_call(self, registration: Any) -> MemoryCall | None:
        """Return the oldest queued call."""
        return next(iter(self._calls.get(registration.id, ())), None)

    def pop_queued_call(self, registration: Any) -> MemoryCall | None:
        """Remove and return the oldest queued call."""
        queue = self._calls.get(registration.id)
        return queue.popleft() if queue else None


memory_cookies = Plugin("memory-cookies", API_VERSION, 1, MemoryCookieConfig, MemoryCookieStore)
memory_realm = Plugin("memory-realm", API_VERSION, 1, MemoryRealmConfig, MemoryRealmStore)
