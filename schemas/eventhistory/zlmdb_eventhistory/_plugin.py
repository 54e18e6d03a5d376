# SPDX-License-Identifier: MIT
"""The history alone as a store: it opens a database and offers its methods as Deferreds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from zlmdb import Transaction
from zlmdb.errors import ConfigError, DatabaseClosed
from zlmdb.plugins import Context, Plugin
from zlmdb.twisted import AsyncDatabase
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._importing import Imported, OldHistory
from zlmdb_eventhistory._maintenance import Maintenance
from zlmdb_eventhistory._patterns import LARGEST, LONGEST_URI, Pattern
from zlmdb_eventhistory._query import Match, Subscription
from zlmdb_eventhistory._reading import Page
from zlmdb_eventhistory._schema import EventHistory
from zlmdb_eventhistory._sweeping import Sweeper
from zlmdb_eventhistory._tables import Dispatch

_SHORTEST_PAUSE: Final = 0.01  # seconds; sweeps without any pause would leave the loop to nothing else
_CENTURY: Final = 3_155_760_000  # in seconds


@dataclass(frozen=True, kw_only=True)
class PatternItem:
    """Topics that are indexed together, and limits of what is kept of them: ``max_age`` is in seconds."""

    uri: Annotated[str, MaxLen(LONGEST_URI)]
    match: Match = "exact"
    max_age: Annotated[float, Gt(0), Le(_CENTURY)] | None = None
    max_count: Annotated[int, Ge(1), Le(LARGEST)] | None = None
    max_bytes: Annotated[int, Ge(1), Le(LARGEST)] | None = None

    def __post_init__(self) -> None:
        if (size := len(self.uri.encode(errors="surrogatepass"))) > LONGEST_URI:
            raise ConfigError(f"uri has {size} bytes in UTF-8, expected at most {LONGEST_URI}, as topics have")

    def pattern(self) -> Pattern:
        """Return it as the history takes it."""
        age = None if self.max_age is None else max(round(self.max_age * 1e9), 1)
        return Pattern(self.uri, self.match, age, self.max_count, self.max_bytes)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the database is and how it is opened, and what is kept.

    ``maxsize`` is in bytes, None reserves address space. Every ``sweep_interval`` seconds what has expired is deleted,
    and patterns that are new are filled, ``sweep_slice`` records in a transaction. ``import_old`` brings what older
    programs have stored in this file into the history, once.
    """

    path: Annotated[str, MinLen(1)]
    maxsize: Annotated[int, Ge(131_072), Le(64 * 1024**4)] | None = None
    readonly: bool = False
    sync: bool = True
    patterns: list[PatternItem] = field(default_factory=list)
    sweep_interval: Annotated[float, Ge(_SHORTEST_PAUSE), Le(_CENTURY)] = 1.0
    sweep_slice: Annotated[int, Ge(1), Le(1_000_000)] = 4_000
    import_old: bool = False

    def __post_init__(self) -> None:
        patterns = Counter((item.uri, item.match) for item in self.patterns)
        if twice := sorted({f"{uri!r} ({match})" for (uri, match), times in patterns.items() if times > 1}):
            raise ConfigError(f"patterns has {', '.join(twice)} twice, expected each once, with all its limits")


class EventHistoryStore:
    """An event history in a file of its own; call it on the reactor's thread.

    Nothing raises: bad arguments, and use before the start or after the stop (`DatabaseClosed`), give failed
    Deferreds.
    """

    _log = Logger()

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._db: AsyncDatabase | None = None
        self._history: EventHistory | None = None
        self._sweeper: Sweeper | None = None

    # --- the steps of its life

    async def attach(self) -> None:
        """Open the database and attach the tables."""
        config = self._config
        self._db = db = await self._context.open_database(
            config.path, maxsize=config.maxsize, readonly=config.readonly, sync=config.sync
        )
        self._history = history = await db.attach(EventHistory)
        history.clock = self._context.time_ns

    async def migrate(self) -> None:
        """Import what older programs have stored, if that is configured, and take the configured patterns."""
        db, history, config = self._db, self._history, self._config
        assert db is not None
        assert history is not None
        if config.readonly:
            return
        if config.import_old:
            old = await db.attach(OldHistory)
            old.history = history
            imported = Imported()
            while not imported.done:
                imported = await db.write(old.step, config.sweep_slice)
            self._log.info("{path}: {imported}", path=config.path, imported=imported)
        await db.write(history.configure, [item.pattern() for item in config.patterns])

    def start(self) -> None:
        """Begin to delete what expires."""
        if not self._config.readonly:
            self._sweeper = Sweeper(self.maintain, self._config.sweep_interval, self._context.call_later)
            self._sweeper.start()

    async def drain(self) -> None:
        """Begin no further slice of the sweep, and wait for the one that runs; closing writes what was accepted."""
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            await sweeper.stop()

    async def stop(self) -> None:
        """Write what was accepted and close the database."""
        await self.drain()
        db, self._db, self._history = self._db, None, None
        if db is not None:
            await db.close()

    # --- what it is for

    def append(self, event: Event) -> Deferred[int]:
        """Store an event; fires with its sequence after the commit. See `EventHistory.append`.

        The event is read on the writer's thread: do not change what it holds until then.
        """
        if self._db is None or self._history is None:
            return self._not_open()
        return self._db.write(self._history.append, event)

    def dispatch(self, publication: int, subscription: Subscription, **details: Any) -> Deferred[Dispatch]:
        """Store that an event was sent; fires after the commit. See `EventHistory.dispatch`."""
        if self._db is None or self._history is None:
            return self._not_open()
        history = self._history

        def write(txn: Transaction) -> Dispatch:
            return history.dispatch(txn, publication, subscription, **details)

        return self._db.write(write)

    def dispatches(self, publication: int) -> Deferred[list[Dispatch]]:
        """Return to which subscriptions an event was sent."""
        if self._db is None or self._history is None:
            return self._not_open()
        return self._db.read(self._history.dispatches, publication)

    def configure(self, patterns: Iterable[Pattern]) -> Deferred[bool]:
        """Make these the configured patterns instead of those before. See `EventHistory.configure`."""
        if self._db is None or self._history is None:
            return self._not_open()
        return self._db.write(self._history.configure, list(patterns))

    def maintain(self) -> Deferred[Maintenance]:
        """Do a slice of what the sweep does, now. See `EventHistory.maintain`."""
        if self._db is None or self._history is None:
            return self._not_open()
        return self._db.write(self._history.maintain, self._config.sweep_slice)

    def page(self, **query: Any) -> Deferred[Page]:
        """Return a page of events; arguments as for `EventHistory.page`."""
        if self._db is None or self._history is None:
            return self._not_open()
        history = self._history

        def read(txn: Transaction) -> Page:
            return history.page(txn, **query)

        return self._db.read(read)

    def get(self, publication: int) -> Deferred[Event | None]:
        """Return the event with this publication id, or None."""
        if self._db is None or self._history is None:
            return self._not_open()
        return self._db.read(self._history.get, publication)

    def _not_open(self) -> Deferred[Any]:
        return fail(DatabaseClosed("the event history is not open", where=self._config.path, next_step="start it"))


plugin = Plugin("eventhistory", (1, 0), 1, Config, EventHistoryStore)
