# SPDX-License-Identifier: MIT
"""One writer for a database: group commit, an outcome for each operation, backpressure, drain.

Who may do what: `Writer.submit`, `flushed`, `cancel`, `close` and `give_up` may be called from any thread
and never wait; methods that say "writer thread" run on the worker. The lock guards the queue, the states
of operations and the counters, and is never held while LMDB works.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from zlmdb.errors import DatabaseClosed, ForkedError, NotWritten
from zlmdb.workers import worker as worker_module
from zlmdb.workers.batch import FULL, BatchWriter, Written
from zlmdb.workers.limits import Limits, check_choice
from zlmdb.workers.operation import DONE, DURABILITIES, QUEUED, WAITING, Durability, Job, Operation, State
from zlmdb.workers.outbox import Outbox
from zlmdb.workers.pace import Pace
from zlmdb.workers.pending import Pending
from zlmdb.workers.stats import WriterStats
from zlmdb.workers.worker import Worker

if TYPE_CHECKING:
    from zlmdb.orm import Record
    from zlmdb.storage import Transaction

T = TypeVar("T")
DEFAULT_LIMITS: Final = Limits()
_FIRST_PAUSE: Final = 0.01  # seconds before another try to write what there was no room for; doubled each time
_LONGEST_PAUSE: Final = 1.0
_MOST_UNCOUNTED: Final = 1000  # commits, until somebody asks for the statistics
_LAST_TRIES: Final = 10  # at closing: about four seconds

log = logging.getLogger(__name__)


def nothing() -> None:
    """Do nothing; the default of hooks."""


class Writer:
    """Turns all that is queued when the worker gets the write lock into one transaction.

    Each operation of a batch runs in a savepoint of its own and fails alone. Outcomes are given after the
    commit; if that fails, every operation of the batch fails with its cause. Operations are run in the order
    of their submission. Where the file or the disk is full the batch is run again in smaller transactions, and
    what was acknowledged on acceptance is kept, and tried again until there is room; operations that were not
    acknowledged and come after it fail meanwhile.

    Args:
        begin: returns a write transaction as a context manager, which commits at a normal exit.
        worker: where the transactions happen.
        outbox: takes outcomes to the loop.
        sync: puts what was committed on the disk, for `flushed` and `close`.
        finish: called on the worker when all is written at closing.
        limits: how much is accepted, and how much goes into one transaction.
        clock, sleep: for measuring commits and pausing between records, in seconds.
        pause: waits between tries to write what there is no room for; None for a wait that `give_up` ends.
        where: the database's path, for messages.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractContextManager[Transaction]],
        worker: Worker,
        outbox: Outbox,
        *,
        sync: Callable[[], object] = nothing,
        finish: Callable[[], object] = nothing,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        pause: Callable[[float], object] | None = None,
        where: str = "database",
    ) -> None:
        self.where = where
        self.pace = Pace(sleep, clock)
        self._batches = BatchWriter(begin, self.pace, clock)
        self._given_up = threading.Event()
        self._pause = pause or self._given_up.wait
        self._worker = worker
        self._outbox = outbox
        self._sync = sync
        self._finish = finish
        self._forks = worker_module.forks
        self._lock = threading.Lock()
        self._pending = Pending(limits)
        self._stats = WriterStats()
        self._uncounted: deque[tuple[int, float]] = deque()  # commits: counting them takes as long as answering
        self._scheduled = False  # the worker has a batch to write, or the end to come to
        self._entering = False  # the worker waits for the write lock and has taken nothing from the queue
        self._closing: Operation[int] | None = None
        self.closing = False
        """Whether closing has begun."""
        self._tries = 0  # to write operations that are held because there is no room; writer thread
        self._unsynced = False  # something was committed after the last sync; writer thread
        self._lost_before_flush = 0  # acknowledged operations that failed and that no `flushed` has reported

    # --- asking for work: any thread ------------------------------------------------------------------

    def submit(
        self,
        job: Job[T] | Record,
        what: str = "write",
        records: int = 1,
        size: int = 0,
        durability: Durability = "commit",
    ) -> Operation[T]:
        """Ask for ``job(txn)`` to be run; with ``queued`` durability the answer (None) comes on acceptance.

        A tuple is not called: it is a `Record` to be put. ``records`` and ``size`` (bytes) are the weight in the
        queue. The job may be run again if it was rolled back, and must not begin a transaction. It runs on the
        writer thread.

        Raises:
            Backpressure: there is no room and overflow is ``error``.
            ConfigError: the durability is unknown.
            DatabaseClosed: closing has begun.
            ForkedError: this process was forked from the one that made the writer.
        """
        if durability != "commit":
            check_choice("durability", durability, DURABILITIES)
        operation: Operation[T] = Operation(self, job, what, records or 1, size, durability)
        with self._lock:
            self._accept(operation)
            acknowledged = operation.acknowledged
        if acknowledged:
            operation.answer()
        return operation

    def flushed(self) -> Operation[None]:
        """Mark the present end of the queue; the answer comes when all before it is committed and synced.

        It fails with `NotWritten` if an operation that was acknowledged on acceptance has failed since the
        last call. Raises as `submit` does.
        """
        mark: Operation[None] = Operation(self, None, "flush", 0, 0, "commit")
        with self._lock:
            self._accept(mark)
        return mark

    def cancel(self, operation: Operation[Any]) -> bool:
        """Take back an operation; return whether it will never run.

        One that is queued or waiting never runs. One that runs, or was acknowledged on acceptance, cannot be
        stopped: its subscriber is forgotten and its outcome logged.
        """
        with self._lock:
            removable = operation.state in (WAITING, QUEUED) and not operation.acknowledged
            if removable:
                self._pending.cancel(operation)
                self._stats.cancelled += 1
            admitted = self._pending.admit()
        self._outbox.send(op for op in admitted if op.acknowledged)
        if removable:
            operation.detach()
        elif operation.detach():
            log.info("%s: %s was cancelled too late and goes on", self.where, operation.what)
            operation.subscribe(self._log_outcome)
        return removable

    def close(self) -> Operation[int]:
        """Take nothing new, write all that was asked for, sync, and call ``finish``; all calls share one outcome.

        The outcome is the number of records that were not written because of `give_up`.
        """
        with self._lock:
            if self._closing is None:
                self._closing = Operation(self, None, "close", 0, 0, "commit")
                self._closing.state = State.QUEUED
            self.closing = True
            if self._closing.state is State.QUEUED:
                self._schedule()  # once more than the first time does no harm where that was interrupted
            return self._closing

    def give_up(self) -> None:
        """Give up all that is queued or waiting: the deadline of closing has passed.

        A batch that is being written is finished first. If the worker cannot get the write lock, closing
        ends here and now; `finished` is then false and the worker may be stuck.
        """
        given_up = NotWritten("given up at closing: the deadline passed", where=self.where)
        with self._lock:
            self._given_up.set()
            left = self._pending.clear()
            records = sum(op.records for op in left)
            self._stats.not_written += records
            stuck = self._entering and self._closing is not None
            lost = self._conclude(left, given_up)
        self._outbox.send(op for op in left if not op.acknowledged)
        if stuck:
            self._answer_closing(State.FAILED)
        if records:
            log.error("%s: %d records were not written before the deadline of closing", self.where, records)
        self._log_lost(lost)

    @property
    def finished(self) -> bool:
        """Whether closing has come to its end, ``finish`` included."""
        return self._closing is not None and self._closing.state is State.DONE

    def closed(self) -> DatabaseClosed:
        """Return the error for use after closing has begun."""
        return DatabaseClosed("the database is closed or closing", where=self.where, next_step="open it again")

    def stats(self) -> WriterStats:
        """Return the counters as they are now."""
        with self._lock:
            self._count_commits()
            pending = self._pending
            return self._stats.copy(
                pending_records=pending.records,
                pending_bytes=pending.bytes,
                waiting=pending.waiting,
                lateness_seconds=self._outbox.lateness.copy(),
            )

    def _accept(self, operation: Operation[Any]) -> None:  # lock held
        if self.closing or worker_module.forks != self._forks:
            self._refuse()
        if self._pending.add(operation) and not self._scheduled:
            self._schedule()

    def _refuse(self) -> NoReturn:
        if self.closing:
            raise self.closed()
        raise ForkedError("the writer belongs to the parent process", where=self.where, next_step="open it here")

    def _schedule(self) -> None:  # lock held
        if not self._scheduled:
            self._worker.do(self._step)
            self._scheduled = True  # not before: what interrupts this must not leave a step that nobody does

    def _count_commits(self) -> None:  # lock held
        while self._uncounted:
            self._stats.count_commit(*self._uncounted.popleft())  # an interrupt must not have it counted twice

    # --- writing: the writer thread -------------------------------------------------------------------

    def _step(self) -> None:
        if self._tries:
            self._pause(min(_FIRST_PAUSE * 2 ** min(self._tries, 10), _LONGEST_PAUSE))
        with self._lock:
            self._entering = bool(self._pending)
            self._scheduled = self._entering or self._closing is not None
        if self._entering:
            self._settle(self._batches.write(self._take))
        elif self._closing is not None:
            self._end()

    def _take(self) -> list[Operation[Any]]:
        with self._lock:
            self._entering = False
            return self._pending.take()

    def _settle(self, written: Written) -> None:
        batch, done, failure = written.batch, written.done, written.failure
        mark = batch[-1] if batch and batch[-1].job is None else None  # see `Pending.take`
        unreported = 0
        notes: list[Callable[[], object]] = []  # for the log, whose handlers may do anything: not with the lock held
        with self._lock:
            held = self._hold(batch[done:], failure, notes) if failure is not None or self._tries else ()
            ended = [op for op in batch if op not in held] if held else batch
            self._pending.release_taken(held)
            lost = self._conclude(ended[:done] if failure is not None else ended, None)
            if failure is not None:
                lost += self._conclude(ended[done:], failure)
            if lost:
                notes.append(partial(self._log_lost, lost))
            for commit in written.commits:
                if commit[0]:
                    self._uncounted.append(commit)
                    self._unsynced = True
            if len(self._uncounted) >= _MOST_UNCOUNTED:
                self._count_commits()
            if mark is None or mark.state is not DONE:
                mark = None
            else:
                unreported, self._lost_before_flush = self._lost_before_flush, 0
            admitted = self._pending.admit() if self._pending.waiting else ()
            self._scheduled = False
            if self._closing is not None or (self._pending.accepted and self._pending):  # mostly there is none at all
                self._schedule()
        if mark is not None:
            self._flush(mark, unreported)
        answers = [op for op in ended if not op.acknowledged]
        if admitted:
            answers += [op for op in admitted if op.acknowledged]
        self._outbox.send(answers)  # behind all that needs the lock, which the loop's thread is not to wait for
        for note in notes:
            note()

    def _hold(
        self, rest: list[Operation[Any]], failure: BaseException | None, notes: list[Callable[[], object]]
    ) -> set[Operation[Any]]:
        """Put back what was acknowledged and has no room now, with the marks behind it; lock held."""
        limit = getattr(failure, "limit", inf)  # bytes; what is larger than the file may ever be is lost
        is_full = isinstance(failure, FULL)
        acknowledged = {op for op in rest if op.acknowledged and op.size < limit} if is_full else set()
        if acknowledged and (self._given_up.is_set() or (self._closing is not None and self._tries >= _LAST_TRIES)):
            self._stats.not_written += sum(op.records for op in acknowledged)
            acknowledged = set()
        elif self._tries and not acknowledged:
            notes.append(partial(log.info, "%s: there is room again for what was acknowledged", self.where))
        self._stats.held = len(acknowledged)
        self._tries = self._tries + 1 if acknowledged else 0
        if not acknowledged:
            return set()
        if self._tries == 1:
            told = "%s: %d acknowledged operations wait for room, and are tried again until there is some: %s"
            notes.append(partial(log.error, told, self.where, len(acknowledged), failure))
        held = [op for op in rest if op in acknowledged or op.job is None]
        self._pending.put_back(held)
        return set(held)

    def _conclude(self, operations: list[Operation[Any]], failure: BaseException | None) -> list[Operation[Any]]:
        """Set the final states, ``failure`` being that of all; return those lost after they were acknowledged."""
        lost = []  # lock held
        for operation in operations:
            operation.job = None
            if failure is None and operation.failure is None:
                operation.state = DONE
                continue
            if failure is not None:  # not "if failure": an error may well be falsy, and is no success for that
                operation.failure = failure
            operation.state = State.FAILED
            operation.value = None
            self._stats.failed += 1
            if operation.acknowledged:
                lost.append(operation)
        if lost:
            self._stats.lost += len(lost)
            self._lost_before_flush += len(lost)
        return lost

    def _log_lost(self, lost: list[Operation[Any]]) -> None:
        by_cause: dict[int, list[Operation[Any]]] = {}
        for operation in lost:
            by_cause.setdefault(id(operation.failure), []).append(operation)
        for operations in by_cause.values():  # a failed commit is one cause of many losses
            whats = ", ".join(op.what for op in operations[:10]) + (", …" if len(operations) > 10 else "")
            log.error(
                "%s: %d acknowledged operations are lost: %s",
                self.where,
                len(operations),
                whats,
                exc_info=operations[0].failure,
            )

    def _flush(self, mark: Operation[Any], lost: int) -> None:
        try:
            self._sync_once()
            if lost:
                raise NotWritten(f"{lost} acknowledged operations failed, see the log", where=self.where, count=lost)
        except BaseException as error:  # noqa: BLE001 - it is the outcome of the mark
            mark.state, mark.failure = State.FAILED, error

    def _sync_once(self) -> None:
        if self._unsynced:
            self._sync()
            self._unsynced = False

    def _end(self) -> None:
        error = None
        try:
            try:
                self._sync_once()
            finally:
                self._finish()
        except BaseException as failure:  # noqa: BLE001 - it is the outcome of closing
            error = failure
        self._answer_closing(State.DONE, error)

    def _answer_closing(self, state: State, error: BaseException | None = None) -> None:
        closing = self._closing
        assert closing is not None
        with self._lock:
            first = closing.state is State.QUEUED
            closing.state = state
            if first:
                closing.value, closing.failure = self._stats.not_written, error
        if first:
            self._outbox.send([closing])

    def _log_outcome(self, operation: Operation[Any]) -> None:
        if operation.error is not None:
            what = operation.what
            log.warning("%s: %s failed after it was cancelled", self.where, what, exc_info=operation.error)
        else:
            log.info("%s: %s succeeded after it was cancelled", self.where, operation.what)
