# SPDX-License-Identifier: MIT
"""A write that was checked and encoded already, to be executed later in a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from zlmdb.storage import EngineError, Transaction

T = TypeVar("T")


class Plan(Generic[T]):
    """Call it with a write transaction to execute it; ``size`` is what it will write, in bytes.

    It may be executed on another thread, and again if the transaction is run again.
    """

    __slots__ = ("_map", "_run", "size")

    def __init__(self, map_: Any, size: int, run: Callable[[Transaction], T]) -> None:
        self._map = map_
        self.size = size
        self._run = run

    def __call__(self, txn: Transaction) -> T:
        """Execute the write; raises as the map's own method does."""
        if txn.environment is not self._map.environment:
            self._map.check(txn)
        return self._run(txn)


class PlainPut(Plan[None]):
    """The put of a record into a table without indexes: one call of LMDB, which needs no savepoint around it."""

    __slots__ = ("_data", "_raw")

    def __init__(self, map_: Any, raw: bytes, data: bytes) -> None:
        self._map = map_
        self._raw = raw
        self._data = data
        self.size = len(raw) + len(data)

    def __call__(self, txn: Transaction) -> None:
        """Execute the put; raises as ``m[txn, key] = value`` does."""
        home = self._map._environment
        if txn.environment is not home and (home is not None or self._map._slot is None):
            self._map.check(txn)
        try:
            txn.store(self._raw, self._data)
        except EngineError as exc:
            raise txn.failed(exc) from exc
