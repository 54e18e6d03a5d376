# SPDX-License-Identifier: MIT
"""`open_database` and `AsyncDatabase`: a database whose operations return Deferreds."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple, overload

from twisted.internet.defer import Deferred

from zlmdb.errors import ConfigError
from zlmdb.orm import Map, Schema
from zlmdb.storage import Transaction
from zlmdb.twisted._bridge import ReactorBridge
from zlmdb.twisted._map import AsyncMap
from zlmdb.workers import DEFAULTS, DatabaseFace, Durability, Engine, Opening, Operation, Overflow, Reads, Settings
from zlmdb.workers.databaseface import check_seconds

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
S = TypeVar("S", bound=Schema)
Ts = TypeVarTuple("Ts")


def open_database(
    path: str | os.PathLike[str],
    *,
    reactor: Any = None,
    max_pending: int = DEFAULTS.max_pending,
    max_pending_bytes: int = DEFAULTS.max_pending_bytes,
    overflow: Overflow = DEFAULTS.overflow,
    durability: Durability = DEFAULTS.durability,
    reads: Reads = DEFAULTS.reads,
    readers: int = DEFAULTS.readers,
    close_at_shutdown: bool = True,
    shutdown_deadline: float | None = None,
    **database_options: Any,
) -> OpeningDatabase:
    """Open the database in the directory ``path`` on a thread; to be called on the reactor's thread.

    ``await`` what it returns, or write ``async with open_database(…) as db:``, which closes it too.

    Args:
        path: the directory.
        reactor: the one to use; by default the installed one.
        max_pending, max_pending_bytes, overflow, durability, reads, readers: see `zlmdb.workers.Settings`.
        close_at_shutdown: close before the reactor shuts down. From then on nothing is taken any more, so
            something that still has records to write when the shutdown begins passes False and closes itself.
        shutdown_deadline: seconds that the reactor's shutdown waits for queued writes; None for as long as
            it takes.
        database_options: those of `zlmdb.Database` (``maxsize``, ``readonly``, ``sync``, ``lib_version`` …).

    The Deferred fails with what `zlmdb.Database` raises, and with `ConfigError` for wrong options.
    """
    if reactor is None:
        from twisted.internet import reactor
    bridge = ReactorBridge(reactor)
    settings = Settings(
        max_pending=max_pending,
        max_pending_bytes=max_pending_bytes,
        overflow=overflow,
        durability=durability,
        reads=reads,
        readers=readers,
        options=database_options,
    )

    def make(engine: Engine) -> AsyncDatabase:
        db = AsyncDatabase(engine, bridge)
        if close_at_shutdown:
            db.close_before_shutdown(shutdown_deadline)
        return db

    opening = OpeningDatabase()
    try:
        check_seconds("shutdown_deadline", shutdown_deadline)
    except ConfigError as error:
        bridge.settle(opening, None, error)
    else:
        Opening(bridge, opening, os.fspath(path), settings, make).begin()
    return opening


class AsyncDatabase(DatabaseFace):
    """What `open_database` opens: the operations of `DatabaseFace`, which are described there, as Deferreds."""

    _map_face = AsyncMap
    _bridge: ReactorBridge
    _shutdown: Any = None  # the reactor's trigger, while it is to be removed at closing

    if TYPE_CHECKING:  # what is awaited is a Deferred

        def attach(self, schema: type[S]) -> Deferred[S]: ...
        def map(self, map_: Map[K, V]) -> AsyncMap[K, V]: ...
        def read(self, function: Callable[[Transaction, *Ts], T], *args: *Ts) -> Deferred[T]: ...
        @overload
        def write(
            self, function: Callable[[Transaction, *Ts], T], *args: *Ts, durability: Literal["commit"] | None = None
        ) -> Deferred[T]: ...
        @overload
        def write(
            self, function: Callable[[Transaction, *Ts], object], *args: *Ts, durability: Literal["queued"]
        ) -> Deferred[None]: ...
        def write(
            self, function: Callable[[Transaction, *Ts], Any], *args: *Ts, durability: Durability | None = None
        ) -> Deferred[Any]: ...
        def flushed(self) -> Deferred[None]: ...
        def backup(self, path: str | os.PathLike[str], compact: bool = True) -> Deferred[int]: ...
        def close(self, deadline: float | None = None) -> Deferred[int]: ...

    def close_before_shutdown(self, deadline: float | None = None) -> None:
        """Have the reactor's shutdown wait until this database is closed; ``deadline`` as for `close`.

        Raises:
            ConfigError: the deadline is no time.
        """
        check_seconds("deadline", deadline)
        self._shutdown = self._bridge.reactor.addSystemEventTrigger("before", "shutdown", self._stop, deadline)

    def _stop(self, deadline: float | None) -> Deferred[int]:
        self._shutdown = None  # it runs; it cannot be removed any more
        return self.close(deadline)

    def _ended(self, operation: Operation[int]) -> None:
        if self._shutdown is not None:
            self._bridge.reactor.removeSystemEventTrigger(self._shutdown)
            self._shutdown = None
        super()._ended(operation)


class OpeningDatabase(Deferred[AsyncDatabase]):
    """A Deferred that ``async with`` takes too: it opens the database and closes it at the end of the block."""

    _database: AsyncDatabase

    async def __aenter__(self) -> AsyncDatabase:
        self._database = await self
        return self._database

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._database.close()
