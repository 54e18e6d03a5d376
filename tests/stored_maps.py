# SPDX-License-Identifier: MIT
"""Maps of many kinds, with records for them, to be stored and damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

import zlmdb
from tests.codec_samples import KEY_EXAMPLES, NS, TS, VALUE_EXAMPLES, U
from zlmdb.codecs import key_codec, value_codec
from zlmdb.codecs.flatbuffers import (
    BOOL,
    BYTES,
    CBOR_ARRAY,
    CBOR_MAP,
    I32,
    STRING,
    STRING_VECTOR,
    TIMESTAMP,
    U8,
    U64,
    U64_VECTOR,
    UUID_BYTES,
    FlatRecord,
    flat,
)

Filled = tuple[zlmdb.Map, list[tuple[Any, Any]]]
"""A map and the records to put into it."""


class Flat(FlatRecord):
    oid: UUID | None = flat(UUID_BYTES)
    at: int | None = flat(TIMESTAMP)
    text: str | None = flat(STRING)
    number: int | None = flat(U64)
    small: int | None = flat(U8)
    signed: int | None = flat(I32)
    yes: bool = flat(BOOL, default=False)
    blob: bytes | None = flat(BYTES)
    numbers: list[int] | None = flat(U64_VECTOR)
    texts: list[str] | None = flat(STRING_VECTOR)
    map: dict[str, Any] | None = flat(CBOR_MAP)
    array: list[Any] | None = flat(CBOR_ARRAY)


FLAT = Flat(oid=U, at=NS, text="text", number=1, small=2, signed=-3, yes=True, blob=b"b", numbers=[1], texts=["a", ""])
DOCUMENTS = Flat(map={"a": [1]}, array=[1, {"b": None}])


@zlmdb.table("6e5d8e0c-3b60-4b8c-9d0a-0d8b8a9f0201")
@dataclass
class Person:
    name: str
    friends: list[UUID]
    age: int | None = None


@zlmdb.table("6e5d8e0c-3b60-4b8c-9d0a-0d8b8a9f0202")
class Listed(zlmdb.MapStringCbor): ...


@zlmdb.table("6e5d8e0c-3b60-4b8c-9d0a-0d8b8a9f0203")
class ListedPeople(zlmdb.MapOidCbor[Person]): ...


@zlmdb.table("6e5d8e0c-3b60-4b8c-9d0a-0d8b8a9f0204")
class ListedSets(zlmdb.MapUuidUuidSet): ...


JOE = Person("joe", [U], 5)
LISTED: list[tuple[type[zlmdb.Map], list[tuple[Any, Any]]]] = [
    (Listed, [("", [1, 2]), ("a", {"b": 1})]),
    (ListedPeople, [(1, JOE)]),
    (ListedSets, [(U, {U, UUID(int=1)})]),
]
"""Tables that the catalogue names, and their records."""

_ARRAYS = [np.arange(6, dtype="<i4").reshape(2, 3), np.array([TS]), np.zeros(3, [("a", "u1"), ("b", "f8")])]
_KINDS: list[tuple[Callable[[int], zlmdb.Map], list[Any]]] = [
    (zlmdb.MapOidCbor, [{"a": [1.5, None, {"b": b"x"}]}, JOE, {"a": {1, 2}}, 2**70]),
    (lambda slot: zlmdb.MapOidCbor(slot, "zlib"), [{"a": "x" * 50}, JOE]),
    (zlmdb.MapOidCbor[Person], [JOE, Person("", [])]),
    (zlmdb.MapOidJson, [{"a": [1, "é", None]}, JOE]),
    (zlmdb.MapOidJson[Person], [JOE]),
    (lambda slot: zlmdb.MapOidJson(slot, "zlib"), [JOE]),
    (lambda slot: zlmdb.MapOidFlatBuffers(slot, build=Flat.build, cast=Flat.cast), [FLAT, DOCUMENTS, Flat()]),
    (lambda slot: zlmdb.MapOidFlatBuffers(slot, "zlib", build=Flat.build, cast=Flat.cast), [FLAT]),
    (lambda slot: zlmdb.Map(slot, key=key_codec("Oid"), value=value_codec("Numpy")), _ARRAYS),
    (lambda slot: zlmdb.Map(slot, key=key_codec("Oid"), value=value_codec("OidSet")), [{1, 2}]),
    (zlmdb.MapOidOidSet, [{1, 2, 3}, {4}]),
    (zlmdb.MapStringStringUuidSet, [{U, UUID(int=1)}, {U}]),
]
"""How to make a map of a kind, given its slot, and values for it."""


def _key_kinds(slot: int) -> Iterator[Filled]:
    """Make a map of each key kind, the value kinds taking turns."""
    values = [(kind, value) for kind, value, _ in VALUE_EXAMPLES if not kind.startswith(("Pickle", "OidSet", "UuidS"))]
    for number, kind in enumerate(dict.fromkeys(kind for kind, _, _ in KEY_EXAMPLES)):
        value_kind, value = values[number % len(values)]
        map_: zlmdb.Map = zlmdb.Map(slot + number, key=key_codec(kind), value=value_codec(value_kind))
        yield map_, [(key, value) for of, key, _ in KEY_EXAMPLES if of == kind]


def _text(name: str) -> Callable[[Any], str | None]:
    """Return what gives a field of a row; of a damaged row, None."""

    def field(row: Any) -> str | None:
        value = row.get(name) if isinstance(row, dict) else None
        return value if isinstance(value, str) else None

    return field


def _indexed(slot: int) -> Filled:
    people = zlmdb.MapOidCbor(slot)
    people.attach_index("email", zlmdb.MapStringOid(slot + 1), _text("email"))
    people.attach_index("role", zlmdb.MapStringOid(slot + 2), _text("role"), nullable=True, unique=False)
    return people, [(n, {"email": f"e{n}", "role": [None, "a", "b"][n % 3]}) for n in range(6)]


def fixed_maps() -> list[Filled]:
    """Make maps of all kinds with fixed slots, that of an indexed table first, and records for them."""
    made = [_indexed(100)]
    for number, (make, values) in enumerate(_KINDS, 110):
        map_ = make(number)
        keys: Any = [("a", "b"), ("", "")] if map_.key_codec.parts else range(9)
        made.append((map_, list(zip(keys, values, strict=False))))
    return [*made, *_key_kinds(200)]
