# SPDX-License-Identifier: MIT
"""The LMDB environment of one file, while it is open: shared by all handles, resized, watched, closed."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Hashable
from math import inf
from typing import Any, Final, NamedTuple, NoReturn

import lmdb

from zlmdb.errors import ConfigError, DatabaseError, ForkedError, TransactionsRunning
from zlmdb.storage import faults
from zlmdb.storage.formats import data_file
from zlmdb.storage.holders import check_writer, has_ended
from zlmdb.storage.notices import warn
from zlmdb.storage.opening import (
    RESERVE,
    LibVersion,
    Options,
    check_address_space,
    check_room_for_map,
    file_identity,
    open_raw,
)

_PATIENCE: Final = 5.0  # seconds that closing and resizing wait for running transactions
_LONG: Final = 30.0  # seconds after which a running transaction is worth a warning
_WARN_AT: Final = (0.8, 0.9)  # parts of a given ceiling whose use is logged
_FASTEST: Final = float(16 << 30)  # bytes per second that no transaction can exceed: until then nobody need look

_kept_from_parent: list[Any] = []


class Reader(NamedTuple):
    """A slot of LMDB's table of readers; ``txnid`` is None while no read transaction runs in it."""

    pid: int
    thread: int
    txnid: int | None


class Environment:
    """One LMDB environment, shared by the `Database` handles of this process that name the same file.

    Thread-safe. ``shared`` is room for what upper floors keep once per file; ``clock`` gives seconds;
    ``long_transaction`` is the age in seconds from which on a transaction is warned of.
    """

    def __init__(self, path: str, options: Options) -> None:
        self.path = path
        self.options = options
        self.shared: dict[Hashable, Any] = {}
        self.active: set[Any] = set()  # transactions that run or are being begun
        self.writer: Any = None  # the running write transaction
        self.loops: dict[int, int] = {}
        """Threads of event loops, with the number of handles each has: where one of these waits for the write lock,
        everything of its loop waits."""
        self.clock: Callable[[], float] = time.monotonic
        self.long_transaction = _LONG
        self._warned: set[Any] = set()
        self._handles = 1
        self._pid = os.getpid()
        self._ended = threading.Condition()
        self.is_awaited = False  # whether a thread waits for transactions to end
        self._at_gate = 0
        self._resizing = threading.Lock()
        before = file_identity(data_file(path))
        self._raw = open_raw(path, options)
        if options.readonly and before != file_identity(data_file(path)):  # compacted while LMDB waited for the lock
            self._raw.close()
            self._raw = open_raw(path, options)
        # kept from now on: the file may be deleted, and another made in its place, while this one is open
        self.key = file_identity(data_file(path)) or (0, id(self))
        self.begin_raw: Callable[..., Any] = self._raw.begin
        self.max_key_size = self._raw.max_key_size()
        self.lib_version: LibVersion = "1.0" if self._raw.lib_version()[0] >= 1 else "0.9"
        if not options.readonly and options.lock:
            self._raw.reader_check()  # slots of processes that died would keep pages from being reused
        self.set_ceiling(None if options.readonly else options.maxsize)

    # --- the end

    def add_handle(self) -> None:
        """Count one more handle."""
        self._handles += 1

    def drop_handle(self) -> bool:
        """Count one handle less; tell whether it was the last one."""
        self._handles -= 1
        return not self._handles

    def close(self) -> None:
        """Close: transactions of this thread are rolled back, those of others are waited for.

        A write transaction that its thread left running when it ended is rolled back too. Raises
        `TransactionsRunning` if the others still run after five seconds.
        """
        if self._pid != os.getpid():
            return  # the parent's environment: closing it here is not ours to do
        self.begin_raw = self._refuse_closed
        me = threading.get_ident()
        for txn in list(self.active):
            if txn.thread == me or (txn is self.writer and has_ended(txn.thread)):
                txn.abandon()
        with self._resizing:
            try:
                self._wait_until_idle("close", _PATIENCE)
            except TransactionsRunning:
                self.begin_raw = self._raw.begin
                raise
            self._raw.close()

    def _refuse_closed(self, *_args: Any, **_kwargs: Any) -> Any:
        raise faults.DatabaseClosed("the database is closed", where=self.path, next_step="open it again")

    def forked(self) -> None:
        """Make this copy in a forked child unusable, its running transactions too.

        Ending them here, or closing the environment, would free the parent's reader slots and its lock (seen
        in both formats); letting go of the objects does not, as py-lmdb watches for forks.
        """

        def refuse(*_args: Any, **_kwargs: Any) -> Any:
            raise forked_error(self.path)

        self.begin_raw = refuse
        _kept_from_parent.append(self._raw)
        _kept_from_parent.extend(txn.disown(refuse) for txn in list(self.active))
        self.active.clear()
        self.writer = None

    # --- transactions

    def begin_after(self, exc: BaseException, txn: Any) -> Any:
        """Begin LMDB's transaction for ``txn`` after the first try failed with ``exc``, if that can be mended.

        Slots of dead readers are cleared, the growth by another process is taken over; all other errors come
        out as ours.
        """
        while True:
            self.active.discard(txn)
            if self.is_awaited:
                self.tell_ended()
            if isinstance(exc, lmdb.PanicError):
                check_writer(self)
            if isinstance(exc, lmdb.MapResizedError):
                self._adopt()
            elif not (isinstance(exc, lmdb.ReadersFullError) and self._raw.reader_check()):
                raise self.fault(exc) if isinstance(exc, lmdb.Error) else exc
            try:
                self.active.add(txn)
                return self.begin_raw(write=txn.write, buffers=txn.buffers)
            except BaseException as again:  # noqa: BLE001 - sorted out above
                exc = again

    def add_loop(self, thread: int) -> None:
        """Take note of a handle that an event loop on ``thread`` has; to be called there."""
        self.loops[thread] = self.loops.get(thread, 0) + 1

    def drop_loop(self, thread: int) -> None:
        """Take note that one of these handles is closed."""
        left = self.loops.pop(thread, 1) - 1
        if left:
            self.loops[thread] = left

    def _adopt(self) -> None:
        """Take over the size of the map that another process has set, as the ceiling too if there is one."""
        self.resize(0)
        if self.ceiling is not None:
            self.set_ceiling(max(self.ceiling, int(self._raw.info()["map_size"])))

    def tell_ended(self) -> None:
        """Wake the thread that waits for transactions to end (`is_awaited`)."""
        with self._ended:
            self._ended.notify_all()

    def warn_of(self, txn: Any) -> None:
        """Log, once for each run of it, that ``txn`` runs or ran for long."""
        if txn not in self._warned:
            warn(
                "%s: %s; while it runs, pages that others free cannot be used again, and the file grows",
                self.path,
                txn.describe(),
            )
            self._warned.add(txn)

    def transactions(self) -> list[Any]:
        """Return the running transactions of this process, oldest first; those that run for long are logged."""
        found = []
        for txn in list(self.active):
            if (running := txn.running()) is not None:
                found.append(running)
                if running.age > self.long_transaction:
                    self.warn_of(txn)
        return sorted(found, key=lambda running: -running.age)

    def ended_late(self, txn: Any) -> None:
        """Take note that ``txn``, which ran for long, ends now."""
        self.warn_of(txn)
        self._warned.discard(txn)  # it may be begun again

    def _of_this_thread(self) -> list[Any]:
        me = threading.get_ident()
        return [txn for txn in list(self.active) if txn.thread == me and txn.running() is not None]

    def _wait_until_idle(self, purpose: str, timeout: float) -> None:
        with self._ended:
            self.is_awaited = True
            idle = self._ended.wait_for(lambda: len(self.active) <= self._at_gate, timeout)
            self.is_awaited = False
        if not idle:
            self._refuse_running(purpose, list(self.active))

    def _refuse_running(self, purpose: str, running: list[Any]) -> NoReturn:
        holders = tuple(txn.describe() for txn in running)
        raise TransactionsRunning(
            f"cannot {purpose} while transactions run",
            where=self.path,
            got=", ".join(holders),
            next_step="end them first",
            holders=holders,
        )

    # --- size

    def resize(self, maxsize: int, timeout: float = _PATIENCE) -> None:
        """Set the size of the map to ``maxsize`` bytes; 0 takes over what another process set.

        Only while no transaction runs in this process, because LMDB moves the map under them: begins wait at
        a gate meanwhile. Raises `TransactionsRunning`, at once if one of this thread runs, and after
        ``timeout`` seconds if those of other threads do not end.
        """
        if mine := self._of_this_thread():
            self._refuse_running("resize", mine)
        with self._resizing:
            gate = threading.Event()
            begin = self.begin_raw

            def wait_at_gate(*args: Any, **kwargs: Any) -> Any:
                if self._of_this_thread():
                    # the gate waits for that one to end: holding it up would be a deadlock
                    return begin(*args, **kwargs)
                self._pass_gate(gate)
                return self.begin_raw(*args, **kwargs)

            self.begin_raw = wait_at_gate
            try:
                self._wait_until_idle("resize", timeout)
                self._set_mapsize(maxsize)
            finally:
                if self.begin_raw is wait_at_gate:  # and not closed meanwhile
                    self.begin_raw = begin
                gate.set()

    def _pass_gate(self, gate: threading.Event) -> None:
        with self._ended:
            self._at_gate += 1
            self._ended.notify_all()
        try:
            gate.wait()
        finally:
            with self._ended:
                self._at_gate -= 1

    def _set_mapsize(self, maxsize: int) -> None:
        used = self._end_of_file()
        if 0 < maxsize < used:
            raise ConfigError(
                "maxsize is smaller than the database", where=self.path, got=maxsize, expected=f"at least {used} bytes"
            )
        if maxsize:
            check_address_space(self.path, maxsize)
        if maxsize and self.options.writemap:
            check_room_for_map(self.path, maxsize)
        try:
            self._raw.set_mapsize(maxsize)
        except lmdb.Error as exc:
            raise self.fault(exc) from exc

    def set_ceiling(self, ceiling: int | None) -> None:
        """Take ``ceiling`` (bytes; None for none) as the one whose use is to be watched, and look at once."""
        self._warnings: list[int] = [] if ceiling is None else [int(part * ceiling) for part in reversed(_WARN_AT)]
        self.ceiling = ceiling
        self.warn_at = self._warnings.pop() if self._warnings else None
        self.watch_ceiling(self.clock())

    def set_size(self, ceiling: int | None, timeout: float = _PATIENCE) -> None:
        """Make ``ceiling`` (bytes; None for none) the size of the map. Raises like `resize`."""
        self.resize(ceiling or RESERVE, timeout)
        self.set_ceiling(ceiling)

    def grow(self, wanted: int | None) -> None:
        """Make the map large enough for a handle that asks for ``wanted`` bytes (None for no ceiling)."""
        if wanted is None and self.ceiling is None:
            return  # all the system grants is reserved already
        if (wanted or RESERVE) > self._raw.info()["map_size"] and not self.options.writemap:
            self.set_size(wanted)

    def watch_ceiling(self, now: float) -> None:
        """Log, once for each step, that the records take more than 80 or 90 % of the ceiling.

        ``now`` is the time of `clock`; sets when to look again (`watch_from`), because looking takes LMDB as
        long as a small commit.
        """
        self.watch_from = inf
        if self.warn_at is None:
            return
        stat = self._raw.stat()
        used = (stat["leaf_pages"] + stat["branch_pages"] + stat["overflow_pages"]) * stat["psize"]
        reached = used >= self.warn_at
        while self.warn_at is not None and used >= self.warn_at:
            self.warn_at = self._warnings.pop() if self._warnings else None
        if self.warn_at is not None:
            self.watch_from = now + (self.warn_at - used) / _FASTEST
        if reached:
            self._warn_of_ceiling(used)

    def _warn_of_ceiling(self, used: int) -> None:
        warn(
            "%s: %d bytes used of %d (%d %%); delete records, or raise the ceiling with db.resize(maxsize)",
            self.path,
            used,
            self.ceiling,
            used * 100 // (self.ceiling or 1),
        )

    def _end_of_file(self) -> int:
        return int((self._raw.info()["last_pgno"] + 1) * self._raw.stat()["psize"])

    # --- the engine

    def fault(self, exc: lmdb.Error) -> DatabaseError:
        """Return our error for LMDB's ``exc``, or itself if it is ours already."""
        if isinstance(exc, DatabaseError):
            return exc
        try:
            used, limit, readers = self._end_of_file(), self._raw.info()["map_size"], self._raw.max_readers()
        except lmdb.Error:  # closed meanwhile
            return faults.DatabaseClosed("the database is closed", where=self.path, next_step="open it again")
        if isinstance(exc, lmdb.ReadersFullError):
            limit = readers
        fault = faults.translate(exc, self.path, used=used, limit=limit)
        fault.__cause__ = exc
        return fault

    def stat(self) -> dict[str, Any]:
        """Return LMDB's ``stat`` and ``info`` of the environment in one dictionary (pages and bytes)."""
        return {**self._raw.stat(), **self._raw.info()}

    def file_size(self) -> int:
        """Return the size of the data file in bytes; if its name is gone, or another file's, of its pages."""
        try:
            status = data_file(self.path).stat()
        except OSError:
            return self._end_of_file()
        return status.st_size if (status.st_dev, status.st_ino) == self.key else self._end_of_file()

    def sync(self, force: bool = False) -> None:
        """Flush to disk (mdb_env_sync); ``force`` also where ``sync=False`` was chosen. Blocks on the disk."""
        try:
            self._raw.sync(force)
        except lmdb.Error as exc:
            raise self.fault(exc) from exc

    def copy(self, directory: str, compact: bool, txn: Any) -> None:
        """Write a copy of the data file into the empty ``directory``, of the snapshot of ``txn`` if ``compact``."""
        try:
            self._raw.copy(directory, compact=True, txn=txn) if compact else self._raw.copy(directory)
        except lmdb.Error as exc:
            raise faults.translate(exc, directory, used=0, limit=0) from exc

    def names_of_databases(self) -> list[bytes]:
        """Return the names of LMDB's named databases in the file; a database of ours has none."""
        return list(self._raw.dbs())

    def readers(self) -> list[Reader]:
        """Return the slots of LMDB's table of readers, of all processes."""
        rows = re.findall(r"^\s*(\d+)\s+([0-9a-f]+)\s+(\d+|-)\s*$", self._raw.readers(), re.MULTILINE)
        return [Reader(int(pid), int(thread, 16), None if txnid == "-" else int(txnid)) for pid, thread, txnid in rows]

    def clear_dead_readers(self) -> int:
        """Clear the slots of processes that are gone; return how many there were."""
        return int(self._raw.reader_check())


def forked_error(path: str) -> ForkedError:
    """Return the error for the use, in a forked child, of what its parent opened at ``path``."""
    return ForkedError(
        "the database was open when this process was forked, and cannot be used in the child",
        where=path,
        next_step="fork before opening it, or start the process anew (multiprocessing: spawn or forkserver)",
    )
