# SPDX-License-Identifier: MIT
"""What an asynchronous database does, whatever its event loop; the faces add the types of what is awaited."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeVar, TypeVarTuple, overload

from zlmdb.errors import ConfigError, WrongThread, WrongType
from zlmdb.orm import Database, Map, Schema
from zlmdb.orm.functions import check_function
from zlmdb.storage import Transaction
from zlmdb.workers.bridge import Bridge
from zlmdb.workers.engine import Engine
from zlmdb.workers.group import Group
from zlmdb.workers.mapface import MapFace
from zlmdb.workers.operation import Durability, Operation
from zlmdb.workers.stats import WriterStats

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
S = TypeVar("S", bound=Schema)
Ts = TypeVarTuple("Ts")


class DatabaseFace:
    """A database with one writer thread and a few reader threads.

    To be used on the loop's thread, where each call submits its work at once, awaited or not. Bad input, and use
    after closing (`DatabaseClosed`), fail what is awaited; `begin` and `map`, which are not awaited, raise. Away
    from the loop every call raises `WrongThread`, but for `begin`, `stats` and `database`, which are for all threads.
    ``async with`` closes the database at the end of the block.
    """

    _map_face: ClassVar[type[MapFace[Any, Any]]]

    def __init__(self, engine: Engine, bridge: Bridge) -> None:
        self._engine = engine
        self._bridge = bridge
        self._waiting: list[Any] = []  # those who wait for the end of closing
        self._timers: list[Callable[[], object]] = []  # what stops the deadlines of closing
        self._closed: tuple[int | None, BaseException | None] | None = None  # the outcome of closing

    @property
    def database(self) -> Database:
        """The synchronous handle."""
        return self._engine.database

    def attach(self, schema: type[S]) -> Awaitable[S]:
        """Return a schema attached to this database; works on a reader's thread, since it may write the catalogue."""
        return self._threaded(lambda: self.database.attach(schema))

    def map(self, map_: Map[K, V]) -> MapFace[K, V]:
        """Return the asynchronous form of an attached map; raises `WrongType` for what is no map."""
        if not isinstance(map_, Map):
            raise WrongType(
                "not a map",
                where=str(self.database.path),
                got=map_,
                expected="a map object, such as MapStringJson(7) or an attribute of an attached schema",
            )
        return self._map_face(self._engine, self._bridge, map_)

    def read(self, function: Callable[[Transaction, *Ts], T], *args: *Ts) -> Awaitable[T]:
        """Return ``function(txn, *args)``, run in a read transaction on a reader's thread.

        Fails with `WrongType` for functions that cannot run at one go, such as coroutine functions.
        """
        try:
            check_function(function)
        except TypeError as error:
            return self._bridge.outcome(None, error)
        return self._threaded(self._engine.read, function, *args)

    @overload
    def write(
        self, function: Callable[[Transaction, *Ts], T], *args: *Ts, durability: Literal["commit"] | None = None
    ) -> Awaitable[T]: ...
    @overload
    def write(
        self, function: Callable[[Transaction, *Ts], object], *args: *Ts, durability: Literal["queued"]
    ) -> Awaitable[None]: ...
    def write(
        self, function: Callable[[Transaction, *Ts], Any], *args: *Ts, durability: Durability | None = None
    ) -> Awaitable[Any]:
        """Return ``function(txn, *args)``, run whole on the writer's thread, after its commit.

        It answers, so the default is ``commit``, whatever that of the database; with ``queued`` the answer is
        None and comes on acceptance. What the function wrote is undone if it raises. It may be run again if
        it was rolled back, so it must not do anything but work on the transaction. Fails with `WrongType` for
        functions that cannot run at one go, such as coroutine functions.
        """
        return self._submitted(self._engine.write, function, args, durability or "commit")

    def batch(self, *, durability: Durability = "commit") -> Batch:
        """Return a collection of writes to several maps that are made together or not at all: see `Batch`."""
        return Batch(self._engine, self._bridge, durability)

    def flushed(self) -> Awaitable[None]:
        """Wait until everything accepted before is committed and on the disk.

        Fails with `NotWritten` if a write that was acknowledged on acceptance has failed since the last call.
        """
        if self.database.is_readonly:  # then nothing was ever accepted
            return self._bridge.inline(self._engine.now, _nothing)
        return self._submitted(self._engine.writer.flushed)

    def backup(self, path: str | os.PathLike[str], compact: bool = True) -> Awaitable[int]:
        """Copy what is committed to the new directory ``path``, on a reader's thread, and return the copy's bytes.

        See `zlmdb.Database.backup`. Await `flushed` first if it shall hold what was accepted.
        """
        return self._threaded(self.database.backup, path, compact)

    def stats(self) -> WriterStats:
        """Return what is pending and what was written so far."""
        return self._engine.writer.stats()

    def begin(self, write: bool = False) -> Transaction:
        """Return a transaction for ``with``; a write transaction not on the loop's thread, where it would block.

        Raises:
            WrongThread: for a write transaction on the loop's thread.
        """
        if write and threading.get_ident() == self._bridge.thread:
            raise WrongThread(
                "a write transaction would block the event loop's thread",
                where=str(self.database.path),
                next_step="use `await db.write(fn)`, with fn(txn) doing the work on the writer's thread",
            )
        return self.database.begin(write=write)

    # --- the end

    def close(self, deadline: float | None = None) -> Awaitable[int]:
        """Take nothing new, write all that was asked for, close the file and end the threads.

        After ``deadline`` seconds what has not been written fails with `NotWritten`; the answer is the number
        of these records. Calling it again gives the same outcome. Cancelling it stops nothing.
        """
        bridge = self._bridge
        bridge.check()
        if self._closed is not None:
            return bridge.outcome(*self._closed)
        try:
            check_seconds("deadline", deadline)
        except ConfigError as error:
            return bridge.outcome(None, error)
        waiter: Awaitable[int] = bridge.waiter()
        self._waiting.append(waiter)
        if deadline is not None:
            self._timers.append(bridge.after(deadline, self._engine.give_up))
        if not self._engine.writer.closing:
            self._engine.close().subscribe(self._ended)
        return waiter

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _ended(self, operation: Operation[int]) -> None:
        for stop in self._timers:
            stop()
        self._engine.release()
        error = operation.error
        self._closed = (operation.value or 0 if error is None else None, error)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            self._bridge.settle(waiter, *self._closed)

    # --- the way there

    def _threaded(self, function: Callable[..., T], *args: Any) -> Awaitable[T]:
        return self._bridge.threaded(self._engine.readers, function, *args)

    def _submitted(self, submit: Callable[..., Operation[T]], *args: Any) -> Awaitable[T]:
        return self._bridge.submitted(submit, *args)


class Batch(Group):
    """Writes to several maps as one operation, without a transaction held open while they are collected.

    ``async with db.batch() as batch: batch.put(users, key, value)`` submits them at the end of the block, and waits
    until they are answered, as ``durability`` says; an exception that leaves the block discards them. What the
    methods take, and when they are executed: see `zlmdb.workers.Group`.
    """

    def __init__(self, engine: Engine, bridge: Bridge, durability: Durability) -> None:
        super().__init__(engine)
        self._bridge = bridge
        self._durability = durability
        self.results: list[Any] | None = None
        """What each write returned, in order, after the block; None for the ``queued`` durability."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if exc_type is None:
                self.results = await self._bridge.submitted(self.submit, self._durability)
        finally:
            self.discard()


def check_seconds(name: str, value: object) -> None:
    """Raise `ConfigError` unless ``value`` is None or a time to wait."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0):
        return
    raise ConfigError("not a time to wait", where=name, got=value, expected="seconds >= 0, or None")


def _nothing() -> None:
    """Answer without doing anything."""
