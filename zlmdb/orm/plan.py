# SPDX-License-Identifier: MIT
"""A write that was checked and encoded already, to be executed later in a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from zlmdb.storage import EngineError, Transaction

if TYPE_CHECKING:
    from zlmdb.orm.map import Map

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Plan(Protocol[T_co]):
    """Call it with a write transaction to execute it.

    It may be executed on another thread, and again if the transaction is run again.
    """

    @property
    def size(self) -> int:
        """What it will write, in bytes."""
        ...

    def __call__(self, txn: Transaction, /) -> T_co:
        """Execute the write; raises as the map's own method does."""
        ...


class MapPlan(Generic[T]):
    """The plan that ``run`` executes in a transaction of the map's database."""

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


Record: TypeAlias = "tuple[Map[Any, Any], bytes, bytes]"
"""A map, and the raw key and the data of a record of it."""


class PlainPut(tuple["Map[Any, Any]", bytes, bytes]):
    """The plan of a put into a table without indexes: one call of LMDB, which needs no savepoint around it.

    It is a `Record`, which does by itself where nothing is called with it: an object takes four times as long to make.
    """

    __slots__ = ()

    @property
    def size(self) -> int:
        """What it will write, in bytes."""
        _, raw, data = self
        return len(raw) + len(data)

    def __call__(self, txn: Transaction) -> None:
        """Execute the put; raises as ``m[txn, key] = value`` does."""
        put_plainly(self, txn)


def put_plainly(record: Record, txn: Transaction) -> None:
    """Put a record into its map, which has no indexes; raises as ``m[txn, key] = value`` does."""
    map_, raw, data = record
    home = map_._environment
    if txn.environment is not home and (home is not None or map_._slot is None):
        map_.check(txn)
    try:
        txn.store(raw, data)
    except EngineError as exc:
        raise txn.failed(exc) from exc
