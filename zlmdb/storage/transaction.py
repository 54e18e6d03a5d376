# SPDX-License-Identifier: MIT
"""Transactions: begin, commit, roll back, savepoints, and the three functions that all reads and writes go through."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

import lmdb

from zlmdb.errors import ConfigError, DatabaseError, WrongThread
from zlmdb.storage import faults
from zlmdb.storage.environment import Environment
from zlmdb.storage.stats import TransactionStats, counted

_get_ident = threading.get_ident


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


@dataclass(frozen=True, slots=True)
class RunningTransaction:
    """A transaction that runs: its ``kind`` ("read" or "write"), its thread's name, its ``age`` in seconds."""

    kind: str
    thread: str
    age: float

    def __str__(self) -> str:
        return f"{self.kind} transaction of thread {self.thread}, running for {self.age:.1f} s"


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
    store: Callable[..., Any] = staticmethod(_read_only)
    erase: Callable[..., Any] = staticmethod(_read_only)
    thread = 0
    handle: Any = None
    """Kept as long as the transaction: a handle that nobody keeps is closed."""
    began = 0.0
    _raw: Any = None
    _abandoned = False
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
        if write:
            self.store = self.erase = _not_running

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
            environment.active.add(self)  # before LMDB's own begin, so that a resize cannot miss it
            if self.write or self.buffers:
                raw = environment.begin_raw(write=self.write, buffers=self.buffers)
            else:
                raw = environment.begin_raw()  # LMDB's default; parsing no arguments is measurably faster
        except BaseException as exc:  # noqa: BLE001 - raised again unless it can be mended
            raw = environment.begin_after(exc, self)
        self.began = environment.clock()  # before `_raw`, which shows other threads that it runs
        if self.write:
            self._bind(raw)
            self.poison = None
            environment.writer = self
        else:
            self._raw = raw
            self.fetch = raw.get
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        raw = self._raw
        if raw is None:
            if self.write and exc_type is None and self._abandoned:
                raise faults.DatabaseClosed(
                    "the database was closed inside this transaction; nothing was committed",
                    where=self.environment.path,
                    next_step="close it after the transaction, or use a handle of its own inside",
                )
            return
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
                if self.environment.warn_at is not None:
                    self.environment.watch_ceiling()
        except lmdb.Error as exc:
            if isinstance(exc, DatabaseError):
                raise
            raise self.environment.fault(exc) from exc
        finally:
            self._finish()
            if self._at_commit or self._at_abort:
                self._call(self._at_commit if committed else self._at_abort[::-1])

    def _finish(self) -> None:
        environment = self.environment
        if environment.clock() - self.began > environment.long_transaction:
            environment.ended_late(self)
        self._raw = None
        self.fetch = _not_running
        if self.write:
            self.store = self.erase = _not_running
            environment.writer = None
        environment.active.discard(self)
        if environment.is_awaited:
            environment.tell_ended()

    def _call(self, callbacks: Any) -> None:
        self._at_abort = self._at_commit = ()
        for callback in callbacks:
            callback()

    def abandon(self) -> None:
        """Roll back at once; the database is being closed inside this transaction."""
        raw = self._raw
        if raw is not None:
            self._abandoned = True
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
        if self._stats is None:
            self.store, self.erase = raw.put, raw.delete
        else:
            self.store, self.erase = counted(raw, self._stats)

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
        if self._raw is None:
            return faults.TransactionFinished(
                "the transaction has ended",
                where=self.environment.path,
                got=str(exc),
                next_step="read everything inside `with db.begin() as txn:`",
            )
        fault = self.environment.fault(exc)
        if self.write and not isinstance(exc, (lmdb.BadValsizeError, lmdb.ReadonlyError)):
            self.poison = self.poison or fault
        return fault

    def count_deleted(self, key: bytes, number: int) -> None:
        """Count ``number`` records deleted through a cursor, in the slot that the raw ``key`` lies in."""
        if self._stats is not None:
            self._stats.count_dels(key, number)

    def running(self) -> RunningTransaction | None:
        """Say which thread runs this transaction and for how long; None if it does not run."""
        if self._raw is None:
            return None
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        return RunningTransaction(
            kind="write" if self.write else "read",
            thread=names.get(self.thread, str(self.thread)),
            age=self.environment.clock() - self.began,
        )

    def describe(self) -> str:
        """Say what kind of transaction this is, which thread holds it and for how long."""
        running = self.running()
        return str(running) if running else f"a transaction that thread {self.thread} is beginning"


class Savepoint:
    """A part of a write transaction that can be undone alone."""

    __slots__ = ("_aborts", "_commits", "_parent", "_txn")

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn
        self._parent: Any = None

    def __enter__(self) -> Transaction:
        txn = self._txn
        if not txn.write:
            _read_only()
        if self._parent is not None:
            raise ConfigError(
                "a savepoint is entered inside itself",
                where=txn.environment.path,
                next_step="call txn.savepoint() for each `with`",
            )
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
        self._parent = None
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
