# SPDX-License-Identifier: MIT
"""What an environment of named databases does, whatever its event loop; the faces add the types."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar, TypeVarTuple

from zlmdb.codecs.coders import Coder, IdentityCoder
from zlmdb.errors import TransactionFinished
from zlmdb.storage import NamedTransaction
from zlmdb.workers.bridge import Bridge
from zlmdb.workers.coded import EnvironmentTransaction, HasCoded
from zlmdb.workers.databaseface import DatabaseFace
from zlmdb.workers.engine import Engine
from zlmdb.workers.namedface import Access, checked_name
from zlmdb.workers.stats import WriterStats

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_INFO = ("map_addr", "map_size", "last_pgno", "last_txnid", "max_readers", "num_readers")
_IDENTITY = IdentityCoder()


class EnvironmentFace:
    """An LMDB environment with one writer thread and a few reader threads. To be used on the loop's thread.

    Away from the loop calls whose outcome is awaited raise `WrongThread`; what else is wrong fails what is awaited.
    ``async with`` closes it at the end of the block. ``closer`` closes it, and counts what is written.
    """

    _batch_face: ClassVar[type[BatchFace]]

    def __init__(self, engine: Engine, bridge: Bridge, closer: DatabaseFace) -> None:
        self._engine = engine
        self._access = Access(engine, bridge)
        self._closer = closer
        # in LMDB 1.0 a byte more stands behind names
        self._longest_name = engine.max_key_size - (self._access.handle.lib_version != "0.9")

    @property
    def path(self) -> str:
        """The directory."""
        return self._access.handle.path

    @property
    def max_key_size(self) -> int:
        """The longest key in bytes."""
        return self._engine.max_key_size

    def _named(
        self, name: str | bytes, key_coder: Coder[Any] | None, value_coder: Coder[Any] | None
    ) -> tuple[Access, bytes | None, Coder[Any], Coder[Any]]:
        raw = checked_name(name, self._longest_name)
        keys, values = (_IDENTITY if coder is None else coder for coder in (key_coder, value_coder))
        return self._access, raw, keys, values

    def run(
        self, function: Callable[[EnvironmentTransaction, *Ts], T], *args: *Ts, write: bool = False
    ) -> Awaitable[T]:
        """Return ``function(txn, *args)``, run whole in one transaction over all databases, on a worker's thread.

        ``txn[users]`` is the database ``users`` in it, a `BoundDatabase`. The function may be run again, so it
        must not do anything but work on the transaction; what it wrote is undone if it raises. Fails with
        `WrongType` for coroutine and generator functions.
        """
        return self._access.run(function, EnvironmentTransaction, args, write)

    def batch(self) -> BatchFace:
        """Return a collection of writes to several databases that are made together or not at all."""
        return self._batch_face(self._access)

    def copy(self, path: str | os.PathLike[str], compact: bool = False) -> Awaitable[int]:
        """Copy what is committed to the new directory ``path``; return the copy's bytes: see `zlmdb.Database.backup`.

        Await `sync` first if it shall hold what was asked for.
        """
        return self._access.threaded(self._access.handle.backup, path, compact)

    def sync(self) -> Awaitable[None]:
        """Wait until everything asked for before is on the disk, also where it was opened with ``sync=False``."""
        return self._closer.flushed()

    def stat(self) -> Awaitable[dict[str, int]]:
        """Return LMDB's figures of the default database, in which each named one is an entry; see `stat` there."""
        return self._figures(lambda name: name not in _INFO)

    def info(self) -> Awaitable[dict[str, int]]:
        """Return LMDB's figures of the environment: size of the map in bytes, last page and transaction, readers."""
        return self._figures(lambda name: name in _INFO)

    def names(self) -> Awaitable[list[bytes]]:
        """Return the names of the databases in the file."""
        return self._access.threaded(self._names)

    def stats(self) -> WriterStats:
        """Return what is pending and what was written so far; any thread."""
        return self._closer.stats()

    def close(self, deadline: float | None = None) -> Awaitable[int]:
        """Take nothing new, write all that was asked for, close the file and end the threads.

        After ``deadline`` seconds what has not been written fails with `NotWritten`; the answer is the number
        of these records. Calling it again gives the same outcome. Cancelling it stops nothing.
        """
        return self._closer.close(deadline)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _figures(self, wanted: Callable[[str], bool]) -> Awaitable[dict[str, int]]:
        def figures() -> dict[str, int]:
            found = self._access.handle.environment.stat()
            return {name: value for name, value in found.items() if wanted(name)}

        return self._access.threaded(figures)

    def _names(self) -> list[bytes]:
        return self._access.handle.environment.names_of_databases()


class BatchFace:
    """Writes to several databases as one operation, without a transaction held open while they are collected.

    ``async with env.batch() as batch:`` submits them at the end of the block, and waits; an exception that leaves
    the block discards them. They are executed in order, the first that fails is the outcome, and nothing of them
    remains then. Objects must not be changed until the end.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._writes: list[Callable[[EnvironmentTransaction], Any]] | None = []
        self.results: list[Any] = []
        """What each write returned, in order, after the block."""

    def put(self, database: HasCoded[K, V], key: K, value: V, overwrite: bool = True) -> None:
        """Store a record: see `BoundDatabase.put`."""
        self._add(lambda txn: txn[database].put(key, value, overwrite))

    def delete(self, database: HasCoded[K, V], key: K) -> None:
        """Delete a record."""
        self._add(lambda txn: txn[database].delete(key))

    def pop(self, database: HasCoded[K, V], key: K) -> None:
        """Delete a record; its value is the result."""
        self._add(lambda txn: txn[database].pop(key))

    def replace(self, database: HasCoded[K, V], key: K, value: V) -> None:
        """Store a record; the value it replaces is the result."""
        self._add(lambda txn: txn[database].replace(key, value))

    def drop(self, database: HasCoded[Any, Any]) -> None:
        """Delete all records of a database."""
        self._add(lambda txn: txn[database].drop())

    def submit(self) -> Awaitable[list[Any]]:
        """Submit the writes, without ``async with``; the outcome is the list of their results."""
        writes = self._open()
        self._writes = None

        def work(txn: NamedTransaction, pace: Callable[[], object]) -> list[Any]:
            bound = EnvironmentTransaction(txn, pace)
            return [write(bound) for write in writes]

        what = f"batch of {len(writes)} writes"
        return self._access.write(work, what=what, records=len(writes))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if exc_type is None:
                self.results = await self.submit()
        finally:
            self._writes = None

    def _add(self, write: Callable[[EnvironmentTransaction], Any]) -> None:
        self._open().append(write)

    def _open(self) -> list[Callable[[EnvironmentTransaction], Any]]:
        if self._writes is None:
            raise TransactionFinished(
                "the batch was submitted already",
                where=self._access.handle.path,
                next_step="begin another: env.batch()",
            )
        return self._writes
