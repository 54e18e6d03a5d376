# SPDX-License-Identifier: MIT
"""The short way into the writer's queue: what a face does for each record that is put, in one function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from zlmdb.orm import Record
from zlmdb.workers import worker
from zlmdb.workers.limits import check_choice
from zlmdb.workers.operation import DURABILITIES, QUEUED, WAITING, Durability, Operation

if TYPE_CHECKING:
    from zlmdb.workers.bridge import Bridge
    from zlmdb.workers.writer import Writer

Enter: TypeAlias = "Callable[[Record, Durability], Awaitable[None]]"
"""Takes a record that is to be put, and the durability, and gives what is awaited."""
_new: Final[Any] = object.__new__


def entry(writer: Writer, bridge: Bridge, what: str) -> Enter:
    """Return what submits puts to ``writer`` and gives waiters of ``bridge``; it raises as `Writer.submit` does.

    While there is room it does what ``Operation(…)``, `Pending.add` and `Bridge.awaiting` do, without calling them:
    calls of Python functions are the most of what a put costs beside its encoding. For the loop's thread only.
    """
    lock, pending, waiter, answered = writer._lock, writer._pending, bridge.waiter, bridge.answered
    accept, limits = pending.accepted.append, pending.limits

    def enter(record: Record, durability: Durability) -> Awaitable[None]:
        _, raw, data = record
        if durability != "commit":
            check_choice("durability", durability, DURABILITIES)
        operation: Operation[None] = _new(Operation)
        operation.writer = writer
        operation.job = record
        operation.what = what
        operation.records = 1
        operation.size = size = len(raw) + len(data)
        operation.durability = durability
        operation.state = QUEUED
        operation.acknowledged = False
        operation.answered = False
        operation.failure = None
        operation.value = None
        operation.callback = answered
        with lock:
            if writer.closing or worker.forks != writer._forks:
                writer._refuse()
            records, total = pending.records + 1, pending.bytes + size
            if records > limits.max_pending or total > limits.max_pending_bytes or pending.waiting:
                operation.state = WAITING
                writer._accept(operation)
            else:
                pending.records, pending.bytes = records, total
                operation.acknowledged = durability != "commit"
                accept(operation)
                if not writer._scheduled:
                    writer._schedule()
            acknowledged = operation.acknowledged
        awaited: Awaitable[None] = waiter(operation)  # not before: the two refer to each other
        operation.waiter = awaited
        if acknowledged:
            operation.answer()
        return awaited

    return enter
