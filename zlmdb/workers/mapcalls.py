# SPDX-License-Identifier: MIT
"""What can be done with a map asynchronously, in loop-free form: writes become operations, reads are plain."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from zlib import adler32

from zlmdb.orm import Map, Page, Plan
from zlmdb.orm.sets import LiveSet, SetMap
from zlmdb.workers.engine import Engine
from zlmdb.workers.limits import check_choice
from zlmdb.workers.operation import DURABILITIES, Durability, Operation
from zlmdb.workers.pace import PAUSE, at_pace

if TYPE_CHECKING:
    from zlmdb.storage import Transaction

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
R = TypeVar("R")
X = TypeVar("X")
_ENCODED_AT_ONCE = 32  # items of put_many and delete_many: a fifth of a millisecond of the calling thread
_INLINE_BYTES = 64 * 1024  # of values that are read and decoded on the loop's thread: a millisecond at most
_INLINE_MEMBERS = 500  # of sets, likewise
_COPIED_AT_ONCE = 1 << 20  # bytes: 0.2 ms of the interpreter lock


class TooLarge(Exception):
    """Reading this would keep the loop's thread too long."""


class MapCalls(Generic[K, V]):
    """One map of one engine.

    Writes are checked and encoded when they are called, on the calling thread; only bytes go to the writer.
    They raise what encoding raises, and what `Writer.submit` raises. Reads run on the calling thread.

    Of many items in one call the first 32 are encoded so, and all others on the writer's thread when it is their
    turn: what is wrong with those is the operation's outcome, and they must not be changed until it comes.
    """

    def __init__(self, engine: Engine, map_: Map[K, V]) -> None:
        self.engine = engine
        self.map = map_
        self._limit = engine.max_key_size
        self._title = type(map_).__name__
        self.what_put = f"put {self._title}"
        self._writer = engine.writer
        self._begin = engine.database.begin
        self._holds_sets = isinstance(map_, SetMap)

    # --- writes

    def put(self, key: K, value: V, durability: Durability | None) -> Operation[None]:
        """Store a record; `entry` is the shorter way for maps without indexes."""
        plan = self.map.plan_put(key, value, self._limit)
        return self._writer.submit(plan, self.what_put, 1, plan.size, durability or self.engine.durability)

    def put_many(self, items: Iterable[tuple[K, V]], durability: Durability | None) -> Operation[None]:
        """Store records, all or none; more than 32 are answered after their commit, whatever the durability."""

        def plan(item: tuple[K, V]) -> Plan[None]:
            key, value = item
            return self.map.plan_put(key, value, self._limit)

        return self._submit_many(items, plan, "put_many", _nothing, durability or self.engine.durability)

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
        return self._submit_many(keys, lambda key: self.map.plan_delete(key, self._limit), "delete_many", sum)

    def pop(self, key: K) -> Operation[V | None]:
        """Delete a record; the outcome is its value, or None."""
        return self._submit(self.map.plan_pop(key, self._limit), "pop")

    def truncate(self) -> Operation[int]:
        """Delete all records and their index records; the outcome is how many of both."""
        job = at_pace(self._writer.pace, self.map.truncate)
        return self._writer.submit(job, what=f"truncate {self._title}")

    def _submit(self, plan: Plan[T], verb: str, durability: Durability = "commit") -> Operation[T]:
        what = f"{verb} {self._title}"
        return self.engine.writer.submit(plan, what=what, size=plan.size, durability=durability)

    def _submit_many(
        self,
        items: Iterable[X],
        plan: Callable[[X], Plan[T]],
        verb: str,
        total: Callable[[list[T]], R],
        durability: Durability = "commit",
    ) -> Operation[R]:
        items = list(items)
        plans = [plan(item) for item in items[:_ENCODED_AT_ONCE]]
        later = items[_ENCODED_AT_ONCE:]
        if later:
            check_choice("durability", durability, DURABILITIES)
            durability = "commit"  # nothing is acknowledged that was not checked
        pace = self.engine.writer.pace

        def run(txn: Transaction) -> R:
            done = []
            for each in chain(plans, map(plan, later)):
                done.append(each(txn))
                pace()
            return total(done)

        return self.engine.writer.submit(
            run,
            what=f"{verb} {self._title}",
            records=len(items),
            size=sum(each.size for each in plans) * len(items) // (len(plans) or 1),  # the others taken to be alike
            durability=durability,
        )

    # --- reads

    def get(self, key: K) -> V | None:
        """Return the value, or None."""
        return self.get_many((key,))[0]

    def get_small(self, key: K) -> V | None:
        """Return what `get` does if that takes less than about a millisecond; otherwise raise `TooLarge`."""
        map_ = self.map
        if self._writer.closing or self._holds_sets:
            return self.get_many_small((key,))[0]
        with self._begin(buffers=True) as txn:
            raw = map_.raw_key(key)
            data = txn.get(raw)
            home = map_._environment
            if home is not None and txn.environment is not home:
                map_.check(txn)
            if data is None:
                return None
            if len(data) > _INLINE_BYTES:
                raise TooLarge
            return map_.from_raw(raw, bytes(data))

    def get_many_small(self, keys: Iterable[K]) -> list[V | None]:
        """Return what `get_many` does if that takes less than about a millisecond; otherwise raise `TooLarge`."""
        if self.engine.writer.closing:
            raise self.engine.writer.closed()
        map_ = self.map
        if isinstance(map_, SetMap):
            return self._small_sets(map_, keys)
        found: list[V | None] = []
        room = _INLINE_BYTES
        with self.engine.database.begin(buffers=True) as txn:  # a view tells the size before anything is copied
            map_.check(txn)
            for key in keys:
                raw = map_.raw_key(key)
                data = txn.get(raw)
                if data is None:
                    found.append(None)
                    continue
                room -= len(data)
                if room < 0:
                    raise TooLarge
                found.append(map_.from_raw(raw, bytes(data)))
        return found

    def _small_sets(self, map_: SetMap[Any, Any], keys: Iterable[K]) -> list[Any]:
        found: list[Any] = []
        room = _INLINE_MEMBERS
        with self.engine.database.begin() as txn:
            for key in keys:
                members = set(islice(map_[txn, key], room + 1))
                room -= len(members)
                if room < 0:
                    raise TooLarge
                found.append(members)
        return found

    def contains(self, key: K) -> bool:
        """Tell whether there is a record."""
        with self.engine.database.begin() as txn:
            return (txn, key) in self.map

    def get_many(self, keys: Iterable[K]) -> list[V | None]:
        """Return the values of ``keys``, None where there is none."""
        map_ = self.map
        if isinstance(map_, SetMap):
            with self.engine.database.begin() as txn:
                return [detached(value) for value in map_.get_many(txn, keys)]
        with self.engine.database.begin(buffers=True) as txn:
            map_.check(txn)
            return [self._calmly(txn, map_.raw_key(key)) for key in keys]

    def _calmly(self, txn: Transaction, raw: bytes) -> V | None:
        data = txn.get(raw)
        return None if data is None else self.map.from_raw(raw, copied(data))

    def count(self, prefix: Any) -> int:
        """Count the records."""
        with self.engine.reading() as txn:
            return self.map.count(txn, prefix=prefix)

    def select(self, **bounds: Any) -> list[Any]:
        """Return what `Map.select` yields."""
        with self.engine.reading() as txn:
            return list(map(_lasting, self.map.select(txn, **bounds)))

    def page(self, after: str | None, **query: Any) -> Page[K, V]:
        """Return what `Map.page` returns for the token ``after``, in a transaction of its own."""
        with self.engine.reading() as txn:
            return self.map.page(txn, after=after, **query)


def _nothing(_done: object) -> None:
    """Return None: the outcome of what answers nothing."""


def copied(view: memoryview) -> bytes:
    """Return the bytes of a view into the file, and let the loop's thread run meanwhile.

    Copying keeps the interpreter lock, even while a page is fetched from the disk: 64 MiB can take 100 ms.
    """
    if len(view) <= _COPIED_AT_ONCE:
        return bytes(view)
    adler32(view)  # fetches all pages: it reads them without the interpreter lock
    parts = BytesIO()  # which gives its bytes away without copying them
    for start in range(0, len(view), _COPIED_AT_ONCE):
        parts.write(view[start : start + _COPIED_AT_ONCE])
        time.sleep(PAUSE)
    return parts.getvalue()


def detached(value: Any) -> Any:
    """Return a value that outlives its transaction: of a live set a plain one."""
    return set(value) if isinstance(value, LiveSet) else value


def _lasting(row: Any) -> Any:
    """Return a row of a selection, detached."""
    if isinstance(row, tuple) and isinstance(row[-1], LiveSet):
        return *row[:-1], set(row[-1])
    return detached(row)
