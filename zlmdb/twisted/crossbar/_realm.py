# SPDX-License-Identifier: MIT
"""The realm store as Crossbar's router wants it (FORMAT.md sections 7.1 and 7.2)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from zlmdb.configuration import check
from zlmdb.errors import ConfigError, ZlmdbError
from zlmdb.plugins import Context, ManagedStore, Registry, configure
from zlmdb.twisted import open_database

STORE_TYPE: Final = "cfxdb"
"""What a node's configuration calls this store."""
NOT_STORED: Final = "zlmdb.error.not_stored"
"""The URI of the error that a publisher gets whose event the store refuses; the text is its argument."""
_PLUGIN: Final = "realmstore"


def check_realm_store(realm: Any, types: Sequence[str]) -> None:
    """Check the item ``store`` of a realm's configuration; ``types`` are those that the node has.

    Raises:
        ConfigError: ``problems`` has a line for every fault, which begins with its path.
    """
    if not isinstance(realm, Mapping) or not realm.get("store"):
        return
    store, path = realm["store"], f"realm {realm.get('name')!r}: store"
    if not isinstance(store, Mapping):
        raise _fault(f"{path}: expected a mapping, got {store!r}")
    if store.get("type") not in types:
        raise _fault(f"{path}.type: expected {' or '.join(map(repr, types))}, got {store.get('type')!r}")
    if store["type"] == STORE_TYPE:
        check(Registry().load(_PLUGIN).config, store, path)


def _fault(problem: str) -> ConfigError:
    return ConfigError(problem, problems=(problem,))


