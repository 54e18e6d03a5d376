# SPDX-License-Identifier: MIT
"""Writes to several maps that are made together or not at all, without a transaction held open meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from zlmdb.errors import TransactionFinished, WrongType
from zlmdb.orm import Map, Plan
from zlmdb.orm.map import MISSING
from zlmdb.workers.engine import Engine
from zlmdb.workers.operation import Durability, Operation

if TYPE_CHECKING:
    from zlmdb.storage import Transaction

K = TypeVar("K")
V = TypeVar("V")


class HasMap(Protocol[K, V]):
    """The asynchronous form of a map, of either loop."""

    @property
    def map(self) -> Map[K, V]:
        """The map itself."""
        ...


class Group:
    """Collects writes and submits them as one operation; a face adds Deferreds or futures.

    Each method takes a map or its asynchronous form, checks and encodes at once and raises what that raises, so
    the value may be changed afterwards; nothing is read or written before the end. Then all are executed in
    order in one savepoint: the first that fails (`KeyExists`, `UniqueViolation`, `RecordChanged` …) is the
    outcome and nothing of the group remains. To be used on the loop's thread.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._plans: list[Plan[Any]] | None = []

    def put(self, map_: Map[K, V] | HasMap[K, V], key: K, value: V) -> None:
        """Store a record, replacing the one under this key."""
        self._add(self._map(map_).plan_put(key, value, self._engine.max_key_size))

    def insert(self, map_: Map[K, V] | HasMap[K, V], key: K, value: V) -> None:
        """Store a record under a new key; `KeyExists` is the outcome if there is one."""
        self._add(self._map(map_).plan_insert(key, value, self._engine.max_key_size))

    def replace(self, map_: Map[K, V] | HasMap[K, V], key: K, value: V, *, expected: V = MISSING) -> None:
        """Replace a record, with ``expected`` only if it has that value still; the result is the former value."""
        self._add(self._map(map_).plan_replace(key, value, self._engine.max_key_size, expected=expected))

    def delete(self, map_: Map[K, V] | HasMap[K, V], key: K) -> None:
        """Delete a record; the result tells whether there was one."""
        self._add(self._map(map_).plan_delete(key, self._engine.max_key_size))

    def pop(self, map_: Map[K, V] | HasMap[K, V], key: K) -> None:
        """Delete a record; the result is its value, or None if there was none."""
        self._add(self._map(map_).plan_pop(key, self._engine.max_key_size))

    def submit(self, durability: Durability = "commit") -> Operation[list[Any]]:
        """Submit all writes; the outcome is the list of their results. Raises what `Writer.submit` raises."""
        plans = self._open()

        def run(txn: Transaction) -> list[Any]:
            return [plan(txn) for plan in plans]

        operation = self._engine.writer.submit(
            run,
            what=f"batch of {len(plans)} writes",
            records=len(plans),
            size=sum(plan.size for plan in plans),
            durability=durability,
        )
        self._plans = None
        return operation

    def discard(self) -> None:
        """Forget all writes; the group takes no more."""
        self._plans = None

    def _add(self, plan: Plan[Any]) -> None:
        self._open().append(plan)

    def _open(self) -> list[Plan[Any]]:
        if self._plans is None:
            raise TransactionFinished(
                "the batch was submitted already", where=self._where, next_step="begin another: db.batch()"
            )
        return self._plans

    def _map(self, map_: Map[K, V] | HasMap[K, V]) -> Map[K, V]:
        found = map_ if isinstance(map_, Map) else getattr(map_, "map", None)
        if isinstance(found, Map):
            return found
        raise WrongType("not a map", where=self._where, got=map_, expected="a map, or what db.map() returns")

    @property
    def _where(self) -> str:
        return f"batch of {self._engine.database.path}"
