# SPDX-License-Identifier: MIT
"""Named databases inside a transaction, with their coders: what functions given to ``run`` work on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, Protocol, TypeVar, overload

from zlmdb.codecs.coders import Coder
from zlmdb.errors import WrongDatabase, WrongType, WrongValue, ZlmdbError
from zlmdb.storage import NamedTable, NamedTransaction, end_of_prefix

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
_PAGE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Coded(Generic[K, V]):
    """A database and how to read it: ``name`` None is the main one, ``title`` is for messages."""

    name: bytes | None
    title: str
    key_coder: Coder[K]
    value_coder: Coder[V]


class HasCoded(Protocol[K, V]):
    """A database of an asynchronous environment, of either loop."""

    @property
    def coded(self) -> Coded[K, V]:
        """What it is and how it is read now."""
        ...

    @property
    def owner(self) -> object:
        """The environment's handle."""
        ...


class BoundDatabase(Generic[K, V]):
    """A named database in a running transaction.

    Encodes and decodes on the thread of the transaction. Methods raise what the coders raise, `KeyTooLong`,
    `WrongValue` for a key without bytes, `ReadonlyTransaction` for writes in a read transaction, and
    `TransactionFinished` afterwards. A database that nobody has written to yet is empty, and made by the first write.
    """

    def __init__(self, txn: NamedTransaction, coded: Coded[K, V], pace: Callable[[], object]) -> None:
        self._table = NamedTable(txn, coded.name)
        self._coded = coded
        self._pace = pace  # called for each record, so that the loop's thread has its turns

    # --- single records

    @overload
    def get(self, key: K) -> V | None: ...
    @overload
    def get(self, key: K, default: D) -> V | D: ...
    def get(self, key: K, default: Any = None) -> Any:
        """Return the value, or ``default``."""
        raw = self._key(key)
        data = self._table.get(raw)
        return default if data is None else self._decoded(raw, data)

    def put(self, key: K, value: V, overwrite: bool = True) -> bool:
        """Store a record; return False, and store nothing, if there is one and ``overwrite`` is False."""
        return self._table.put(self._key(key), self._value(value), overwrite)

    def delete(self, key: K) -> bool:
        """Delete a record; return whether there was one."""
        return self._table.delete(self._key(key))

    def pop(self, key: K) -> V | None:
        """Delete a record; return its value, or None."""
        raw = self._key(key)
        data = self._table.get(raw)
        value = None if data is None else self._decoded(raw, data)
        self._table.delete(raw)
        return value

    def replace(self, key: K, value: V) -> V | None:
        """Store a record; return the value it replaces, or None."""
        raw, new = self._key(key), self._value(value)
        data = self._table.get(raw)
        former = None if data is None else self._decoded(raw, data)
        self._table.put(raw, new)
        return former

    # --- many records

    def get_multi(self, keys: Iterable[K]) -> dict[K, V | None]:
        """Return the values by key, None where there is none."""
        return self._each(self.get, keys)

    def put_multi(self, items: Iterable[tuple[K, V]], overwrite: bool = True) -> int:
        """Store records; return how many were, which with ``overwrite`` are all."""
        stored = 0
        for key, value in map(_pair, items):
            stored += self.put(key, value, overwrite)
            self._pace()
        return stored

    def delete_multi(self, keys: Iterable[K]) -> dict[K, bool]:
        """Delete records; return by key whether there was one."""
        return self._each(self.delete, keys)

    def pop_multi(self, keys: Iterable[K]) -> dict[K, V | None]:
        """Delete records; return their values by key, None where there was none."""
        return self._each(self.pop, keys)

    def replace_multi(self, items: Iterable[tuple[K, V]]) -> dict[K, V | None]:
        """Store records; return by key the values they replace, None where there was none."""
        found: dict[K, V | None] = {}
        for key, value in map(_pair, items):
            _check_hashable(key)
            found[key] = self.replace(key, value)
            self._pace()
        return found

    def drop(self) -> None:
        """Delete all records. The name stays, since other threads may be reading."""
        self._table.clear()

    # --- ranges

    def select(
        self,
        from_key: K | None = None,
        to_key: K | None = None,
        *,
        prefix: K | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[tuple[K, V]]:
        """Yield the records with ``from_key <= key < to_key`` in the order of the keys' bytes, or against it.

        ``prefix`` keeps to keys whose bytes begin with those of ``prefix``. In a write transaction records may be
        changed meanwhile. Raises `WrongValue` for a limit that is none.
        """
        _check_limit(limit)
        low, high = self._bounds(from_key, to_key, prefix)
        for raw, data in islice(self._table.rows(low, high, reverse), limit):
            yield self._key_of(raw), self._decoded(raw, data)
            self._pace()

    def page(
        self, after: bytes | None, size: int, from_key: K | None, to_key: K | None, prefix: K | None, reverse: bool
    ) -> tuple[list[tuple[K, V]], bytes | None]:
        """Return up to ``size`` records, or about a MiB of them, and the last key's bytes if there are more."""
        low, high = self._bounds(from_key, to_key, prefix)
        if after is not None:
            low, high = (low, after) if reverse else (after + b"\0", high)
        rows: list[tuple[K, V]] = []
        length = 0
        last = None
        for raw, data in self._table.rows(low, high, reverse):
            if len(rows) >= size or length >= _PAGE_BYTES:
                return rows, last
            rows.append((self._key_of(raw), self._decoded(raw, data)))
            length += len(data)
            last = raw
            self._pace()
        return rows, None

    def stat(self) -> dict[str, int]:
        """Return LMDB's figures: ``entries``, ``depth``, pages by kind, and ``psize``, the bytes of a page."""
        return self._table.stat()

    # --- bytes and objects

    def _bounds(self, from_key: K | None, to_key: K | None, prefix: K | None) -> tuple[bytes, bytes | None]:
        low = b"" if from_key is None else self._key(from_key)
        high = None if to_key is None else self._key(to_key)
        if prefix is not None:
            start = self._key(prefix)
            end = end_of_prefix(start)
            low = max(low, start)
            high = end if high is None else high if end is None else min(high, end)
        return low, high

    def _key(self, key: K) -> bytes:
        return bytes(self._encoded(self._coded.key_coder, key, "key"))

    def _value(self, value: V) -> bytes | bytearray | memoryview:
        return self._encoded(self._coded.value_coder, value, "value")

    def _encoded(self, coder: Coder[Any], obj: object, part: str) -> bytes | bytearray | memoryview:
        where = f"{part} of {self._coded.title}"
        try:
            data = coder.serialize(obj)
        except Exception as error:
            _locate(error, where)
            raise
        if isinstance(data, (bytes, bytearray, memoryview)):
            return data
        raise WrongType(
            f"{coder!r} made no bytes", where=where, got=data, expected="bytes, a bytearray or a memoryview"
        )

    def _key_of(self, raw: bytes) -> K:
        try:
            return self._coded.key_coder.deserialize(memoryview(raw))
        except Exception as error:
            _locate(error, f"key {raw[:64]!r} of {self._coded.title}")
            raise

    def _decoded(self, raw: bytes, data: memoryview) -> V:
        try:
            return self._coded.value_coder.deserialize(data)
        except Exception as error:
            _locate(error, f"value under {raw[:64]!r} of {self._coded.title}")
            raise

    def _each(self, function: Callable[[K], D], keys: Iterable[K]) -> dict[K, D]:
        found: dict[K, D] = {}
        for key in keys:
            _check_hashable(key)
            found[key] = function(key)
            self._pace()
        return found


class EnvironmentTransaction:
    """A running transaction over the databases of an environment: ``txn[users].put("alice", 1)``."""

    def __init__(self, txn: NamedTransaction, pace: Callable[[], object]) -> None:
        self._txn = txn
        self._pace = pace

    def __getitem__(self, database: HasCoded[K, V]) -> BoundDatabase[K, V]:
        """Return a database bound to this transaction; raises `WrongDatabase` for one of another environment."""
        if getattr(database, "owner", None) is not self._txn.handle:
            raise WrongDatabase(
                "the database belongs to another environment",
                where=self._txn.environment.path,
                got=database,
                expected="what open_db() of this environment returned",
            )
        return BoundDatabase(self._txn, database.coded, self._pace)


def _pair(item: object) -> tuple[Any, Any]:
    if isinstance(item, tuple) and len(item) == 2:
        return item
    raise WrongType("no record", where="items", got=item, expected="tuples of key and value")


def _check_hashable(key: object) -> None:
    try:
        hash(key)
    except TypeError as error:
        raise WrongType("the outcome is a dictionary by key", got=key, expected="hashable keys") from error


def _check_limit(limit: object) -> None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise WrongValue("no limit", where="select", got=limit, expected="an int of at least 0, or None")


def _locate(error: Exception, where: str) -> None:
    if isinstance(error, ZlmdbError):
        error.at(where)
    else:
        error.add_note(f"in the {where}")
