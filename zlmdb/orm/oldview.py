# SPDX-License-Identifier: MIT
"""Tables in an old layout on a database opened read-only: their keys are ordered in memory, and read in that order.

The order of a table is made at its first read in a snapshot, from all of its keys, and kept until the file has
changed: about 2 µs and 200 bytes for each record (for packed sets: for each member). Values stay in the file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from zlmdb.orm import catalogue
from zlmdb.orm.map import Map
from zlmdb.orm.oldlayout import OldLayout, holds_packed_sets, slot_range
from zlmdb.orm.sets import SetMap
from zlmdb.storage import Transaction, scan


class Order:
    """All records of a table in one snapshot: raw keys of the new layout in order, and where each value lies."""

    def __init__(self, number: int, places: dict[bytes, bytes | None]) -> None:
        self.number = number
        self.places = places
        self.keys = sorted(places)


class OrderedTransaction(Transaction):
    """Shows a table in its new layout to whatever reads raw records in ``txn``, and nothing else."""

    def __init__(self, txn: Transaction, order: Order) -> None:
        super().__init__(txn.environment, buffers=txn.buffers)
        self._raw = _Records(txn, order)
        self.fetch = self._raw.get


class _Records:
    """What of LMDB's transaction is used for reading."""

    def __init__(self, txn: Transaction, order: Order) -> None:
        self.id = txn.id
        self.keys = order.keys
        self._txn = txn
        self._places = order.places

    def get(self, key: bytes) -> Any:
        self._txn.id()  # refuses after its end
        if key not in self._places:
            return None
        place = self._places[key]
        return b"" if place is None else self._txn.get(place)

    def cursor(self) -> _Cursor:
        self._txn.id()
        return _Cursor(self)


class _Cursor:
    """What of LMDB's cursor is used for reading."""

    def __init__(self, records: _Records) -> None:
        self._records = records
        self._keys = records.keys
        self._at = 0

    def set_range(self, key: bytes) -> bool:
        self._at = bisect_left(self._keys, key)
        return self._at < len(self._keys)

    def last(self) -> bool:
        self._at = len(self._keys) - 1
        return self._at >= 0

    def prev(self) -> bool:
        self._at -= 1
        return self._at >= 0

    def key(self) -> bytes:
        return self._keys[self._at]

    def value(self) -> Any:
        return self._records.get(self.key())

    def iternext(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        return self._rows(range(self._at, len(self._keys)), values)

    def iterprev(self, keys: bool = True, values: bool = True) -> Iterator[Any]:
        return self._rows(range(self._at, -1, -1), values)

    def _rows(self, places: range, values: bool) -> Iterator[Any]:
        found, get = map(self._keys.__getitem__, places), self._records.get
        return ((key, get(key)) for key in found) if values else found

    def close(self) -> None:
        pass


def _by_subscript(name: str) -> Callable[..., Any]:
    def read(self: OldTable, item: Any, *args: Any, **options: Any) -> Any:
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Transaction):
            item = (self.ordered(item[0]), item[1])  # else the map says what is wrong with it
        return getattr(super(OldTable, self), name)(item, *args, **options)

    return read


def _by_transaction(name: str) -> Callable[..., Any]:
    def read(self: OldTable, txn: Transaction, *args: Any, **options: Any) -> Any:
        return getattr(super(OldTable, self), name)(self.ordered(txn), *args, **options)

    return read


class OldTable(Map[Any, Any]):
    """Mixed into the class of a map whose table has an old layout: whatever it reads, it reads in order."""

    _oid: UUID
    _order: Order | None = None

    def ordered(self, txn: Transaction) -> Transaction:
        """Return ``txn`` with the records of this table in the new layout."""
        if isinstance(txn, OrderedTransaction):
            return txn
        self.check(txn)
        order = self._order
        if order is None or order.number != txn.id():
            order = self._order = Order(txn.id(), self._places(txn))
        return OrderedTransaction(txn, order)

    def _places(self, txn: Transaction) -> dict[bytes, bytes | None]:
        slot, prefix = self.slot, self.raw_prefix
        assert slot is not None, "an old table is attached"
        entry = catalogue.entries(txn).get(self._oid)
        is_old = holds_packed_sets(self, txn, slot) if entry is None else entry.kind is None
        if not is_old:  # upgraded since it was attached, by another process, and now in another slot
            now = slot if entry is None else entry.slot
            return {prefix + raw[2:]: raw for raws, _ in scan(txn, *slot_range(now), values=False) for raw in raws}
        layout = OldLayout(self, slot, txn.max_key_size, txn.environment.path)
        is_set = isinstance(self, SetMap)
        return {
            prefix + key: None if is_set else raw
            for raws, datas in scan(txn, *slot_range(slot), values=is_set)
            for raw, data in zip(raws, datas or [b""] * len(raws), strict=True)
            for key, _ in layout.renew(raw[2:], bytes(data))
        }

    __getitem__ = _by_subscript("__getitem__")
    __contains__ = _by_subscript("__contains__")
    get = _by_subscript("get")
    setdefault = _by_subscript("setdefault")
    get_many = _by_transaction("get_many")
    select = _by_transaction("select")
    page = _by_transaction("page")
    arrays = _by_transaction("arrays")
    to_arrow = _by_transaction("to_arrow")
    count = _by_transaction("count")
    count_range = _by_transaction("count_range")
    count_members = _by_transaction("count_members")


_classes: dict[type, type] = {}


def read_in_order(map_: Map[Any, Any], oid: UUID) -> None:
    """Let a map, bound to the slot where ``oid`` lies in its old layout, read it in the new one."""
    cls = type(map_)
    # the map object is the caller's own, and all code that reads it is to see the right order: so its class changes
    map_.__class__ = _classes.setdefault(cls, type(cls.__name__, (OldTable, cls), {}))
    map_._oid = oid  # type: ignore[attr-defined]
