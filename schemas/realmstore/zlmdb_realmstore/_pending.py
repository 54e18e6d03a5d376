# SPDX-License-Identifier: MIT
"""The records that are accepted and wait to be written, counted and weighed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from zlmdb_realmstore._record import Record


class Pending:
    """A queue of records; ``size`` is how many bytes they have together. Reactor thread only."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    def append(self, record: Record) -> None:
        """Add the newest."""
        self._records.append(record)
        self.size += record.size

    def take(self, most: int | None) -> list[Record]:
        """Remove and return the oldest, ``most`` of them, or all."""
        count = len(self._records) if most is None else min(most, len(self._records))
        taken = [self._records.popleft() for _ in range(count)]
        self.size -= sum(record.size for record in taken)
        return taken

    def put_back(self, records: Iterable[Record]) -> None:
        """Add again, before all others, what was taken, in the order it had."""
        for record in reversed(list(records)):
            self._records.appendleft(record)
            self.size += record.size

    def drop(self) -> Record | None:
        """Remove and return the oldest that may be dropped, None if there is none."""
        oldest = next((at for at, record in enumerate(self._records) if record.droppable), None)
        if oldest is None:
            return None
        record = self._records[oldest]
        del self._records[oldest]
        self.size -= record.size
        return record
