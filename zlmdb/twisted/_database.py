# SPDX-License-Identifier: MIT
"""`open_database` and `AsyncDatabase`: a database whose operations return Deferreds."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, TypeVarTuple, overload

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from zlmdb.errors import WrongThread, WrongType
from zlmdb.orm import Database, Map, Schema
from zlmdb.orm.functions import check_function
from zlmdb.storage import Transaction
from zlmdb.twisted._bridge import Bridge, failure_of
from zlmdb.twisted._map import AsyncMap
from zlmdb.workers import Durability, Engine, Limits, Operation, Overflow, ReaderPool, Reads, WriterStats, open_handle

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
S = TypeVar("S", bound=Schema)
Ts = TypeVarTuple("Ts")
_DEFAULTS = Limits()


def open_database(
    path: str | os.PathLike[str],
    *,
    reactor: Any = None,
    max_pending: int = _DEFAULTS.max_pending,
    max_pending_bytes: int = _DEFAULTS.max_pending_bytes,
    overflow: Overflow = "wait",
    durability: Durability = "commit",
    reads: Reads = "inline",
    readers: int = 4,
    close_at_shutdown: bool = True,
    shutdown_deadline: float | None = None,
    **database_options: Any,
) -> Deferred[AsyncDatabase]:
    """Open the database in the directory ``path`` on a thread; to be called on the reactor's thread.

    Args:
        path: the directory.
        reactor: the one to use; by default the installed one.
        max_pending, max_pending_bytes: how many records and bytes may be accepted and not yet committed.
        overflow: beyond these limits ``wait`` lets a write wait for room, ``error`` fails it with
            `Backpressure`.
        durability: ``commit`` fires the Deferred of a put after its synced commit, ``queued`` when it is
            accepted (a crash may lose it, a stop does not, and `AsyncDatabase.flushed` waits for it).
        reads: ``inline`` reads single records on the reactor's thread, ``thread`` on a reader's: for values
            that are large, or often not in memory.
        readers: how many threads there are for reads.
        close_at_shutdown: close before the reactor shuts down. From then on nothing is taken any more, so
            something that still has records to write when the shutdown begins passes False and closes itself.
        shutdown_deadline: seconds that the reactor's shutdown waits for queued writes; None for as long as
            it takes.
        database_options: those of `zlmdb.Database` (``maxsize``, ``readonly``, ``sync``, ``lib_version`` …).

    The Deferred fails with what `zlmdb.Database` raises, and with `ConfigError` for wrong options.
    """
    if reactor is None:
        from twisted.internet import reactor
    path = os.fspath(path)
    try:
        limits = Limits(max_pending, max_pending_bytes, overflow=overflow)
        pool = ReaderPool(f"zlmdb-reader {path}", readers)
    except Exception:  # noqa: BLE001 - bad options fail the Deferred
        return fail()
    bridge = Bridge(reactor, pool)
    opened = bridge.threaded(open_handle, path, database_options)
    result: Deferred[AsyncDatabase] = Deferred()

    def make(database: Database) -> None:
        if result.called:  # cancelled meanwhile
            database.close()
            pool.end()
            return
        try:
            engine = Engine(
                database, pool, bridge.deliver, bridge.later, limits=limits, durability=durability, reads=reads
            )
        except Exception:  # noqa: BLE001 - bad options fail the Deferred
            database.close()
            refuse(failure_of())
        else:
            opened_database = AsyncDatabase(engine, bridge)
            if close_at_shutdown:
                opened_database.close_before_shutdown(shutdown_deadline)
            result.callback(opened_database)

    def refuse(failure: Failure) -> None:
        pool.end()
        if not result.called:
            result.errback(failure)

    opened.addCallbacks(make, refuse)
    return result


class AsyncDatabase:
    """A database with one writer thread and a few reader threads; made by `open_database`.

    To be used on the reactor's thread. Nothing but `begin` and `map` raises, which give no Deferreds: bad input,
    and use after closing (`DatabaseClosed`), give failed Deferreds. ``async with`` closes it at the end of the block.
    """

    def __init__(self, engine: Engine, bridge: Bridge) -> None:
        self._engine = engine
        self._bridge = bridge
        self._thread = threading.get_ident()
        self._waiting: list[Deferred[int]] = []  # those who wait for the end of closing
        self._timers: list[Any] = []  # deadlines of closing
        self._not_written: int | Failure | None = None  # the outcome of closing
        self._shutdown: Any = None  # the reactor's trigger, while it is to be removed at closing

    @property
    def database(self) -> Database:
        """The synchronous handle."""
        return self._engine.database

    def attach(self, schema: type[S]) -> Deferred[S]:
        """Return a schema attached to this database; works on a reader's thread, since it may write the catalogue."""
        return self._bridge.threaded(self.database.attach, schema)

    def map(self, map_: Map[K, V]) -> AsyncMap[K, V]:
        """Return the asynchronous form of an attached map; raises `WrongType` for what is no map."""
        if not isinstance(map_, Map):
            raise WrongType(
                "not a map",
                where=str(self.database.path),
                got=map_,
                expected="a map object, such as MapStringJson(7) or an attribute of an attached schema",
            )
        return AsyncMap(self._engine, self._bridge, map_)

    def read(self, function: Callable[[Transaction, *Ts], T], *args: *Ts) -> Deferred[T]:
        """Return ``function(txn, *args)``, run in a read transaction on a reader's thread.

        Fails with `WrongType` for functions that cannot run at one go, such as coroutine functions.
        """
        try:
            check_function(function)
        except TypeError:
            return fail()
        return self._bridge.threaded(self._engine.read, function, *args)

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
    ) -> Deferred[Any]:
        """Return ``function(txn, *args)``, run whole on the writer's thread, after its commit.

        It answers, so the default is ``commit``, whatever that of the database; with ``queued`` the Deferred
        fires with None on acceptance. What the function wrote is undone if it raises. It may be run again if
        it was rolled back, so it must not do anything but work on the transaction. Fails with `WrongType` for
        functions that cannot run at one go, such as coroutine functions.
        """
        return self._bridge.submitted(self._engine.writer, self._engine.write, function, args, durability or "commit")

    def flushed(self) -> Deferred[None]:
        """Fire when everything accepted before is committed and on the disk.

        Fails with `NotWritten` if a write that was acknowledged on acceptance has failed since the last call.
        """
        if self.database.is_readonly:  # then nothing was ever accepted
            return self._bridge.inline(self._engine.now, _nothing)
        return self._bridge.submitted(self._engine.writer, self._engine.writer.flushed)

    def stats(self) -> WriterStats:
        """Return what is pending and what was written so far."""
        return self._engine.writer.stats()

    def begin(self, write: bool = False) -> Transaction:
        """Return a transaction for ``with``; a write transaction not on the reactor's thread, where it would block.

        Raises:
            WrongThread: for a write transaction on the reactor's thread.
        """
        if write and threading.get_ident() == self._thread:
            raise WrongThread(
                "a write transaction would block the reactor's thread",
                where=str(self.database.path),
                next_step="use `await db.write(fn)`, with fn(txn) doing the work on the writer's thread",
            )
        return self.database.begin(write=write)

    # --- the end

    def close_before_shutdown(self, deadline: float | None = None) -> None:
        """Have the reactor's shutdown wait until this database is closed; ``deadline`` as for `close`."""
        self._shutdown = self._bridge.reactor.addSystemEventTrigger("before", "shutdown", self._stop, deadline)

    def close(self, deadline: float | None = None) -> Deferred[int]:
        """Take nothing new, write all that was asked for, close the file and end the threads.

        After ``deadline`` seconds what has not been written fails with `NotWritten`; the Deferred fires with
        the number of these records. Calling it again gives the same outcome. Cancelling it stops nothing.
        """
        if self._not_written is not None:
            return fail(self._not_written) if isinstance(self._not_written, Failure) else succeed(self._not_written)
        waiter: Deferred[int] = Deferred()
        self._waiting.append(waiter)
        if deadline is not None:
            self._timers.append(self._bridge.reactor.callLater(deadline, self._engine.give_up))
        if not self._engine.writer.closing:
            self._engine.close().subscribe(self._closed)
        return waiter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _stop(self, deadline: float | None) -> Deferred[int]:
        self._shutdown = None  # it runs; it cannot be removed any more
        return self.close(deadline)

    def _closed(self, operation: Operation[int]) -> None:
        if self._shutdown is not None:
            self._bridge.reactor.removeSystemEventTrigger(self._shutdown)
            self._shutdown = None
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._engine.release()
        self._not_written = outcome = operation.value or 0 if operation.error is None else failure_of(operation.error)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if isinstance(outcome, Failure):
                waiter.errback(outcome)
            else:
                waiter.callback(outcome)


def _nothing() -> None:
    """Answer without doing anything."""
