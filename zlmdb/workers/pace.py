# SPDX-License-Identifier: MIT
"""Short pauses of the writer's thread, in which the event loop's thread gets the interpreter."""

from __future__ import annotations

from collections.abc import Callable

EVERY = 128
"""Records between two pauses."""
PAUSE = 0.0001
"""Seconds of a pause: a wait of any length hands over the interpreter lock."""


class Pace:
    """Call it once for each record that was written; it sleeps now and then. Writer thread only.

    Without it a batch of 10,000 records keeps the loop's thread waiting for several milliseconds at a time.
    """

    def __init__(self, sleep: Callable[[float], object], every: int = EVERY) -> None:
        self._sleep = sleep
        self._every = every
        self._since = 0

    def start(self) -> None:
        """Begin to count anew: a transaction begins, or ended, and the loop's thread had its turn meanwhile."""
        self._since = 0

    def __call__(self) -> None:
        """Count one record, and pause when it is time."""
        self._since += 1
        if self._since >= self._every:
            self._since = 0
            self._sleep(PAUSE)
