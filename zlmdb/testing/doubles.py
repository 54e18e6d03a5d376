# SPDX-License-Identifier: MIT
"""Test doubles: a worker that works when told to, and a clock that stands still."""

from __future__ import annotations

from collections import deque

from zlmdb.errors import DatabaseClosed
from zlmdb.workers.worker import Work


class MemoryWorker:
    """A `zlmdb.workers.Worker` without a thread: work is done by `perform`, on the thread that calls it."""

    def __init__(self) -> None:
        self._work: deque[Work] = deque()
        self.ended = False
        """Whether it was quit or abandoned."""

    def do(self, work: Work) -> None:
        """Keep ``work`` for `perform`; raises `DatabaseClosed` after `quit`."""
        if self.ended:
            raise DatabaseClosed("the worker has ended", where="MemoryWorker")
        self._work.append(work)

    def perform(self) -> bool:
        """Do the oldest piece of work; return whether there was one."""
        if not self._work:
            return False
        self._work.popleft()()
        return True

    def perform_all(self) -> None:
        """Do all work, and what it brings with it."""
        while self.perform():
            pass

    def quit(self) -> None:
        """Do all work and take nothing more."""
        self.perform_all()
        self.ended = True

    def abandon(self) -> None:
        """Take note of the end."""
        self.ended = True


class FakeClock:
    """A clock in seconds that `advance` moves; call it for the time.

    ``sleep`` moves it too, and counts as a pause.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.pauses = 0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the time on."""
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Move the time on, as `time.sleep` does."""
        self.pauses += 1
        self.advance(seconds)
