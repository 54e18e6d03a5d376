# SPDX-License-Identifier: MIT
"""What goes through the buffer, and what is counted of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred

from zlmdb import Transaction

Step: TypeAlias = Callable[[Transaction], object]
"""Writes one record inside a transaction; it may be run again if it was rolled back."""
Outcome: TypeAlias = Exception | None
Write: TypeAlias = Callable[[list[Step]], Deferred[list[Outcome]]]
"""Runs steps in one transaction and fires after its synced commit with what became of each."""


class Record:
    """One write: ``step`` performs it, ``content`` is what it writes, ``answer`` what its Deferred fires with.

    ``size`` is about how many bytes it has in the file, 0 where that is little.
    """

    __slots__ = ("answer", "content", "deferred", "droppable", "patient", "size", "step")

    def __init__(self, step: Step, content: Any, answer: Any = None, *, size: int = 0, droppable: bool = False) -> None:
        self.size = size
        self.step = step
        self.content = content
        self.answer = answer
        self.droppable = droppable
        self.patient = True  # whether somebody waits for the commit, where that is the durability
        self.deferred: Deferred[Any] | None = None  # until it is fired


@dataclass(frozen=True, slots=True)
class BufferStats:
    """What went through the buffer; times are in seconds.

    ``buffered`` records are accepted and not in the file, ``pending_bytes`` is what those of them have that are not
    being written at present, and ``waiting`` ones are not accepted yet. ``written``,
    ``failed`` (refused by the file, or by a failing commit), ``dropped`` (to make room) and ``refused`` (never
    accepted) are counts since the start. ``flushes`` are batches that were committed.
    """

    buffered: int = 0
    waiting: int = 0
    written: int = 0
    failed: int = 0
    dropped: int = 0
    refused: int = 0
    flushes: int = 0
    last_flush: float = 0.0
    total_flush: float = 0.0
    pending_bytes: int = 0
