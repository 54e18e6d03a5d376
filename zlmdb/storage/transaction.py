# SPDX-License-Identifier: MIT
"""Transactions: begin, commit, roll back, savepoints, and the three functions that all reads and writes go through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, ClassVar, Self

import lmdb

from zlmdb.errors import ConfigError, DatabaseError, WrongThread
from zlmdb.storage import faults
from zlmdb.storage.environment import Environment

_get_ident = threading.get_ident


class TransactionStats:
    """Counts of one transaction or several: ``puts`` and ``dels`` are records, index records among them."""

    def __init__(self) -> None:
        self.puts = 0
        self.dels = 0
        self._started = time.time_ns()

    @property
    def started(self) -> int:
        """When counting began, in ns since 1970."""
        return self._started

    @property
    def duration(self) -> int:
        """Time since counting began, in ns."""
        return time.time_ns() - self._started

    def reset(self) -> None:
        """Begin to count anew."""
        self.puts = self.dels = 0
        self._started = time.time_ns()


def _not_running(*_args: Any, **_kwargs: Any) -> Any:
    raise faults.TransactionFinished(
        "the transaction does not run",
        where="Transaction",
        next_step="use it inside `with db.begin() as txn:`",
    )


def _read_only(*_args: Any, **_kwargs: Any) -> Any:
    raise faults.ReadonlyTransaction(
        "a write in a read transaction",
        where="Transaction",
        next_step="begin it with db.begin(write=True)",
    )


class Transaction:
    """A transaction: begun by ``with``, committed at its normal end, rolled back when an exception leaves it.

    A write transaction begins and ends on one thread; a read transaction belongs to one thread at a time.
    Keys given to `get`, `put` and `delete` are raw: two bytes of slot, then the application's key.

    ``fetch``, ``store`` and ``erase`` are LMDB's own functions while the transaction runs, for the floors
    above: errors of LMDB leave them untranslated and go through `failed`.
    """

    PUT: ClassVar[int] = 1
    DEL: ClassVar[int] = 2

    poison: DatabaseError | None = None
    fetch: Callable[..., Any] = staticmethod(_not_running)
    store: Callable[..., Any] = staticmethod(_not_running)
    erase: Callable[..., Any] = staticmethod(_not_running)
    thread = 0
    _raw: Any = None
    _at_abort: tuple[Callable[[], object], ...] = ()
    _at_commit: tuple[Callable[[], object], ...] = ()

    def __init__(
        self,
        environment: Environment,
        write: bool = False,
        buffers: bool = False,
        stats: TransactionStats | None = None,
    ) -> None:
        self.environment = environment
        self.write = write
        self.buffers = buffers
        self.max_key_size = environment.max_key_size
        self._stats = stats

    # --- life

    def __enter__(self) -> Self:
        if self._raw is not None:
            raise faults.TransactionFinished("the transaction runs already", where=self.environment.path)
        environment = self.environment
        self.thread = _get_ident()
        if self.write and (running := environment.writer) is not None and running.thread == self.thread:
            raise faults.NestedWrite(
                "this thread has a write transaction of this database open already",
                where=environment.path,
                next_step="use `with txn.savepoint():`, or end the first one",
            )
        try:
            raw = environment.begin_raw(write=self.write, buffers=self.buffers)
        except lmdb.Error:
            raw = environment.begin(self.write, self.buffers)  # mends what can be mended
        self._bind(raw)
        environment.active.add(self)
        if self.write:
            self.poison = None
            environment.writer = self
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        raw = self._raw
        if raw is None:
            return  # abandoned: the database was closed inside this transaction
        if not self.write:
            raw.abort()
            self._finish()
            return  # there is nothing to commit
        if self.thread != _get_ident():
            raise WrongThread(
                "a write transaction must end on the thread that began it",
                where=self.environment.path,
                next_step="run the whole transaction in one function on one thread",
            )
        self._end_write(raw, commit=exc_type is None)

    def _end_write(self, raw: Any, *, commit: bool) -> None:
        committed = False
        try:
            if not commit:
                raw.abort()
            elif self.poison is not None:
                raw.abort()
                raise faults.TransactionPoisoned(
                    "nothing was committed: an earlier statement failed in the storage",
                    where=self.environment.path,
                    got=str(self.poison),
                    next_step="let the first error leave the transaction, then begin anew",
                ) from self.poison
            else:
                raw.commit()
                committed = True
        except lmdb.Error as exc:
            if isinstance(exc, DatabaseError):
                raise
            raise self.environment.fault(exc) from exc
        finally:
            self._finish()
            if self._at_commit or self._at_abort:
                self._call(self._at_commit if committed else self._at_abort[::-1])

    def _finish(self) -> None:
        self._raw = None
        self.fetch = self.store = self.erase = _not_running
        environment = self.environment
        if environment.writer is self:
            environment.writer = None
        environment.ended(self)

    def _call(self, callbacks: Any) -> None:
        self._at_abort = self._at_commit = ()
        for callback in callbacks:
            callback()

    def abandon(self) -> None:
        """Roll back at once; the database is being closed inside this transaction."""
        raw = self._raw
        if raw is not None:
            raw.abort()
            self._finish()
            self._call(self._at_abort[::-1])

    def disown(self, refuse: Callable[..., Any]) -> Any:
        """Let go of LMDB's transaction without ending it, and return it; any use calls ``refuse`` from now on."""
        raw, self._raw = self._raw, None
        self.fetch = self.store = self.erase = refuse
        return raw

    def _bind(self, raw: Any) -> None:
        self._raw = raw
        self.fetch = raw.get
        if not self.write:
            self.store = self.erase = _read_only
        elif self._stats is None:
            self.store, self.erase = raw.put, raw.delete
        else:
            self.store, self.erase = _counted(raw, self._stats)

    # --- savepoints and callbacks

    def savepoint(self) -> Savepoint:
        """Return a context manager: what is written in it is undone when an exception leaves it.

        It is an LMDB child transaction, and may nest. Not with ``writemap=True`` (LMDB documentation of
        MDB_WRITEMAP): raises `ConfigError`.
        """
        if self.environment.options.writemap:
            raise ConfigError(
                "savepoints cannot be used with writemap=True",
                where=self.environment.path,
                next_step="open the database without writemap",
            )
        return Savepoint(self)

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` after this transaction is committed."""
        self._at_commit += (callback,)

    def on_abort(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` if what was written so far is rolled back, last registered first."""
        self._at_abort += (callback,)

    # --- raw records

    def id(self) -> int:
        """Return LMDB's number of this transaction."""
        return int((self._raw or _not_running()).id())

    def get(self, key: bytes) -> Any:
        """Return the bytes stored under the raw ``key`` (a memoryview with ``buffers=True``), or None."""
        try:
            return self.fetch(key)
        except lmdb.Error as exc:
            raise self.failed(exc) from exc

    def put(self, key: bytes, data: bytes, overwrite: bool = True) -> bool:
        """Store ``data`` under the raw ``key``; return False if it was there and ``overwrite`` is False."""
        try:
            return bool(self.store(key, data, overwrite=overwrite))
        except lmdb.Error as exc:
            raise self.failed(exc) from exc

    def delete(self, key: bytes) -> bool:
        """Delete the record under the raw ``key``; return whether there was one."""
        try:
            return bool(self.erase(key))
        except lmdb.Error as exc:
            raise self.failed(exc) from exc

    def cursor(self) -> Any:
        """Return LMDB's cursor over the raw keys."""
        return (self._raw or _not_running()).cursor()

    def failed(self, exc: lmdb.Error) -> DatabaseError:
        """Return our error for LMDB's ``exc`` and, if the storage failed, mark the transaction as unusable.

        Raises ``exc`` itself if it is ours already.
        """
        if isinstance(exc, DatabaseError):
            raise exc
        fault = self.environment.fault(exc)
        if self.write and not isinstance(exc, (lmdb.BadValsizeError, lmdb.ReadonlyError)):
            self.poison = self.poison or fault
        return fault

    def describe(self) -> str:
        """Say what kind of transaction this is and which thread holds it."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        kind = "write" if self.write else "read"
        return f"{kind} transaction of thread {names.get(self.thread, self.thread)}"


class Savepoint:
    """A part of a write transaction that can be undone alone."""

    __slots__ = ("_aborts", "_commits", "_parent", "_txn")

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    def __enter__(self) -> Transaction:
        txn = self._txn
        if not txn.write:
            _read_only()
        self._parent = txn._raw or _not_running()
        self._aborts, self._commits = len(txn._at_abort), len(txn._at_commit)
        try:
            child = txn.environment.begin_raw(write=True, buffers=txn.buffers, parent=self._parent)
        except lmdb.Error as exc:
            raise txn.failed(exc) from exc
        txn._bind(child)
        return txn

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        txn = self._txn
        raw, poison = txn._raw, txn.poison
        if raw is None:
            return
        txn._bind(self._parent)
        if exc_type is None and poison is None:
            try:
                raw.commit()
            except lmdb.Error as failure:
                raise txn.failed(failure) from failure
            return
        raw.abort()
        txn.poison = None  # LMDB fails the child alone
        txn._at_commit = txn._at_commit[: self._commits]
        undone, txn._at_abort = txn._at_abort[self._aborts :], txn._at_abort[: self._aborts]
        for callback in reversed(undone):
            callback()
        if exc_type is None:
            raise faults.TransactionPoisoned(
                "the savepoint was rolled back: an earlier statement in it failed in the storage",
                where=txn.environment.path,
                got=str(poison),
            ) from poison


def _counted(raw: Any, stats: TransactionStats) -> tuple[Callable[..., bool], Callable[..., bool]]:
    def store(key: bytes, data: bytes, overwrite: bool = True) -> bool:
        written = bool(raw.put(key, data, overwrite=overwrite))
        stats.puts += written
        return written

    def erase(key: bytes) -> bool:
        existed = bool(raw.delete(key))
        stats.dels += existed
        return existed

    return store, erase
