# SPDX-License-Identifier: MIT
"""One write that somebody asked for, and what became of it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from zlmdb.orm import Record
    from zlmdb.storage import Transaction
    from zlmdb.workers.writer import Writer

T = TypeVar("T")

Job: TypeAlias = "Callable[[Transaction], T]"
Durability: TypeAlias = Literal["commit", "queued"]
"""When an operation's outcome is given: after its commit, or when it is accepted into the queue."""
DURABILITIES = ("commit", "queued")


class State(enum.Enum):
    """Where an operation is on its way."""

    WAITING = "waiting"  # the queue is full; not accepted yet
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    def __repr__(self) -> str:
        """Return the short form for messages."""
        return self.value


# a member looked up in its class costs as much as a call; these are set and compared for each operation
WAITING: Final = State.WAITING
QUEUED: Final = State.QUEUED
RUNNING: Final = State.RUNNING
DONE: Final = State.DONE
CANCELLED: Final = State.CANCELLED


class Operation(Generic[T]):
    """A job for the writer, its weight, and its outcome.

    ``what`` describes it in logs; ``records`` and ``size`` (bytes) count against the limits of the queue.
    ``failure`` is None or why it failed, ``error`` what of this the subscriber is told: an operation that was
    ``acknowledged`` on acceptance has been answered, whatever happens later. ``value`` is what the job
    returned. ``job`` may be a `Record` that is to be put, for which nothing needs to be called; it is None once it ran,
    and for the marks that `Writer.flushed` and `Writer.close` make.
    ``waiter`` is what a face has awaited for it, kept here so that no object is needed to keep both.
    """

    __slots__ = (
        "acknowledged",
        "answered",
        "callback",
        "durability",
        "failure",
        "job",
        "records",
        "size",
        "state",
        "value",
        "waiter",
        "what",
        "writer",
    )

    def __init__(
        self, writer: Writer, job: Job[T] | Record | None, what: str, records: int, size: int, durability: Durability
    ) -> None:
        self.writer = writer
        self.job = job
        self.what = what
        self.records = records
        self.size = size
        self.durability = durability
        self.state: State = WAITING
        self.acknowledged = False
        self.answered = False  # written and read on the loop's thread only
        self.failure: BaseException | None = None
        self.value: T | None = None
        self.callback: Callable[[Operation[T]], None] | None = None
        self.waiter: Any = None

    @property
    def error(self) -> BaseException | None:
        """What the subscriber is told: None for success."""
        return None if self.acknowledged else self.failure

    def subscribe(self, callback: Callable[[Operation[T]], None]) -> None:
        """Have ``callback(self)`` called once, on the loop's thread, when there is an outcome; at once if there is.

        To be called on the loop's thread, where `submit` was called.
        """
        if self.answered:
            callback(self)
        else:
            self.callback = callback

    def __call__(self, _waiter: object) -> None:
        """Cancel it, see `Writer.cancel`: its waiter is cancelled. A call, for a bound method is one more object."""
        self.writer.cancel(self)

    def detach(self) -> bool:
        """Forget the subscriber; return whether there was one."""
        had, self.callback, self.waiter = self.callback is not None, None, None
        return had

    def answer(self) -> None:
        """Tell the subscriber; loop thread only. What was interrupted in it may be called again.

        `Outbox` does the same, without a call for each.
        """
        self.answered = True
        callback = self.callback
        if callback is not None:
            callback(self)
            self.callback = None

    def result(self) -> T:
        """Return what the job returned (None for the ``queued`` durability), or raise why it failed."""
        if (error := self.error) is not None:
            raise error
        value: Any = self.value
        result: T = value
        return result

    def __repr__(self) -> str:
        """Return the description and the state."""
        return f"<{self.what}: {self.state.value}>"
