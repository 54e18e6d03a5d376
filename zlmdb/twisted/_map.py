# SPDX-License-Identifier: MIT
"""`AsyncMap`: a map whose operations return Deferreds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Generic, Literal, TypeVar, overload

from twisted.internet.defer import Deferred

from zlmdb.orm import Map
from zlmdb.orm.map import MISSING
from zlmdb.twisted._bridge import Bridge
from zlmdb.workers import Durability, Engine, MapCalls, Operation
from zlmdb.workers.limits import check_positive

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
_INLINE_KEYS = 100  # keys that get_many reads on the reactor's thread: 0.2 ms at most


class AsyncMap(Generic[K, V]):
    """What `AsyncDatabase.map` returns. To be used on the reactor's thread.

    Nothing raises: bad input, and use after closing (`DatabaseClosed`), give failed Deferreds. Writes are
    checked and encoded when they are called, so the value may be changed afterwards; not so with more than 256
    items in one `put_many` or `delete_many`. They fire after their commit; `put` and `put_many` alone follow the
    ``durability`` asked for, since they answer nothing. Reads see what is committed. A set-valued map gives plain
    sets, `iterate` frozen ones.

    Cancelling the Deferred of a write takes it back if it has not begun; otherwise its outcome is logged.
    """

    def __init__(self, engine: Engine, bridge: Bridge, map_: Map[K, V]) -> None:
        self.map = map_
        self._calls = MapCalls(engine, map_)
        self._engine = engine
        self._bridge = bridge

    # --- single records

    def get(self, key: K) -> Deferred[V | None]:
        """Return the value, or None if there is none."""
        return self._read(self._calls.get, key)

    def contains(self, key: K) -> Deferred[bool]:
        """Tell whether there is a record."""
        return self._read(self._calls.contains, key)

    def put(self, key: K, value: V, *, durability: Durability | None = None) -> Deferred[None]:
        """Store a record, replacing the one under this key; ``durability`` None means the database's."""
        return self._write(self._calls.put, key, value, durability)

    def insert(self, key: K, value: V) -> Deferred[None]:
        """Store a record under a new key; fails with `KeyExists` if there is one."""
        return self._write(self._calls.insert, key, value)

    def replace(self, key: K, value: V, *, expected: V = MISSING) -> Deferred[V]:
        """Replace a record and return its former value; with ``expected``, only if it has that value still.

        Fails with `RecordMissing` or `RecordChanged`.
        """
        if expected is MISSING:
            return self._write(self._calls.replace, key, value)
        return self._write(self._calls.replace, key, value, expected=expected)

    def pop(self, key: K) -> Deferred[V | None]:
        """Delete a record and return its value, or None if there was none."""
        return self._write(self._calls.pop, key)

    def delete(self, key: K) -> Deferred[bool]:
        """Delete a record and tell whether there was one."""
        return self._write(self._calls.delete, key)

    # --- many records

    def get_many(self, keys: Iterable[K]) -> Deferred[list[V | None]]:
        """Return the values of ``keys`` in order, None where there is none; more than 100 on a reader's thread."""
        keys = list(keys)
        if len(keys) > _INLINE_KEYS:
            return self._bridge.threaded(self._calls.get_many, keys)
        return self._read(self._calls.get_many, keys)

    def put_many(self, items: Iterable[tuple[K, V]], *, durability: Durability | None = None) -> Deferred[None]:
        """Store records, all or none.

        Of more than 256 the others are checked and encoded on the writer's thread, so that the reactor has its
        turns meanwhile: until the Deferred fires, which is after the commit whatever the durability, their values
        must not be changed. The order of calls is kept all the same.
        """
        return self._write(self._calls.put_many, items, durability)

    def delete_many(self, keys: Iterable[K]) -> Deferred[int]:
        """Delete records, all or none, and return how many there were; more than 256 as `put_many` does."""
        return self._write(self._calls.delete_many, keys)

    def count(self, prefix: Any = None) -> Deferred[int]:
        """Count the records, or those whose key begins with ``prefix``, on a reader's thread."""
        return self._bridge.threaded(self._calls.count, prefix)

    def truncate(self) -> Deferred[int]:
        """Delete all records and their index records; return how many of both."""
        return self._write(self._calls.truncate)

    # --- ranges

    @overload
    def select(
        self,
        from_key: K | None = None,
        to_key: K | None = None,
        *,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Deferred[list[tuple[K, V]]]: ...
    @overload
    def select(
        self,
        from_key: K | None = None,
        to_key: K | None = None,
        *,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
        return_values: Literal[False],
    ) -> Deferred[list[K]]: ...
    @overload
    def select(
        self,
        from_key: K | None = None,
        to_key: K | None = None,
        *,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
        return_keys: Literal[False],
    ) -> Deferred[list[V]]: ...
    def select(
        self,
        from_key: K | None = None,
        to_key: K | None = None,
        *,
        prefix: Any = None,
        reverse: bool = False,
        limit: int | None = None,
        return_keys: bool = True,
        return_values: bool = True,
    ) -> Deferred[Any]:
        """Return the records with ``from_key <= key < to_key`` as a list, read on a reader's thread.

        Ascending, or descending with ``reverse``; at most ``limit``; ``prefix`` keeps to keys with this
        leading part. For ranges that may be long, `iterate` needs less memory.
        """
        return self._bridge.threaded(
            self._calls.select,
            from_key=from_key,
            to_key=to_key,
            prefix=prefix,
            reverse=reverse,
            limit=limit,
            return_keys=return_keys,
            return_values=return_values,
        )

    async def iterate(
        self,
        from_key: K | None = None,
        to_key: K | None = None,
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
        query = {"limit": page_size, "reverse": reverse, "from_key": from_key, "to_key": to_key, "prefix": prefix}
        token = None
        while True:
            page = await self._bridge.threaded(self._calls.page, token, **query)
            for record in page:
                yield record
            token = page.token
            if token is None:
                return

    # --- the way there

    def _write(self, submit: Callable[..., Operation[T]], *args: Any, **options: Any) -> Deferred[T]:
        return self._bridge.submitted(self._engine.writer, submit, *args, **options)

    def _read(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        if self._engine.reads_inline:
            return self._bridge.inline(self._engine.now, function, *args)
        return self._bridge.threaded(function, *args)
