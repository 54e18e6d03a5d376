# SPDX-License-Identifier: MIT
"""What a writer has done so far."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final

_SECONDS: Final = tuple(value / 1000 for value in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000))
_RECORDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


@dataclass(slots=True)
class Histogram:
    """Counts of measured values: ``counts[i]`` of those up to ``bounds[i]``, the last one of all that are larger."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    largest: float = 0.0

    def __post_init__(self) -> None:
        self.counts = list(self.counts) or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        if value > self.largest:
            self.largest = value

    def copy(self) -> Histogram:
        """Return a copy that is counted no further."""
        return Histogram(self.bounds, self.counts, self.largest)

    def quantile(self, part: float) -> float:
        """Return a bound that ``part`` (0 to 1) of the values do not exceed; 0.0 if there are none."""
        wanted = part * sum(self.counts)
        for bound, reached in zip(self.bounds, accumulate(self.counts), strict=False):
            if reached >= wanted:
                return min(bound, self.largest)
        return self.largest


def histogram_of_seconds() -> Histogram:
    """Return an empty histogram of seconds, from 0.1 ms to 5 s."""
    return Histogram(_SECONDS)


def _histogram_of_records() -> Histogram:
    return Histogram(_RECORDS)


@dataclass(slots=True)
class WriterStats:
    """Counters since the database was opened; a copy is handed out, so it does not change under the reader."""

    pending_records: int = 0
    """Records accepted and not committed yet."""
    pending_bytes: int = 0
    waiting: int = 0
    """Operations that wait for room in the queue."""
    batches: int = 0
    """Transactions committed."""
    records: int = 0
    """Records committed."""
    largest_batch: int = 0
    """Most records that one transaction committed."""
    last_commit: float = 0.0
    """Seconds that the last commit took."""
    total_commit: float = 0.0
    """Seconds that all commits took."""
    failed: int = 0
    """Operations that failed, those counted as lost included."""
    lost: int = 0
    """Operations of ``queued`` durability that failed after they were acknowledged."""
    held: int = 0
    """Operations of ``queued`` durability that wait because the file or the disk is full."""
    cancelled: int = 0
    """Operations that were cancelled before they ran."""
    not_written: int = 0
    """Records given up because the deadline of closing passed."""
    commit_seconds: Histogram = field(default_factory=histogram_of_seconds)
    """How long commits took."""
    batch_records: Histogram = field(default_factory=_histogram_of_records)
    """How many records the transactions committed."""
    lateness_seconds: Histogram = field(default_factory=histogram_of_seconds)
    """How late the loop took the outcomes that were ready for it."""

    def count_commit(self, records: int, took: float) -> None:
        """Count a transaction of ``records`` whose commit took so many seconds."""
        self.batches += 1
        self.records += records
        if records > self.largest_batch:
            self.largest_batch = records
        self.last_commit = took
        self.total_commit += took
        self.commit_seconds.add(took)
        self.batch_records.add(records)

    def copy(self, **present: Any) -> WriterStats:
        """Return a copy with the ``present`` values of fields that are not counted here."""
        return replace(
            self, commit_seconds=self.commit_seconds.copy(), batch_records=self.batch_records.copy(), **present
        )
