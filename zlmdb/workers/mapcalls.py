# SPDX-License-Identifier: MIT
"""What can be done with a map asynchronously, in loop-free form: writes become operations, reads are plain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from zlmdb.orm import Map, Plan
from zlmdb.orm.sets import LiveSet
from zlmdb.workers.engine import Engine
from zlmdb.workers.operation import Durability, Operation
from zlmdb.workers.pace import Pace

if TYPE_CHECKING:
    from zlmdb.storage import Transaction

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
R = TypeVar("R")
_BETWEEN_PAUSES = 128  # records that a scan decodes before the loop's thread gets its turn


class MapCalls(Generic[K, V]):
    """One map of one engine.

    Writes are checked and encoded when they are called, on the calling thread; only bytes go to the writer.
    They raise what encoding raises, and what `Writer.submit` raises. Reads run on the calling thread.
    """

    def __init__(self, engine: Engine, map_: Map[K, V]) -> None:
        self.engine = engine
        self.map = map_
        self._limit = engine.max_key_size
        self._title = type(map_).__name__

    # --- writes

    def put(self, key: K, value: V, durability: Durability | None) -> Operation[None]:
        """Store a record."""
        plan = self.map.plan_put(key, value, self._limit)
        return self._submit(plan, "put", durability or self.engine.durability)

    def put_many(self, items: Iterable[tuple[K, V]], durability: Durability | None) -> Operation[None]:
        """Store records, all or none."""
        plans = [self.map.plan_put(key, value, self._limit) for key, value in items]
        return self._submit_many(plans, "put_many", _nothing, durability or self.engine.durability)

    def insert(self, key: K, value: V) -> Operation[None]:
        """Store a new record; fails with `KeyExists`."""
        return self._submit(self.map.plan_insert(key, value, self._limit), "insert")

    def replace(self, key: K, value: V, **expected: V) -> Operation[V]:
        """Replace a record, with ``expected=`` only this value; the outcome is the former value."""
        return self._submit(self.map.plan_replace(key, value, self._limit, **expected), "replace")

    def delete(self, key: K) -> Operation[bool]:
        """Delete a record; the outcome tells whether there was one."""
        return self._submit(self.map.plan_delete(key, self._limit), "delete")

    def delete_many(self, keys: Iterable[K]) -> Operation[int]:
        """Delete records, all or none; the outcome is how many there were."""
        plans = [self.map.plan_delete(key, self._limit) for key in keys]
        return self._submit_many(plans, "delete_many", sum)

    def pop(self, key: K) -> Operation[V | None]:
        """Delete a record; the outcome is its value, or None."""
        return self._submit(self.map.plan_pop(key, self._limit), "pop")

    def truncate(self) -> Operation[int]:
        """Delete all records and their index records; the outcome is how many of both."""
        return self.engine.writer.submit(self.map.truncate, what=f"truncate {self._title}")

    def _submit(self, plan: Plan[T], verb: str, durability: Durability = "commit") -> Operation[T]:
        what = f"{verb} {self._title}"
        return self.engine.writer.submit(plan, what=what, size=plan.size, durability=durability)

    def _submit_many(
        self, plans: Sequence[Plan[T]], verb: str, total: Callable[[list[T]], R], durability: Durability = "commit"
    ) -> Operation[R]:
        pace = self.engine.writer.pace

        def run(txn: Transaction) -> R:
            done = []
            for plan in plans:
                done.append(plan(txn))
                pace()
            return total(done)

        return self.engine.writer.submit(
            run,
            what=f"{verb} {self._title}",
            records=len(plans),
            size=sum(plan.size for plan in plans),
            durability=durability,
        )

    # --- reads

    def get(self, key: K) -> V | None:
        """Return the value, or None."""
        with self.engine.database.begin() as txn:
            value: V | None = detached(self.map[txn, key])
            return value

    def contains(self, key: K) -> bool:
        """Tell whether there is a record."""
        with self.engine.database.begin() as txn:
            return (txn, key) in self.map

    def get_many(self, keys: Iterable[K]) -> list[V | None]:
        """Return the values of ``keys``, None where there is none."""
        with self.engine.database.begin() as txn:
            return [detached(value) for value in self.map.get_many(txn, keys)]

    def count(self, prefix: Any) -> int:
        """Count the records."""
        with self.engine.database.begin() as txn:
            return self.map.count(txn, prefix=prefix)

    def select(self, **bounds: Any) -> list[Any]:
        """Return what `Map.select` yields."""
        with self.engine.database.begin() as txn:
            return list(paced(self.map.select(txn, **bounds)))

    def page(self, after: K | None, size: int, *, reverse: bool, **bounds: Any) -> list[tuple[K, V]]:
        """Return up to ``size`` records behind the key ``after`` (None: from the start), in this direction."""
        if after is None:
            return self.select(reverse=reverse, limit=size, **bounds)
        if reverse:
            return self.select(reverse=True, limit=size, **{**bounds, "to_key": after})
        rows = self.select(limit=size + 1, **{**bounds, "from_key": after})
        encode = self.map.key_codec.encode
        if rows and encode(rows[0][0]) == encode(after):  # it may have been deleted meanwhile
            del rows[0]
        return rows[:size]


def _nothing(_done: object) -> None:
    """Return None: the outcome of what answers nothing."""


def detached(value: Any) -> Any:
    """Return a value that outlives its transaction: of a live set a plain one."""
    return set(value) if isinstance(value, LiveSet) else value


def paced(rows: Iterator[Any]) -> Iterator[Any]:
    """Yield the rows, detached, and let the loop's thread run now and then."""
    pace = Pace(time.sleep, _BETWEEN_PAUSES)
    for row in rows:
        pace()
        if isinstance(row, tuple) and isinstance(row[-1], LiveSet):
            yield (*row[:-1], set(row[-1]))
        else:
            yield detached(row)
