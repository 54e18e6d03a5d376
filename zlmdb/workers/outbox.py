# SPDX-License-Identifier: MIT
"""The way of outcomes from the writer's thread to the loop's thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from zlmdb.workers.operation import Operation
from zlmdb.workers.stats import histogram_of_seconds

Deliver: TypeAlias = Callable[[Callable[[], None]], object]
"""Have a function called on the loop's thread: ``reactor.callFromThread``, ``loop.call_soon_threadsafe``."""

log = logging.getLogger(__name__)


class Outbox:
    """Answers operations on the loop's thread: one hop for each batch, in order, in slices.

    ``deliver`` makes the hop and may be called from any thread. ``later`` is called on the loop's thread to
    have the next slice answered after the loop had its turn; ``portion`` is the size of a slice. ``lateness``
    counts the seconds (of ``clock``) that the hops took, which is how late the loop was.
    """

    def __init__(
        self, deliver: Deliver, later: Deliver, portion: int = 200, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lateness = histogram_of_seconds()
        self._deliver = deliver
        self._later = later
        self._portion = portion
        self._clock = clock
        self._sent = 0.0
        self._lock = threading.Lock()
        self._answers: deque[Operation[Any]] = deque()
        self._on_the_way = False

    def send(self, operations: Iterable[Operation[Any]]) -> None:
        """Have ``operations`` answered; from any thread, never raises."""
        with self._lock:
            self._answers.extend(operations)
            if self._on_the_way or not self._answers:
                return
            self._on_the_way = True
            self._sent = self._clock()
        try:
            self._deliver(self._arrive)
        except Exception as error:  # noqa: BLE001 - a closed loop raises what it likes, and the writer goes on
            self._lose(error)

    def _arrive(self) -> None:
        try:
            self.lateness.add(self._clock() - self._sent)
        finally:
            self._answer()

    def _answer(self) -> None:
        """Answer a slice. One function: it is called for each batch, which may well be of one operation."""
        answers, is_over = self._answers, False
        try:
            for _ in range(self._portion):
                if not answers:
                    with self._lock:
                        self._on_the_way = bool(answers)
                    if not self._on_the_way:
                        is_over = True
                        return
                operation = answers[0]
                operation.answered = True
                callback = operation.callback
                try:
                    if callback is not None:
                        callback(operation)
                        operation.callback = None
                except Exception:  # a subscriber's fault must not keep the others from their answers
                    log.exception("the callback of %s failed", operation.what)
                answers.popleft()  # nobody else takes any; an operation whose answer was interrupted is answered again
        finally:  # after an interrupt (Ctrl-C) too: the loop may run on, and others wait for their answers
            if not is_over:
                self._later(self._answer)

    def _lose(self, error: Exception) -> None:
        with self._lock:
            lost = len(self._answers)
            self._answers.clear()
            self._on_the_way = False
        log.warning("the event loop took no outcomes (%s); %d operations ended without an answer", error, lost)
