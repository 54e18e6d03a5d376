# SPDX-License-Identifier: MIT
"""The sweep: one slice after the other while there is something to do, and then a look now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from zlmdb_eventhistory._maintenance import Maintenance


class Sweeper:
    """Runs slices of maintenance; ``interval`` is in seconds. Reactor thread only.

    ``run`` does a slice, and ``call_later`` is the reactor's. A slice that fails is logged, and tried again after the
    interval.
    """

    _log = Logger()

    def __init__(
        self,
        run: Callable[[], Deferred[Maintenance]],
        interval: float,
        call_later: Callable[[float, Callable[[], object]], Any],  # IDelayedCall or asyncio.TimerHandle
    ) -> None:
        self._run = run
        self._interval = interval
        self._call_later = call_later
        self._timer: Any = None
        self._waiter: Deferred[None] | None = None  # for the slice that runs when it is stopped
        self._running = self._stopped = False

    def start(self) -> None:
        """Begin with a slice at once."""
        self._sweep()

    def stop(self) -> Deferred[None]:
        """Begin no further slice; fires when the one that runs has ended."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._running:
            return succeed(None)
        self._waiter = Deferred()
        return self._waiter

    def _sweep(self) -> None:
        self._timer = None
        self._running = True
        self._run().addCallbacks(self._swept, self._failed)

    def _swept(self, done: Maintenance) -> None:
        if done.damaged:
            self._log.error("events that cannot be read were passed over: {sequences}", sequences=done.damaged)
        self._go_on(0 if done.more else self._interval)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("a slice of the sweep", failure)
        self._go_on(self._interval)

    def _go_on(self, seconds: float) -> None:
        self._running = False
        if self._stopped:
            if self._waiter is not None:
                self._waiter.callback(None)
        else:
            self._timer = self._call_later(seconds, self._sweep)
