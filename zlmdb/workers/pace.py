# SPDX-License-Identifier: MIT
"""Short pauses of threads that work, in which the event loop's thread gets the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from zlmdb.storage import Transaction

T = TypeVar("T")
PAUSE: Final = 0.0001
"""Seconds of a pause: a wait of any length hands over the interpreter lock."""
SPAN: Final = 0.0006
"""Seconds between two pauses that a pace aims at: how late the loop's thread may be."""
_FIRST: Final = 128  # records between two pauses, until it is known how long they take
_FEWEST: Final = 32  # what others take of the machine must not slow the work down many times over
_MOST: Final = 1024
_SHARE: Final = 3  # parts of work to one of pauses at least, however long these are on a busy machine


class Pace:
    """Call it once for each record; it sleeps now and then. For one thread at a time.

    Without it a batch of 10,000 records keeps the loop's thread waiting for many milliseconds: LMDB lets go of the
    interpreter lock in each call, but takes it again before a thread that waits for it has woken up, and that begins
    to wait anew (seen: 40 ms). How many records come between two pauses follows from how long they took last time.
    """

    def __init__(self, sleep: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        self.left = _FIRST
        """Records until the next pause, for those who count by themselves: at 0 or less `rest` is due."""
        self._sleep = sleep
        self._clock = clock
        self._every = _FIRST
        self._began = clock()

    def start(self) -> None:
        """Begin to count anew: a transaction begins, or ended, and the loop's thread had its turn meanwhile."""
        self.left = self._every
        self._began = self._clock()

    def rest(self) -> None:
        """Pause, and settle how many records come before the next time: the longer the pause, the more."""
        records, ended = self._every - self.left, self._clock()
        took = ended - self._began
        self._sleep(PAUSE)
        if took > 0:
            span = max(SPAN, _SHARE * (self._clock() - ended))
            self._every = max(_FEWEST, self._every // 2, min(int(records * span / took), 2 * self._every, _MOST))
        self.start()

    def __call__(self) -> None:
        """Count one record, and pause when it is time."""
        self.left -= 1
        if self.left <= 0:
            self.rest()


def at_pace(pace: Pace, function: Callable[..., T], *args: Any) -> Callable[[Transaction], T]:
    """Return what calls ``function(txn, *args)`` with a transaction that keeps the pace in all that is done with it."""

    def run(txn: Transaction) -> T:
        txn.keep_pace(pace)
        try:
            return function(txn, *args)
        finally:
            txn.keep_pace(None)

    return run
