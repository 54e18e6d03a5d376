# SPDX-License-Identifier: MIT
"""Transactions: begin, commit, roll back, savepoints, and the three functions that all reads and writes go through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from sys import getrefcount
from types import TracebackType
from typing import Any, ClassVar, Final, Self

import lmdb

from zlmdb.errors import ConfigError, DatabaseError, WrongThread
from zlmdb.storage import faults
from zlmdb.storage.environment import Environment
from zlmdb.storage.holders import RunningTransaction, begin_on_loop, check_writer, name_of
from zlmdb.storage.pacing import Pacing, paced
from zlmdb.storage.savepoints import ALONE, Savepoint, Unrevertable
from zlmdb.storage.stats import TransactionStats, counted

_get_ident = threading.get_ident
KEEP: Final = (True, False)
"""LMDB's arguments ``dupdata`` and ``overwrite``, in their places: by name they cost a quarter of a put more."""
_not_running: Final = faults.not_running


class Transaction:
    """A transaction: begun by ``with``, committed at its normal end, rolled back when an exception leaves it.

    A write transaction begins and ends on one thread; a read transaction belongs to one thread at a time.
    Keys given to `get`, `put` and `delete` are raw: two bytes of slot, then the application's key.

    ``fetch``, ``store`` and ``erase`` are LMDB's own functions while the transaction runs, for the floors
    above: errors of LMDB leave them untranslated and go through `failed`. ``store(key, data, *KEEP)`` stores
    only what is not there yet.
    """

    PUT: ClassVar[int] = 1
    DEL: ClassVar[int] = 2

    # slots: attributes that hide those of the class are not specialised by the interpreter, and cost twice as much
    __slots__ = (
        "__weakref__",
        "_abandoned",
        "_at_abort",
        "_at_commit",
        "_raw",
        "_savepoint",
        "_stats",
        "began",
        "buffers",
        "environment",
        "erase",
        "fetch",
        "handle",
        "max_key_size",
        "pace",
        "poison",
        "store",
        "thread",
        "write",
    )

    def __init__(
        self,
        environment: Environment,
        write: bool = False,
        buffers: bool = False,
        stats: TransactionStats | None = None,
        handle: object = None,  # kept as long as the transaction: a handle that nobody keeps is closed
    ) -> None:
        self.environment = environment
        self.write = write
        self.buffers = buffers
        self.max_key_size = environment.max_key_size
        self.handle = handle
        self.poison: BaseException | None = None
        self.pace: Pacing | None = None
        self.fetch: Callable[..., Any] = _not_running
        self.store: Callable[..., Any] = _not_running if write else faults.read_only
        self.erase: Callable[..., Any] = self.store
        self.began = 0.0
        self.thread = 0
        self._raw: Any = None
        self._savepoint: Savepoint | None  # the last one entered, while a write transaction runs
        self._stats = stats
        self._abandoned = False
        self._at_abort: tuple[Callable[[], object], ...] = ()
        self._at_commit: tuple[Callable[[], object], ...] = ()

    # --- life

    def __enter__(self) -> Self:
        if self._raw is not None:
            raise faults.TransactionFinished("the transaction runs already", where=self.environment.path)
        environment = self.environment
        self.thread = thread = _get_ident()
        if self.write and environment.writer is not None:
            check_writer(environment)
        try:
            environment.active.add(self)  # before LMDB's own begin, so that a resize cannot miss it
            if self.write and thread in environment.loops:
                raw = begin_on_loop(environment, self)
            elif self.write or self.buffers:
                raw = environment.begin_raw(None, None, self.write, self.buffers)  # by name they cost more
            else:
                raw = environment.begin_raw()  # LMDB's default; parsing no arguments is measurably faster
        except BaseException as exc:  # noqa: BLE001 - raised again unless it can be mended
            raw = environment.begin_after(exc, self)
        self.began = environment.clock()  # before `_raw`, which shows other threads that it runs
        self._raw = raw
        self.fetch = raw.get
        if self.write:
            if self._stats is None:
                self.store, self.erase = raw.put, raw.delete
            else:
                self._stats.begin()
                self.store, self.erase = counted(raw, self._stats)
            self.pace = self.poison = self._savepoint = None
            environment.writer = self
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
        del raw  # see `ALONE`
        self._end_write(commit=exc_type is None)

    def _end_write(self, *, commit: bool) -> None:
        committed = False
        try:
            if self._savepoint is not None:  # entered by hand, or in a generator that was dropped
                self._without_savepoints()
            if not commit:
                self._abort()
            elif self.poison is not None:
                self._abort()
                raise self._poisoned("nothing was committed: an earlier failure was passed over")
            else:
                self._raw.commit()
                committed = True
        except lmdb.Error as exc:
            if isinstance(exc, DatabaseError):
                raise
            raise self.environment.fault(exc) from exc
        finally:
            try:
                self._finish()
            finally:
                if self._at_commit or self._at_abort:
                    self._call(self._at_commit if committed else self._at_abort[::-1])

    def _abort(self) -> None:
        """Roll back the write transaction."""
        raw = self.disown(_not_running)
        if getrefcount(raw) > ALONE:
            raw.abort()

    def _without_savepoints(self) -> None:
        """Undo the savepoints that were not left, which spoils the transaction."""
        self._undo_savepoints()
        self.poison = faults.TransactionPoisoned(
            "a savepoint was entered and never left",
            where=self.environment.path,
            next_step="use `with txn.savepoint():`, and no generator that may be dropped inside it",
        )

    def _undo_savepoints(self) -> None:
        while self._savepoint is not None:
            self._savepoint.undo()

    def _finish(self) -> None:
        environment = self.environment
        try:  # logging runs the application's handlers and filters, which may fail
            now = environment.clock()
            if now - self.began > environment.long_transaction:
                environment.ended_late(self)
            if self.write and now >= environment.watch_from:
                environment.watch_ceiling(now)
        finally:
            self._raw = None
            self.fetch = _not_running
            if self.write:
                self.store = self.erase = _not_running
                environment.writer = None
                if self._stats is not None:
                    self._stats.end()
            environment.active.discard(self)
            if environment.is_awaited:
                environment.tell_ended()

    def _call(self, callbacks: Any) -> None:
        self._at_abort = self._at_commit = ()
        for callback in callbacks:
            callback()

    def abandon(self) -> None:
        """Roll back at once; the database is being closed inside this transaction."""
        if self._raw is not None:
            self._abandoned = True
            if self.write:
                self._undo_savepoints()
                self._abort()
            else:
                self._raw.abort()
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
        if self.write:
            if self._stats is None:
                self.store, self.erase = raw.put, raw.delete
            else:
                self.store, self.erase = counted(raw, self._stats)
        if self.pace is not None:
            self.fetch = paced(self.fetch, self.pace)
            if self.write:
                self.store, self.erase = paced(self.store, self.pace), paced(self.erase, self.pace)

    def keep_pace(self, pace: Pacing | None) -> None:
        """Let ``pace`` have this thread pause now and then while records are read and written; None ends that."""
        self.pace = pace
        if self._raw is not None and self.poison is None:
            self._bind(self._raw)

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

    def statement(self) -> Savepoint | Unrevertable:
        """Return a context manager for many writes that are one statement: when an exception leaves it, none remains.

        It is a savepoint. With ``writemap=True``, where there are none, the whole transaction can only roll back
        then: all uses of it raise `TransactionPoisoned`, its normal end too.
        """
        return Unrevertable(self) if self.environment.options.writemap else Savepoint(self)

    def spoil(self, exc: BaseException) -> None:
        """Leave this transaction nothing but to roll back, because ``exc`` ended a statement half done."""

        def refuse(*_args: Any, **_kwargs: Any) -> Any:
            raise self._poisoned("the transaction cannot go on after a failure")

        self.poison = self.poison or exc
        self.fetch = self.store = self.erase = refuse

    def _poisoned(self, what: str) -> faults.TransactionPoisoned:
        fault = faults.TransactionPoisoned(
            what,
            where=self.environment.path,
            got=str(self.poison),
            next_step="let the first error leave the transaction, then begin anew",
        )
        fault.__cause__ = self.poison
        return fault

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

    @property
    def _txn(self) -> Any:  # the name under which existing programs reach LMDB's transaction
        return self._raw

    def get(self, key: bytes) -> Any:
        """Return the bytes stored under the raw ``key`` (a memoryview with ``buffers=True``), or None."""
        try:
            return self.fetch(key)
        except lmdb.Error as exc:
            raise self.failed(exc) from exc
        except TypeError as exc:
            raise faults.no_bytes(key, exc) from exc

    def put(self, key: bytes, data: bytes, overwrite: bool = True) -> bool:
        """Store ``data`` under the raw ``key``; return False if it was there and ``overwrite`` is False."""
        try:
            return bool(self.store(key, data, True, overwrite))
        except lmdb.Error as exc:
            raise self.failed(exc) from exc
        except TypeError as exc:
            raise faults.no_bytes((key, data), exc) from exc

    def delete(self, key: bytes) -> bool:
        """Delete the record under the raw ``key``; return whether there was one."""
        try:
            return bool(self.erase(key))
        except lmdb.Error as exc:
            raise self.failed(exc) from exc
        except TypeError as exc:
            raise faults.no_bytes(key, exc) from exc

    def delete_many(self, keys: Iterable[bytes]) -> int:
        """Delete the records under these raw keys; return how many there were. Sorted keys take the least time."""
        erase, deleted, key = self.erase, 0, None
        try:
            for key in keys:
                deleted += erase(key)
        except lmdb.Error as exc:
            del erase  # see `ALONE`: what is raised keeps this frame
            raise self.failed(exc) from exc
        except TypeError as exc:
            del erase
            raise faults.no_bytes(key, exc) from exc
        return deleted

    def cursor(self) -> Any:
        """Return LMDB's cursor over the raw keys."""
        if self.poison is not None:
            raise self._poisoned("the transaction cannot go on after a failure")
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
        age = self.environment.clock() - self.began
        return RunningTransaction("write" if self.write else "read", name_of(self.thread), age)

    def describe(self) -> str:
        """Say what kind of transaction this is, which thread holds it and for how long."""
        running = self.running()
        return str(running) if running else f"a transaction that thread {self.thread} is beginning"
