# SPDX-License-Identifier: MIT
"""The bounded queue in front of the writer: what was accepted, and what waits for room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from zlmdb.errors import Backpressure
from zlmdb.workers.limits import Limits
from zlmdb.workers.operation import CANCELLED, QUEUED, RUNNING, Operation


class Pending:
    """Operations in the order of their submission. Not thread-safe: `Writer` holds its lock around each call.

    What was accepted counts against the limits until it is released, so a batch that is being written counts too;
    there is one at most: `release_taken` comes before the next `take`. An operation that is larger than a limit is
    accepted when there is nothing else. Cancelled operations stay in the queues, without their jobs, until they come
    to the front.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.records = 0
        self.bytes = 0
        self.waiting = 0
        self._taken = 0, 0  # records and bytes of the batch that is being written
        self.accepted: deque[Operation[Any]] = deque()
        self._waiting: deque[Operation[Any]] = deque()

    def __bool__(self) -> bool:
        """Tell whether an accepted operation is in the queue."""
        while self.accepted and self.accepted[0].state is CANCELLED:
            self.accepted.popleft()
        return bool(self.accepted)

    def add(self, operation: Operation[Any], *, has_waited: bool = False) -> bool:
        """Accept an operation, or let it wait; return whether it was accepted.

        One that ``has_waited``, the first of those, stays where it is.

        Raises:
            Backpressure: there is no room and nothing may wait.
        """
        limits, weight = self.limits, operation.records
        records, size = self.records + weight, self.bytes + operation.size
        is_full = (records > limits.max_pending or size > limits.max_pending_bytes) and self.records and weight
        if not is_full and (has_waited or not self.waiting):
            self.records, self.bytes = records, size
            operation.state = QUEUED
            operation.acknowledged = operation.durability != "commit"
            self.accepted.append(operation)
            return True
        if has_waited:
            return False
        if limits.overflow == "error":
            raise self._refusal(operation)
        self.waiting += 1
        self._waiting.append(operation)
        return False

    def admit(self) -> list[Operation[Any]]:
        """Accept those that waited and for which there is room now; return them."""
        admitted = []
        while self._waiting:
            operation = self._waiting[0]
            if operation.state is not CANCELLED:
                if not self.add(operation, has_waited=True):
                    break
                self.waiting -= 1
                admitted.append(operation)
            self._waiting.popleft()
        return admitted

    def take(self) -> list[Operation[Any]]:
        """Remove and return the next batch: within the limits, at least one, and ended by a mark if there is one."""
        batch: list[Operation[Any]] = []
        accepted, most, largest = self.accepted, self.limits.max_batch, self.limits.max_batch_bytes
        records = size = 0
        for operation in accepted:
            if operation.state is CANCELLED:
                continue
            records += operation.records
            size += operation.size
            if batch and (records > most or size > largest):
                records -= operation.records
                size -= operation.size
                break
            operation.state = RUNNING
            batch.append(operation)
            if operation.job is None:
                break
        self._taken = records, size
        if len(batch) == len(accepted):
            accepted.clear()
        while accepted and accepted[0].state is not QUEUED:
            accepted.popleft()
        return batch

    def put_back(self, operations: list[Operation[Any]]) -> None:
        """Make operations that were taken, and not released, the first of the queue again."""
        for operation in reversed(operations):
            operation.state = QUEUED
            self.accepted.appendleft(operation)

    def cancel(self, operation: Operation[Any]) -> None:
        """Take an operation that is queued or waiting out of the count; it never runs."""
        if operation.state is QUEUED:
            self.release([operation])
        else:
            self.waiting -= 1
        operation.state = CANCELLED
        operation.job = None

    def release(self, operations: Iterable[Operation[Any]]) -> None:
        """Give back the room of accepted operations."""
        for operation in operations:
            self.records -= operation.records
            self.bytes -= operation.size

    def release_taken(self, held: Iterable[Operation[Any]]) -> None:
        """Give back the room of the batch that was taken last, but not that of what is ``held`` of it."""
        records, size = self._taken
        self.records -= records
        self.bytes -= size
        for operation in held:
            self.records += operation.records
            self.bytes += operation.size

    def clear(self) -> list[Operation[Any]]:
        """Remove and return all that is queued or waiting, in order."""
        left = [op for op in (*self.accepted, *self._waiting) if op.state is not CANCELLED]
        self.release(op for op in self.accepted if op.state is not CANCELLED)
        self.accepted.clear()
        self._waiting.clear()
        self.waiting = 0
        return left

    def _refusal(self, operation: Operation[Any]) -> Backpressure:
        pending, limit, weight, unit = self.records, self.limits.max_pending, operation.records, "records"
        if pending + weight <= limit:
            pending, limit, weight, unit = self.bytes, self.limits.max_pending_bytes, operation.size, "bytes"
        return Backpressure(
            f"the queue of writes is full: {pending} of {limit} {unit} are pending",
            where=operation.what,
            got=weight,
            expected=f"at most {max(limit - pending, 0)} {unit} now",
            next_step="wait for outstanding writes, open with overflow='wait', or raise the limit",
            pending=pending,
            limit=limit,
        )
