# SPDX-License-Identifier: MIT
"""The bounded buffer between a router and the writer thread. Everything here runs on the reactor's thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from zlmdb.errors import Backpressure, DatabaseClosed, DiskFull, MapFull, NotWritten
from zlmdb_realmstore._config import Durability, Overflow
from zlmdb_realmstore._pending import Pending
from zlmdb_realmstore._record import BufferStats, Outcome, Record, Write

_PORTION: Final = 200  # Deferreds fired before the reactor gets its turn
_SLOWEST_RETRY: Final = 10.0  # seconds between two attempts at a file that takes nothing
_LOGGED: Final = 2000  # characters of a record that a log shows
_ATTEMPTS_AT_CLOSING: Final = 3
_BEYOND: Final = 10_000  # records; more than what was read from connections before they could be held up


class _Batch:
    """Records that are being written together, and those who wait for that."""

    def __init__(self, records: list[Record], waiters: list[Deferred[None]], started: float) -> None:
        self.records = records
        self.waiters = waiters
        self.started = started


class Buffer:
    """Takes records at any rate and has them written in batches, one after the other, in their order.

    A batch is written every ``interval`` seconds, or when ``limit`` records are buffered, or ``max_bytes`` bytes of
    them; with the durability ``commit``, as soon as the one before it is written. Before `open` all records wait.
    ``call_later`` is the reactor's; ``clock`` measures flushes, in seconds; ``where`` is the path, for messages.

    A batch that cannot be committed fails its Deferreds with the cause. Records whose Deferreds have fired, as all
    do in ``queued`` mode, are kept and tried again, and nothing new is taken until that succeeds.
    """

    _log = Logger()

    def __init__(
        self,
        limit: int,
        max_bytes: int,
        interval: float,
        durability: Durability,
        overflow: Overflow,
        call_later: Callable[[float, Callable[[], object]], Any],
        *,
        clock: Callable[[], float] = time.perf_counter,
        where: str = "realm store",
    ) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._interval = interval
        self._queued = durability == "queued"
        self._overflow = overflow
        self._call_later = call_later
        self._clock = clock
        self._where = where
        self._write: Write | None = None
        self._waiting: deque[Record] = deque()
        self._pending = Pending()
        self._flights: deque[_Batch] = deque()  # two only at closing
        self._waiters: list[Deferred[None]] = []  # for what is pending
        self._answers: deque[Callable[[], object]] = deque()
        self._answering = False
        self._timer: Any = None
        self._fault: BaseException | None = None  # why nothing is taken
        self._retry = interval
        self._portion: int | None = None  # records in a batch, while the file has no room for larger ones
        self._closing = False
        self._attempts = 0  # at closing
        self._given_up = 0
        self._cause: BaseException | None = None
        self._closers: list[Deferred[None]] = []
        self._complaining = False  # the present episode of refusals is in the log
        self._stats = BufferStats()

    # --- taking

    def open(self, write: Write) -> None:
        """Begin to accept records, and to have them written by ``write``."""
        self._write = write
        self._fault = None
        self._admit()
        self._schedule()

    def suspend(self, cause: BaseException) -> None:
        """Refuse everything until `open`, because of ``cause``; who waits is told."""
        self._fault = cause
        self._refuse_waiting(cause)
        self._go_on()

    def submit(self, record: Record) -> Deferred[Any]:
        """Take a record; fires with its answer when it is accepted (``queued``) or committed (``commit``).

        Fails with `DatabaseClosed` after `close`, with the cause while the file takes nothing, with
        `Backpressure` when there is no room and nothing may wait. Cancelling removes a record that waits;
        one that was accepted is written nevertheless.

        A record of a caller that is not patient is accepted or refused at once. Where others would wait, such
        records may go beyond the limits by as much again, and by 10,000 at least.
        """
        if self._closing:
            return fail(
                DatabaseClosed("the store is closed or closing", where=self._where, next_step="start a new one")
            )
        if self._fault is not None:
            return self._refuse(self._fault)
        deferred: Deferred[Any] = Deferred(partial(self._cancel, record))
        record.deferred = deferred
        waits = self._write is None or bool(self._waiting) or (self.is_full and self._overflow == "wait")
        if waits and record.patient:
            self._waiting.append(record)
        elif not self._make_room(record):
            return self._refuse(self._backpressure())
        else:
            self._accept(record)
            self._go_on()
        return deferred

    def flushed(self) -> Deferred[None]:
        """Write what was accepted so far, without waiting for the interval; fires when that is done.

        Fails with the cause if it cannot be committed.
        """
        if not self._pending and not self._flights:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        (self._waiters if self._pending else self._flights[-1].waiters).append(waiter)
        if not self._flights and self._write is not None:
            self._flush()
        return waiter

    def accepted(self) -> Iterator[Record]:
        """Return the records that are accepted and perhaps not in the file yet, oldest first."""
        return chain(*(batch.records for batch in self._flights), self._pending)

    def stats(self) -> BufferStats:
        """Return the counters as they are now."""
        flying = sum(len(batch.records) for batch in self._flights)
        buffered, size = flying + len(self._pending), self._pending.size
        return replace(self._stats, buffered=buffered, pending_bytes=size, waiting=len(self._waiting))

    @property
    def is_full(self) -> bool:
        """Whether as many records, or bytes of them, wait to be written as may."""
        return len(self._pending) >= self._limit or self._pending.size >= self._max_bytes

    def _has_room(self, record: Record) -> bool:
        if self._overflow != "wait" or record.patient:
            return not self.is_full
        return len(self._pending) < self._limit + max(self._limit, _BEYOND) and self._pending.size < 2 * self._max_bytes

    def _accept(self, record: Record) -> None:
        self._pending.append(record)
        if (self._queued or not record.patient) and record.deferred is not None:
            deferred, record.deferred = record.deferred, None
            deferred.callback(record.answer)

    def _admit(self) -> None:
        while self._waiting and (self._closing or not self.is_full):
            self._accept(self._waiting.popleft())

    def _cancel(self, record: Record, _: Deferred[Any]) -> None:
        record.deferred = None
        if record in self._waiting:
            self._waiting.remove(record)

    def _make_room(self, record: Record) -> bool:
        """Return whether there is room for a record, for which the oldest are dropped where that is the policy."""
        while not self._has_room(record):
            error = self._backpressure()
            dropped = self._pending.drop() if self._overflow == "drop-oldest" else None
            if dropped is None:
                return False
            self._count(dropped=1)
            self._complain(f"events are dropped to make room: {error}")
            self._fail(dropped, error)
        return True

    def _backpressure(self) -> Backpressure:
        pending, limit, what, key = len(self._pending), self._limit, "records wait", "max-buffer"
        if pending < limit:
            pending, limit, what, key = self._pending.size, self._max_bytes, "bytes of records wait", "max-buffer-bytes"
        return Backpressure(
            f"the buffer is full: {pending} of {limit} {what} to be written",
            where=self._where,
            next_step=f"publish more slowly, or raise {key}",
            pending=pending,
            limit=limit,
        )

    def _refuse(self, error: BaseException) -> Deferred[Any]:
        self._count(refused=1)
        self._complain(f"records are refused: {error}")
        return fail(error)

    def _complain(self, text: str) -> None:
        if not self._complaining:  # once for a flood
            self._complaining = True
            self._log.error("{where}: {text}", where=self._where, text=text)

    # --- writing

    def _schedule(self) -> None:
        """See to it that what is pending is written in time."""
        if not self._pending or self._write is None or (self._flights and not self._closing):
            return
        splitting = self._portion is not None and (self._portion > 1 or self._fault is None)
        if self._closing or self._waiters or splitting or (self.is_full and self._fault is None):
            self._flush()
        elif self._timer is None:
            soon = self._retry if self._fault is not None else self._interval if self._queued else 0
            self._timer = self._call_later(soon, self._timed)

    def _timed(self) -> None:
        self._timer = None
        if self._pending and not self._flights:
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        assert self._write is not None
        batch = _Batch(self._pending.take(self._portion), [] if self._pending else self._waiters, self._clock())
        self._waiters = self._waiters if self._pending else []
        self._flights.append(batch)
        written = self._write([record.step for record in batch.records])
        self._admit()  # only now: who is told may close, and have the rest written
        written.addCallbacks(self._written, self._not_written, callbackArgs=(batch,), errbackArgs=(batch,))
        written.addErrback(lambda failure: self._log.failure("{where}: a flush", failure, where=self._where))

    def _written(self, outcomes: list[Outcome], batch: _Batch) -> None:
        self._flights.remove(batch)
        took = self._clock() - batch.started
        refused = sum(outcome is not None for outcome in outcomes)
        self._count(flushes=1, written=len(outcomes) - refused, failed=refused, total_flush=took)
        self._stats = replace(self._stats, last_flush=took)
        if self._fault is not None:
            self._log.info("{where}: the file takes records again", where=self._where)
        self._fault, self._retry, self._complaining = None, self._interval, False
        if self._portion is not None:
            self._portion = self._portion * 2 if self._pending else None
        for record, error in zip(batch.records, outcomes, strict=True):
            if error is not None:
                self._report(record, error)
                self._fail(record, error)
            elif record.deferred is not None:
                self._answers.append(partial(_fire, record))
        self._answers.extend(partial(waiter.callback, None) for waiter in batch.waiters)
        self._go_on()

    def _not_written(self, failure: Failure, batch: _Batch) -> None:
        self._flights.remove(batch)
        cause: BaseException = failure.value  # type: ignore[assignment]  # a failure always has one
        where, count = self._where, len(batch.records)
        self._log.error("{where}: {count} records were not written: {cause}", where=where, count=count, cause=cause)
        self._answers.extend(partial(waiter.errback, cause) for waiter in batch.waiters)
        told = [record for record in batch.records if record.deferred is not None]
        kept = [record for record in batch.records if record.deferred is None]
        self._give_up(told, cause)
        if isinstance(cause, (MapFull, DiskFull)) and count > 1:
            self._portion = count // 2  # perhaps there is room for some of them
        elif self._closing and (isinstance(cause, DatabaseClosed) or self._attempts >= _ATTEMPTS_AT_CLOSING):
            self._abandon(kept, cause)
            kept = []
        else:
            self._attempts += self._closing
            self._retry = self._retry if self._fault is None else min(self._retry * 2, _SLOWEST_RETRY)
        if kept:
            self._keep(kept, cause)
        self._go_on()

    def _abandon(self, records: list[Record], cause: BaseException) -> None:
        """Give up at closing what was acknowledged, and all behind it."""
        lost = [*records, *self._pending.take(None)]
        self._give_up(lost, cause)
        self._given_up += len(lost)
        self._cause = cause
        self._answers.extend(partial(waiter.errback, cause) for waiter in self._waiters)
        self._waiters = []

    def _keep(self, records: list[Record], cause: BaseException) -> None:
        """Take back what was acknowledged, and nothing else until it is written."""
        self._pending.put_back(records)
        self._fault = cause
        self._refuse_waiting(cause)

    def _refuse_waiting(self, cause: BaseException) -> None:
        while self._waiting:
            self._fail(self._waiting.popleft(), cause)
            self._count(refused=1)

    def _give_up(self, records: Iterable[Record], cause: BaseException) -> None:
        for record in records:
            self._count(failed=1)
            self._fail(record, cause)

    def _report(self, record: Record, error: BaseException) -> None:
        self._log.error(
            "{where}: a record was refused: {error}; it is {content}",
            where=self._where,
            error=error,
            content=repr(record.content)[:_LOGGED],
        )

    def _count(self, **counts: float) -> None:
        present = self._stats
        self._stats = replace(present, **{name: getattr(present, name) + more for name, more in counts.items()})

    # --- answering

    def _fail(self, record: Record, error: BaseException) -> None:
        if record.deferred is not None:
            self._answers.append(partial(_fire, record, error))  # later: who is told may ask for anything

    def _go_on(self) -> None:
        self._schedule()
        if self._answers and not self._answering:
            self._answering = True
            self._answer()
        elif not self._answering:
            self._finish_closing()

    def _answer(self) -> None:
        for _ in range(min(_PORTION, len(self._answers))):
            self._answers.popleft()()
        if self._answers:
            self._call_later(0, self._answer)
        else:
            self._answering = False
            self._finish_closing()

    # --- the end

    def close(self) -> Deferred[None]:
        """Take nothing new and have all that was taken handed to the writer before this returns.

        Fires when that is written and answered; fails with `NotWritten` (``count``) if it cannot be. What waits
        for `open` at this time fails. Further calls have the same outcome.
        """
        waiter: Deferred[None] = Deferred()
        self._closers.append(waiter)
        if not self._closing:
            self._closing = True
            if self._write is None:
                closed = DatabaseClosed("the store was closed before it was open", where=self._where)
                self._cause = closed
                self._given_up = len(self._pending)
                self._give_up([*self._waiting, *self._pending.take(None)], closed)
                self._waiting.clear()
            self._admit()
        self._go_on()
        return waiter

    def _finish_closing(self) -> None:
        if not self._closing or self._pending or self._flights or self._answers:
            return
        closers, self._closers = self._closers, []
        for closer in closers:
            if self._given_up:
                closer.errback(self._lost())
            else:
                closer.callback(None)

    def _lost(self) -> NotWritten:
        error = NotWritten(
            f"{self._given_up} acknowledged records could not be written before the end: {self._cause}",
            where=self._where,
            count=self._given_up,
        )
        error.__cause__ = self._cause
        return error


def _fire(record: Record, error: BaseException | None = None) -> None:
    deferred, record.deferred = record.deferred, None
    if deferred is None:
        return
    if error is None:
        deferred.callback(record.answer)
    else:
        deferred.errback(error)
