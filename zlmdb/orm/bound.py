# SPDX-License-Identifier: MIT
"""A map within one transaction, as a `collections.abc.MutableMapping`."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from zlmdb.codecs.base import MARK
from zlmdb.errors import EncodeError, RecordMissing
from zlmdb.storage import EngineError, Transaction

if TYPE_CHECKING:
    from zlmdb.orm.map import Map

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

_ABSENT: Final[Any] = object()


class BoundMap(MutableMapping[K, V]):
    """Read and write ``map`` in ``txn`` by Python's own rules: a missing key raises KeyError.

    Iteration is in key order, reads as it goes and, in a write transaction, sees what is changed meanwhile.
    ``keys()``, ``values()`` and ``items()`` are views that read in one scan. What cannot be a key is not ``in``
    the map; other uses of it raise `WrongType` or `WrongValue`. Valid as long as the transaction.
    """

    __slots__ = ("_map", "_quick", "_txn")

    def __init__(self, map_: Map[K, V], txn: Transaction, quick: bool = False) -> None:
        map_.check(txn)
        self._map = map_
        self._quick: Any = map_ if quick else None  # the map, if reading from it is what `Map` does and no more
        self._txn = txn

    # --- single records

    def __getitem__(self, key: K) -> V:
        map_ = self._quick
        try:  # all that goes well goes this way, as in `Map`
            if key.__class__ is map_._uuid:
                data = self._txn.fetch((map_._above + key.int).to_bytes(18))  # type: ignore[attr-defined]
            else:
                data = self._txn.fetch(map_._prefix + map_._encode_key(key))
            if data.__class__ is bytes:
                plainly = map_._plainly
                value: V = map_._decode(data) if plainly is None or MARK in data else plainly(data)
                return value
        except EngineError as exc:
            raise self._txn.failed(exc) from exc
        except Exception:  # noqa: BLE001, S110  the careful way finds out again, and says it better
            pass
        value = self._map.get((self._txn, key), _ABSENT)
        if value is _ABSENT:
            raise self._missing(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._map[self._txn, key] = value

    def __delitem__(self, key: K) -> None:
        if not self._map.plan_delete(key, self._txn.max_key_size)(self._txn):
            raise self._missing(key)

    def __contains__(self, key: object) -> bool:
        try:
            return (self._txn, cast("K", key)) in self._map
        except EncodeError:
            return False

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V | D) -> V | D: ...
    def get(self, key: K, /, default: Any = None) -> Any:
        """Return the value, or ``default`` if there is no such record."""
        return self._map.get((self._txn, key), default)

    @overload
    def pop(self, key: K, /) -> V: ...
    @overload
    def pop(self, key: K, /, default: V | D) -> V | D: ...
    def pop(self, key: K, /, default: Any = _ABSENT) -> Any:
        """Delete the record and return its value; without a record, return ``default`` or raise `RecordMissing`."""
        value: Any = self._map.pop((self._txn, key), default)
        if value is _ABSENT:
            raise self._missing(key)
        return value

    def popitem(self) -> tuple[K, V]:
        """Delete the record with the least key and return key and value; raise `RecordMissing` if there is none."""
        for key in self._map.select(self._txn, return_values=False, limit=1):
            return key, self.pop(key)
        raise RecordMissing("the map is empty", where=self._map.title)

    # --- all records

    def __iter__(self) -> Iterator[K]:
        return self._map.select(self._txn, return_values=False)

    def __reversed__(self) -> Iterator[K]:
        return self._map.select(self._txn, return_values=False, reverse=True)

    def __len__(self) -> int:
        return self._map.count(self._txn)

    def __bool__(self) -> bool:
        return next(self._map.select(self._txn, return_keys=False, return_values=False, limit=1), self) is not self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return len(self) == len(other) and all(key in other and other[key] == value for key, value in self.items())

    __hash__ = None  # type: ignore[assignment]  # as of every mapping that can change

    def keys(self) -> KeysView[K]:
        """Return a view of the keys, in order."""
        return _Keys(self)

    def values(self) -> ValuesView[V]:
        """Return a view of the values, in the order of their keys."""
        return _Values(self)

    def items(self) -> ItemsView[K, V]:
        """Return a view of the records, in the order of their keys."""
        return _Items(self)

    def clear(self) -> None:
        """Delete all records and their index records."""
        self._map.truncate(self._txn)

    def scan(self, **options: Any) -> Iterator[Any]:
        """Iterate as `Map.select` does, in this transaction."""
        return self._map.select(self._txn, **options)

    def __repr__(self) -> str:
        return f"<{self._map.title} in a transaction>"

    def _missing(self, key: K) -> RecordMissing:
        return RecordMissing("there is no record under this key", where=self._map.title, got=key)


# The views of the standard library look each key up again; these read in one scan.


class _Keys(KeysView[K]):
    _mapping: BoundMap[K, Any]

    def __reversed__(self) -> Iterator[K]:
        return reversed(self._mapping)


class _Values(ValuesView[V]):
    _mapping: BoundMap[Any, V]

    def __iter__(self) -> Iterator[V]:
        return self._mapping.scan(return_keys=False)

    def __reversed__(self) -> Iterator[V]:
        return self._mapping.scan(return_keys=False, reverse=True)

    def __contains__(self, value: object) -> bool:
        return any(found is value or found == value for found in self)


class _Items(ItemsView[K, V]):
    _mapping: BoundMap[K, V]

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._mapping.scan()

    def __reversed__(self) -> Iterator[tuple[K, V]]:
        return self._mapping.scan(reverse=True)

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, tuple) or len(item) != 2:
            return False
        key, value = item
        try:
            found = self._mapping.get(key, _ABSENT)
        except EncodeError:
            return False
        return bool(found is value or found == value)
