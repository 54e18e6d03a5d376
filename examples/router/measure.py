# SPDX-License-Identifier: MIT
"""Percentiles of what was measured lately, and how late the event loop is."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final

_KEPT: Final = 100_000  # of the latest measurements
_BEAT: Final = 0.001  # seconds


class Durations:
    """Durations in seconds, reported in milliseconds; percentiles are of the latest 100,000."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque(maxlen=_KEPT)
        self._count = 0
        self._max = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self._kept.append(seconds)
        self._count += 1
        self._max = max(self._max, seconds)

    def report(self) -> dict[str, float]:
        """Return their number, and p50, p99 and maximum in milliseconds."""
        ordered = sorted(self._kept)
        return {
            "count": self._count,
            "p50_ms": _milliseconds(percentile(ordered, 0.50)),
            "p99_ms": _milliseconds(percentile(ordered, 0.99)),
            "max_ms": _milliseconds(self._max),
        }


def percentile(ordered: list[float], share: float) -> float:
    """Return the smallest of the ascending values that at least this share does not exceed; 0 for none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


class Heartbeat:
    """Asks the reactor for a call every millisecond and measures how late it comes: what blocks the loop shows here."""

    def __init__(self, reactor: Any, seconds: Callable[[], float]) -> None:
        self.lateness = Durations()
        self._reactor = reactor  # an IReactorTime
        self._seconds = seconds
        self._call: Any = None

    def start(self) -> None:
        """Begin to measure."""
        self._due = self._seconds() + _BEAT
        self._call = self._reactor.callLater(_BEAT, self._beat)

    def stop(self) -> None:
        """Measure no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _beat(self) -> None:
        self.lateness.add(max(0.0, self._seconds() - self._due))
        self.start()
