# SPDX-License-Identifier: MIT
"""What can be done with a map asynchronously, whatever the event loop; the faces add the types of what is awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

from zlmdb.orm import Map, Page, Record
from zlmdb.orm.map import MISSING
from zlmdb.orm.reading import Part
from zlmdb.workers.bridge import Bridge
from zlmdb.workers.engine import Engine
from zlmdb.workers.entry import entry
from zlmdb.workers.limits import check_positive
from zlmdb.workers.mapcalls import MapCalls, TooLarge
from zlmdb.workers.operation import Durability, Operation

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
_INLINE_KEYS = 100  # keys that get_many reads on the loop's thread: 0.2 ms at most


class MapFace(Generic[K, V]):
    """The asynchronous form of a map. To be used on the loop's thread; elsewhere every call raises `WrongThread`.

    Nothing else raises: bad input, and use after closing (`DatabaseClosed`), fail what is awaited. Writes are
    submitted when they are called, awaited or not, and so are written in the order of the calls. They are
    checked and encoded then, so the value may be changed afterwards; not so with more than 32 items in one
    `put_many` or `delete_many`. They are answered after their commit; `put` and `put_many` alone follow the
    ``durability`` asked for, since they answer nothing. Reads see what is committed. A set-valued map gives plain
    sets, `page` and `iterate` frozen ones.

    Cancelling a write takes it back if it has not begun; otherwise its outcome is logged.
    """

    def __init__(self, engine: Engine, bridge: Bridge, map_: Map[K, V]) -> None:
        self.map = map_
        self._calls = MapCalls(engine, map_)
        self._engine = engine
        self._bridge = bridge
        self._limit = engine.max_key_size
        self._record = map_.plain_record if type(map_).plan_put is Map.plan_put else _no_record
        self._enter = entry(engine.writer, bridge, self._calls.what_put)

    # --- single records

    def get(self, key: K) -> Awaitable[V | None]:
        """Return the value, or None if there is none; more than 64 KiB on a reader's thread."""
        return self._read_small(self._calls.get_small, self._calls.get, key)

    def contains(self, key: K) -> Awaitable[bool]:
        """Tell whether there is a record."""
        return self._read(self._calls.contains, key)

    def put(self, key: K, value: V, *, durability: Durability | None = None) -> Awaitable[None]:
        """Store a record, replacing the one under this key; ``durability`` None means the database's."""
        bridge = self._bridge
        if bridge.here() != bridge.home:  # what `Bridge.check` does
            bridge.stray()
        try:
            record = self._record(key, value, self._limit)
            if record is not None:
                return self._enter(record, durability or self._engine.durability)
        except Exception as error:  # noqa: BLE001 - bad input fails what is awaited
            return bridge.outcome(None, error)
        return self._write(self._calls.put, key, value, durability)

    def insert(self, key: K, value: V) -> Awaitable[None]:
        """Store a record under a new key; fails with `KeyExists` if there is one."""
        return self._write(self._calls.insert, key, value)

    def replace(self, key: K, value: V, *, expected: V = MISSING) -> Awaitable[V]:
        """Replace a record and return its former value; with ``expected``, only if it has that value still.

        Fails with `RecordMissing` or `RecordChanged`.
        """
        if expected is MISSING:
            return self._write(self._calls.replace, key, value)
        return self._write(self._calls.replace, key, value, expected=expected)

    def pop(self, key: K) -> Awaitable[V | None]:
        """Delete a record and return its value, or None if there was none."""
        return self._write(self._calls.pop, key)

    def delete(self, key: K) -> Awaitable[bool]:
        """Delete a record and tell whether there was one."""
        return self._write(self._calls.delete, key)

    # --- many records

    def get_many(self, keys: Iterable[K]) -> Awaitable[list[V | None]]:
        """Return the values of ``keys`` in order, None where there is none.

        More than 100, or more than 64 KiB in all, on a reader's thread.
        """
        try:
            keys = list(keys)
        except Exception as error:  # noqa: BLE001 - it is the outcome
            return self._bridge.outcome(None, error)
        if len(keys) > _INLINE_KEYS:
            return self._threaded(self._calls.get_many, keys)
        return self._read_small(self._calls.get_many_small, self._calls.get_many, keys)

    def put_many(self, items: Iterable[tuple[K, V]], *, durability: Durability | None = None) -> Awaitable[None]:
        """Store records, all or none.

        Of more than 32 the others are checked and encoded on the writer's thread, so that the loop has its
        turns meanwhile: until the answer, which comes after the commit whatever the durability, their values
        must not be changed. The order of calls is kept all the same.
        """
        return self._write(self._calls.put_many, items, durability)

    def delete_many(self, keys: Iterable[K]) -> Awaitable[int]:
        """Delete records, all or none, and return how many there were; more than 32 as `put_many` does."""
        return self._write(self._calls.delete_many, keys)

    def count(self, prefix: Any = None) -> Awaitable[int]:
        """Count the records, or those whose key begins with ``prefix``, on a reader's thread."""
        return self._threaded(self._calls.count, prefix)

    def truncate(self) -> Awaitable[int]:
        """Delete all records and their index records; return how many of both."""
        return self._write(self._calls.truncate)

    # --- ranges

    def select(
        self,
        from_key: K | Part | None = None,
        to_key: K | Part | None = None,
        *,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
        return_keys: bool = True,
        return_values: bool = True,
    ) -> Awaitable[list[Any]]:
        """Return the records with ``from_key <= key < to_key`` as a list, read on a reader's thread.

        Ascending, or descending with ``reverse``; at most ``limit``; ``prefix`` keeps to keys with this
        leading part. For ranges that may be long, `iterate` needs less memory.
        """
        query = {"prefix": prefix, "reverse": reverse, "limit": limit}
        wanted = {"return_keys": return_keys, "return_values": return_values}
        return self._threaded(self._calls.select, from_key=from_key, to_key=to_key, **query, **wanted)

    def page(
        self,
        from_key: K | Part | None = None,
        to_key: K | Part | None = None,
        *,
        prefix: Any = None,
        reverse: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Awaitable[Page[K, V]]:
        """Return up to ``limit`` records of a range (as for `select`) and a token, read on a reader's thread.

        Ask for the next page with ``after=page.token`` and the same bounds, whenever you like: see `Map.page`.
        Fails with `BadToken` for a token of another query.
        """
        query = {"prefix": prefix, "reverse": reverse, "limit": limit}
        return self._threaded(self._calls.page, after, from_key=from_key, to_key=to_key, **query)

    async def iterate(
        self,
        from_key: K | Part | None = None,
        to_key: K | Part | None = None,
        *,
        prefix: Any = None,
        reverse: bool = False,
        page_size: int = 500,
    ) -> AsyncIterator[tuple[K, V]]:
        """Iterate with ``async for`` over a range in pages of ``page_size`` records.

        No transaction is held between pages: each page sees what is committed by then, every record that is
        there all the time comes exactly once, and keys are in order.
        """
        check_positive("page_size", page_size)
        token = None
        while True:
            page = await self.page(from_key, to_key, prefix=prefix, reverse=reverse, limit=page_size, after=token)
            for record in page:
                yield record
            token = page.token
            if token is None:
                return

    # --- the way there

    def _write(self, submit: Callable[..., Operation[T]], *args: Any, **options: Any) -> Awaitable[T]:
        return self._bridge.submitted(submit, *args, **options)

    def _read_small(self, small: Callable[[Any], T], large: Callable[[Any], T], wanted: Any) -> Awaitable[T]:
        if not self._engine.reads_inline:
            return self._threaded(large, wanted)
        bridge = self._bridge
        bridge.check()
        try:
            value = small(wanted)
        except TooLarge:
            return self._threaded(large, wanted)
        except Exception as error:  # noqa: BLE001 - it is the outcome
            return bridge.outcome(None, error)
        return bridge.outcome(value)

    def _read(self, function: Callable[..., T], *args: Any) -> Awaitable[T]:
        if self._engine.reads_inline:
            return self._bridge.inline(self._engine.now, function, *args)
        return self._threaded(function, *args)

    def _threaded(self, function: Callable[..., T], *args: Any, **options: Any) -> Awaitable[T]:
        return self._bridge.threaded(self._engine.readers, function, *args, **options)


def _no_record(_key: object, _value: object, _max_key_size: int) -> Record | None:
    """Return None: the class of the map plans a put in its own way."""
    return None
