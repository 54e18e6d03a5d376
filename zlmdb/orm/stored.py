# SPDX-License-Identifier: MIT
"""The tables of a file as maps, made from what its catalogue says of them and without the program's classes.

Values whose meaning only the program has stay bytes: FlatBuffers, pickles (reading one runs what it says) and
tables of which the catalogue has no kind, as those of the published zlmdb.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from zlmdb.codecs import KeyCodec, Layout, ValueCodec, key_codec, legacy_key_codec, set_member, split_name, value_codec
from zlmdb.codecs.compression import compressed
from zlmdb.codecs.optional import require
from zlmdb.errors import DecodeError, TableDeclaration
from zlmdb.orm import catalogue
from zlmdb.orm.catalogue import Slot
from zlmdb.orm.map import Map
from zlmdb.orm.sets import SetMap
from zlmdb.storage import Environment, Transaction, end_of_prefix, scan

_SLOT: Final = struct.Struct(">H")


@dataclass(frozen=True)
class Table:
    """A slot that holds a table; ``entry`` is its entry in the catalogue, None for a fixed slot without one."""

    slot: int
    entry: Slot | None

    @property
    def name(self) -> str | None:
        """The name that the catalogue has for it."""
        return self.entry.name if self.entry else None

    @property
    def kind(self) -> str | None:
        """What its bytes mean, as the catalogue has it."""
        return self.entry.kind if self.entry else None

    @property
    def bounds(self) -> tuple[bytes, bytes | None]:
        """The raw range of its records."""
        prefix = _SLOT.pack(self.slot)
        return prefix, end_of_prefix(prefix)


def tables(txn: Transaction) -> list[Table]:
    """List the tables in the catalogue and the other slots that hold records, by slot.

    Entries that cannot be read are passed over: their tables count as without one.
    """
    found: dict[int, Table] = {}
    for raw, data in catalogue.records(txn):
        with suppress(DecodeError):
            entry = catalogue.decode(raw, data)
            found[entry.slot] = Table(entry.slot, entry)
    for slot in used_slots(txn, _pass_over):
        found.setdefault(slot, Table(slot, None))
    return [found[slot] for slot in sorted(found)]


def used_slots(txn: Transaction, no_slot: Callable[[bytes], object]) -> Iterator[int]:
    """Yield the slots that hold records, but for the catalogue, skipping from one to the next.

    ``no_slot`` is called with each raw key that is too short to begin with a slot.
    """
    low: bytes | None = b"\0"
    while low is not None:
        found = next(scan(txn, low, None, values=False, limit=1), None)
        if found is None:
            return
        raw = found[0][0]
        if len(raw) < _SLOT.size:
            no_slot(raw)
            low = raw + b"\0"
            continue
        if slot := _SLOT.unpack_from(raw)[0]:
            yield slot
        low = end_of_prefix(raw[: _SLOT.size])


def _pass_over(_raw: bytes) -> None:
    """Do nothing: a check is for those who look for damage."""


# --- maps --------------------------------------------------------------------------------------------


def as_map(table: Table, environment: Environment, kind: str | None = None) -> Map[Any, Any] | None:
    """Return a map that reads the table in ``environment``; None if its kind is unknown, or one of a program's own.

    ``kind`` is that of the catalogue, or the name of a map type, which decides then. Raises
    `TableDeclaration` for a name that is none, `MissingDependency` for a library that the kind needs.
    """
    kinds = _of_type(kind, table) if kind else _of_catalogue(table.kind)
    if kinds is None:
        return None
    key, value, is_set = kinds
    if {"Timestamp", "Numpy"} & {*(part.name for part in (key.parts or (key,))), *value.name.split("+")}:
        require("numpy", extra="numpy")  # now: where a record is read, its absence would count as damage
    name = table.name or f"slot {table.slot}"
    kind_of_map: Any = type(name, (SetMap if is_set else Map,), {})
    made: Map[Any, Any] = kind_of_map(key=key, value=value)
    made.bind(table.slot, environment)
    return made


_Kinds = tuple[KeyCodec[Any], ValueCodec[Any], bool]


def _of_type(name: str, table: Table) -> _Kinds:
    split = split_name(name)
    if split is None:
        raise TableDeclaration("there is no map type of this name", got=name, expected="a name such as MapUuidCbor")
    key, value = split
    if table.entry is not None and table.kind is None:  # made by the published zlmdb, and not upgraded yet
        return legacy_key_codec(key) or key_codec(key), _value_codec(value), False
    return key_codec(key), _value_codec(value), set_member(value) is not None


def _of_catalogue(kind: str | None) -> _Kinds | None:
    key, _, value = (kind or "").partition("/")
    plain, _, generation = key.partition(":")
    try:
        codec = key_codec(plain)
        if generation != ("" if codec.layout is Layout.KEPT else "2"):
            return None
        if value.endswith("Set"):
            # of a set-valued map, or of a non-unique index over keys of any kind
            return codec, value_codec(value) if set_member(value) else _member(value.removesuffix("Set")), True
        return codec, _value_codec(value), False
    except TableDeclaration:
        return None  # of codecs of the program's own


def _member(name: str) -> ValueCodec[Any]:
    key = key_codec(name)
    return ValueCodec(name, key.encode, key.decode)


def _value_codec(name: str) -> ValueCodec[Any]:
    plain, _, mode = name.partition("+")
    return compressed(_plain_codec(plain), mode or None)


def _plain_codec(name: str) -> ValueCodec[Any]:
    if name in {"FlatBuffers", "Pickle"}:
        return ValueCodec(name, bytes, bytes)
    if name == "Json":
        return ValueCodec(name, lambda value: json.dumps(value).encode(), lambda data: json.loads(str(data, "utf-8")))
    if name == "Cbor":
        return _cbor_codec()
    return value_codec(name)


def _cbor_codec() -> ValueCodec[Any]:
    """Build the codec of CBOR that leaves declared records (tag 27) what they are stored as."""
    cbor2 = require("cbor2")
    verify = value_codec("Cbor").verify

    def decode(data: bytes) -> Any:
        return cbor2.loads(data, semantic_decoders={27: lambda parts, _immutable: parts})

    return ValueCodec("Cbor", cbor2.dumps, decode, verify=verify)
