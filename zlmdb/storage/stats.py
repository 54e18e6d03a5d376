# SPDX-License-Identifier: MIT
"""Counts of what transactions write, kept only where a caller asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class TableCounts:
    """What was written to one slot: records put and deleted, and the bytes of the keys and values put."""

    puts: int = 0
    dels: int = 0
    bytes: int = 0


class TransactionStats:
    """Counts of one transaction or several, those rolled back among them.

    ``puts`` and ``dels`` are records, index records among them; ``bytes`` is the size of the keys (with their
    two bytes of slot) and values put; ``tables`` has the same counts for each slot. One thread at a time.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin to count anew."""
        self.puts = self.dels = self.bytes = 0
        self.tables: dict[int, TableCounts] = {}
        self._started = time.time_ns()
        self._since, self._until = time.monotonic_ns(), 0
        self._is_new = True

    def begin(self) -> None:
        """Take note that a transaction begins."""
        if self._is_new:
            self._started, self._since, self._is_new = time.time_ns(), time.monotonic_ns(), False
        self._until = 0

    def end(self) -> None:
        """Take note that it has ended."""
        self._until = time.monotonic_ns()

    @property
    def started(self) -> int:
        """When the first transaction began, in ns since 1970; before that, when this was made or reset."""
        return self._started

    @property
    def duration(self) -> int:
        """Time from `started` to the end of the last transaction, in ns; to now while there is none, or one runs."""
        return (self._until or time.monotonic_ns()) - self._since

    def count_put(self, key: bytes, size: int) -> None:
        """Count a record put under the raw ``key``, of ``size`` bytes with it."""
        self.puts += 1
        self.bytes += size
        table = self._table(key)
        table.puts += 1
        table.bytes += size

    def count_dels(self, key: bytes, number: int) -> None:
        """Count ``number`` records deleted in the slot that the raw ``key`` lies in."""
        self.dels += number
        self._table(key).dels += number

    def _table(self, key: bytes) -> TableCounts:
        slot = int.from_bytes(key[:2], "big")
        return self.tables.get(slot) or self.tables.setdefault(slot, TableCounts())


def counted(raw: Any, stats: TransactionStats) -> tuple[Callable[..., bool], Callable[..., bool]]:
    """Return ``put`` and ``delete`` of LMDB's transaction ``raw`` with counting."""

    def store(key: bytes, data: bytes, dupdata: bool = True, overwrite: bool = True) -> bool:
        written = bool(raw.put(key, data, dupdata, overwrite))
        if written:
            stats.count_put(key, len(key) + len(data))
        return written

    def erase(key: bytes) -> bool:
        existed = bool(raw.delete(key))
        if existed:
            stats.count_dels(key, 1)
        return existed

    return store, erase
