# SPDX-License-Identifier: MIT
"""A map within one transaction, as a `collections.abc.MutableMapping`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, TypeVar

from zlmdb.errors import RecordMissing
from zlmdb.storage import Transaction

if TYPE_CHECKING:
    from zlmdb.orm.map import Map

K = TypeVar("K")
V = TypeVar("V")


class BoundMap(MutableMapping[K, V]):
    """Read and write ``map`` in ``txn`` by Python's own rules: a missing key raises KeyError.

    Iteration is in key order and reads as it goes. Valid as long as the transaction.
    """

    __slots__ = ("_map", "_txn")

    def __init__(self, map_: Map[K, V], txn: Transaction) -> None:
        map_.check(txn)
        self._map = map_
        self._txn = txn

    def __getitem__(self, key: K) -> V:
        raw = self._map.raw_key(key)
        data = self._txn.get(raw)
        if data is None:
            raise self._missing(key)
        return self._map.from_raw(raw, data)

    def __setitem__(self, key: K, value: V) -> None:
        self._map[self._txn, key] = value

    def __delitem__(self, key: K) -> None:
        if not self._map.plan_delete(key, self._txn.max_key_size)(self._txn):
            raise self._missing(key)

    def __contains__(self, key: object) -> bool:
        return (self._txn, key) in self._map

    def __iter__(self) -> Iterator[K]:
        return self._map.select(self._txn, return_values=False)

    def __reversed__(self) -> Iterator[K]:
        return self._map.select(self._txn, return_values=False, reverse=True)

    def __len__(self) -> int:
        return self._map.count(self._txn)

    def clear(self) -> None:
        """Delete all records and their index records."""
        self._map.truncate(self._txn)

    def __repr__(self) -> str:
        return f"<{self._map.title} in a transaction>"

    def _missing(self, key: K) -> RecordMissing:
        return RecordMissing("there is no record under this key", where=self._map.title, got=key)
