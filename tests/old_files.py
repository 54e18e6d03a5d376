# SPDX-License-Identifier: MIT
"""Tables as the published package stores them, written record by record from FORMAT.md sections 1.4, 2 and 3."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid5

import cbor2
import numpy as np

import zlmdb
from zlmdb.codecs import legacy_key_codec, set_member, split_name, value_codec
from zlmdb.orm.attaching import Attaching
from zlmdb.orm.catalogue import Slot
from zlmdb.orm.upgrading import Upgrade
from zlmdb.storage import end_of_prefix, scan

NS = 1700000000123456789
_MADE = UUID(int=4)
_classes: dict[str, type[zlmdb.Map[Any, Any]]] = {}


def time(number: int) -> np.datetime64:
    """Return the time of a record: their low bytes run against their order."""
    return np.datetime64(NS + number * 1_000_000_007, "ns")


def declared(name: str) -> type[zlmdb.Map[Any, Any]]:
    """Return a declared map class of this name, always the same."""
    if name not in _classes:
        _classes[name] = zlmdb.table(uuid5(_MADE, name))(type(f"Old{name}", (getattr(zlmdb, name),), {}))
    return _classes[name]


def old_key(name: str, key: Any) -> bytes:
    """Return a key of the map ``name`` as it was stored, without the slot."""
    kind = (split_name(name) or ("",))[0]
    codec = legacy_key_codec(kind) or zlmdb.codecs.key_codec(kind)
    return codec.encode(key)


def old_value(name: str, value: Any) -> bytes:
    """Return a value of the map ``name`` as it was stored; sets in no particular order."""
    kind = (split_name(name) or ("", ""))[1]
    member = set_member(kind)
    if member is not None:
        return b"".join(map(member.encode, value))
    return value_codec(kind).encode(value)


def enter(txn: zlmdb.Transaction, name: str, slot: int) -> None:
    """Enter a table into the catalogue, as the published package does."""
    entry = {"oid": str(declared(name)._zlmdb_oid), "name": f"old.{name}", "creator": "unknown", "slot": slot}
    txn.put(struct.pack(">HH", 0, slot), cbor2.dumps(entry))


def store(txn: zlmdb.Transaction, name: str, slot: int, items: Iterable[tuple[Any, Any]]) -> None:
    """Store records in the old layout."""
    for key, value in items:
        txn.put(struct.pack(">H", slot) + old_key(name, key), old_value(name, value))


def make(db: zlmdb.Database, name: str, slot: int, items: Iterable[tuple[Any, Any]]) -> None:
    """Make a table in the old layout."""
    with db.begin(write=True) as txn:
        enter(txn, name, slot)
        store(txn, name, slot, items)


def dump(db: zlmdb.Database, slot: int | None = None) -> dict[bytes, bytes]:
    """Return all raw records, or those of a slot."""
    low = b"" if slot is None else struct.pack(">H", slot)
    with db.begin() as txn:
        found = scan(txn, low or b"\0", end_of_prefix(low) if low else None)
        return {raw: data for raws, datas in found for raw, data in zip(raws, datas, strict=True)}


def records(name: str, number: int) -> dict[Any, Any]:
    """Return that many records of the map ``name``, as a dict from keys to values."""
    text = ("", "a", "a\0", "a\0\0b", "ab", "é")
    rows = {
        "MapOidTimestampOid": lambda n: ((n % 7, time(n)), n),
        "MapOidTimestampStringOid": lambda n: ((n % 7, time(n % 9), text[n % 6] + str(n)), n),
        "MapStringOidOid": lambda n: ((text[n % 6], n), n),
        "MapStringTimestampCbor": lambda n: ((text[n % 6], time(n)), {"n": n}),
        "MapUint16UuidTimestampUuid": lambda n: ((n * 77 % 65536, UUID(int=n), time(n)), UUID(int=n)),
        "MapUuidUuidSet": lambda n: (UUID(int=n), {UUID(int=m) for m in range(1, n % 40 + 2)}),
        "MapOidOidSet": lambda n: (n, set(range(n % 40 + 1))),
    }
    return dict(rows[name](number) for number in range(number))


NAMES = (
    "MapOidTimestampOid",
    "MapOidTimestampStringOid",
    "MapStringOidOid",
    "MapStringTimestampCbor",
    "MapUint16UuidTimestampUuid",
    "MapUuidUuidSet",
    "MapOidOidSet",
)
"""A map of each kind that has an old layout."""


def read(map_: Any, txn: zlmdb.Transaction) -> list[tuple[Any, Any]]:
    """Return all records as the map gives them, live sets as plain ones."""
    return [(key, set(value) if map_.value_codec.name.endswith("Set") else value) for key, value in map_.select(txn)]


def in_order(expected: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the records of a dict in the order of their keys."""
    return sorted(expected.items(), key=lambda item: item[0])


def upgrade_entry(db: zlmdb.Database, name: str) -> Slot:
    """Return the catalogue's entry of the table."""
    return next(entry for entry in Attaching(db).slots() if entry.oid == declared(name)._zlmdb_oid)


def upgrade_of(db: zlmdb.Database, name: str) -> Upgrade:
    """Return the upgrade that attaching makes, to be done step by step."""
    return Upgrade(db, declared(name)(), upgrade_entry(db, name))