class RouterRealmStore:
    """The store of one realm of a router; on the reactor's thread.

    What the router is told to keep is in the buffer of the store when a method returns, and in the file at the
    latest when the reactor shuts down. An event that the store refuses is refused to its publisher too: it is
    neither acknowledged nor dispatched. A session that it refuses is logged, and may join all the same.
    A buffer that is full holds up the connection from which the publications come (``overflow: wait``).

    A store that cannot be opened stops no other realm of the node: its own realm runs, and all events that it should
    keep, and all questions for them, are refused with the cause.

    Raises `ConfigError` for a wrong configuration, with a path for each fault.
    """

    STORE_TYPE: Final = STORE_TYPE
    GLOBAL_HISTORY_LIMIT: Final = 100

    _log = Logger()
    _session_id = None  # the router reads it from all observers of a subscription

    def __init__(self, personality: Any, factory: Any, config: Mapping[str, Any]) -> None:
        from twisted.internet import reactor

        twisted: Any = reactor  # Twisted types it as a module
        # the store closes its database itself, after the last flush
        opener = partial(open_database, reactor=twisted, close_at_shutdown=False)
        context = Context(open_database=opener, call_later=twisted.callLater, reactor=twisted)
        name = str(config.get("path"))
        self._managed: ManagedStore = configure(Registry().load(_PLUGIN), config, context, name=name, path="store")
        realm: Any = self._managed.store  # of a plugin that is found by its name
        realm.parse_call = importlib.import_module("autobahn.wamp.message").Call.parse
        self._realm = realm
        self._holds_up = config.get("overflow", "wait") == "wait"
        self._held_up: set[Any] = set()
        self._failure: ZlmdbError | None = None  # why it cannot be used

    # --- its life

    @property
    def type(self) -> str:
        """The store's type in a configuration."""
        return STORE_TYPE

    @property
    def is_running(self) -> bool:
        """Whether it is started and not stopped."""
        return bool(self._realm.is_running)

    def start(self) -> Deferred[None]:
        """Open the database; fires in any case, since Crossbar would end all realms if it failed."""
        return ensureDeferred(self._start())

    async def _start(self) -> None:
        try:
            await self._managed.start()
        except ZlmdbError as error:
            self._failure = error
            self._log.critical("a realm runs without its store, and refuses what it should keep: {error}", error=error)

    def stop(self) -> Deferred[None]:
        """Write all that was taken and close; the reactor's shutdown does so too."""
        return ensureDeferred(self._managed.stop())

    # --- sessions

    def store_session_joined(self, session: Any, details: Any) -> None:
        """Store a session that joins; what the store refuses is logged."""
        self._unless_refused("a session that joined", self._realm.store_session_joined, session, details)

    def store_session_left(self, session: Any, details: Any) -> None:
        """Store that a session left; what the store refuses is logged."""
        self._unless_refused("that a session left", self._realm.store_session_left, session, details)

    def _unless_refused(self, what: str, store: Callable[[Any, Any], None], session: Any, details: Any) -> None:
        if self._failure is not None:  # in the log already
            return
        try:
            store(session, details)
        except ZlmdbError as error:
            self._log.error("{what} is not stored: {error}", what=what, error=error, session=session)

    def get_session_by_session_id(self, session_id: int, joined_before: int | None = None) -> dict[str, Any] | None:
        """Return the details of the session with this id that joined last, or last before a time in nanoseconds."""
        if self._failure is not None:
            return None
        found: dict[str, Any] | None = self._realm.get_session_by_session_id(session_id, joined_before)
        return found

    def get_sessions_by_authid(self, authid: str) -> list[tuple[int, int]]:
        """Return (session id, joined at in ns) of all sessions of an authid, newest first."""
        found: list[tuple[int, int]] = [] if self._failure else self._realm.get_sessions_by_authid(authid)
        return found

    # --- events

    def attach_subscription_map(self, subscription_map: Any) -> None:
        """Observe the subscriptions whose history is kept."""
        self._realm.attach_subscription_map(subscription_map, self)

    def store_event(self, session: Any, publication_id: int, publish: Any) -> None:
        """Store a publication; raises what the store does, once its publisher has been told."""
        try:
            self._check_usable()
            self._realm.store_event(session, publication_id, publish)
        except ZlmdbError as error:
            _tell(session, publish, error)
            raise
        if self._holds_up and self._realm.is_full:
            self._hold_up(session)

    def store_event_history(self, publication_id: int, subscription_id: int, receiver: Any) -> None:
        """Do nothing: an event is stored once, whoever receives it."""

    def get_events(self, subscription_id: int, limit: int | None = None) -> list[dict[str, Any]] | None:
        """Return the newest events of a subscription, newest first; None if no history is kept for it."""
        self._check_usable()
        found: list[dict[str, Any]] | None = self._realm.get_events(subscription_id, limit)
        return found

    def get_event_history(
        self,
        subscription_id: int,
        from_ts: int | None,
        until_ts: int | None,
        reverse: bool | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]] | None:
        """Return the events of a subscription with ``from_ts <= time < until_ts``, in nanoseconds."""
        self._check_usable()
        found: list[dict[str, Any]] | None
        found = self._realm.get_event_history(subscription_id, from_ts, until_ts, reverse, limit)
        return found

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _hold_up(self, session: Any) -> None:
        """Read nothing more from the connection of a session until what is buffered has been written."""
        connection: Any = getattr(getattr(session, "_transport", None), "transport", None)
        if connection is None or connection in self._held_up or not hasattr(connection, "pauseProducing"):
            return
        self._held_up.add(connection)
        connection.pauseProducing()

        def go_on(_: object) -> None:
            self._held_up.discard(connection)
            connection.resumeProducing()

        self._realm.flushed().addBoth(go_on)

    # --- queued calls

    def maybe_queue_call(self, session: Any, call: Any, registration: Any, authorization: Any) -> bool:
        """Queue a call if the configuration names its procedure and there is room; return whether it did."""
        return bool(self._realm.maybe_queue_call(session, call, registration, authorization))

    def get_queued_call(self, registration: Any) -> Any:
        """Return the oldest queued call of a registration, or None."""
        return self._realm.get_queued_call(registration)

    def pop_queued_call(self, registration: Any) -> Any:
        """Remove and return the oldest queued call of a registration, or None."""
        return self._realm.pop_queued_call(registration)


def _tell(session: Any, publish: Any, error: ZlmdbError) -> None:
    """Answer a publication that wants to be acknowledged: the router sends nothing when its store raises."""
    if not publish.acknowledge or not getattr(session, "_transport", None):
        return
    message = importlib.import_module("autobahn.wamp.message")
    reply = message.Error(message.Publish.MESSAGE_TYPE, publish.request, NOT_STORED, [str(error)])
    session._transport.send(reply)  # as the router would
