# SPDX-License-Identifier: MIT
"""Tables and records for both programs: the edges of each kind, and random ones from a seed."""

from __future__ import annotations

from random import Random
from typing import Any, Final
from uuid import UUID, uuid5

import numpy as np

from zlmdb.codecs import PUBLISHED_MAPS, key_codec

SEED: Final = 20261001
RANDOM_ROWS: Final = 12
_TABLES: Final = UUID("c3a1f8f0-8a52-4a1f-9a55-0f4b8f3e6d01")
_LETTERS: Final = "abcxyz019 .-_/äöé€漢😀"

EDGES: Final[dict[str, list[Any]]] = {
    "Uuid": [UUID(int=0), UUID(int=2**128 - 1), UUID("00112233-4455-6677-8899-aabbccddeeff")],
    "Oid": [0, 1, 255, 256, 2**32, 2**53],
    "Uint8": [0, 1, 255],
    "Uint16": [0, 1, 255, 256, 258, 65535],
    "Uint64": [0, 256, 2**53 + 1, 2**64 - 1],
    "Slot": [0, 258, 65535],
    "Timestamp": [np.datetime64(ns, "ns") for ns in (0, 1, 256, 1700000000123456789, 2**62, 2**63 - 1)],
    "String": ["a", "ab", "b", "é", "😀", "\uffff", "a" * 200],
    "Bytes16": [bytes(16), b"\xff" * 16, bytes(range(16))],
    "Bytes20": [bytes(20), b"\xff" * 20, bytes(range(20))],
    "Bytes32": [bytes(32), b"\xff" * 32, bytes(range(32))],
}
_DOCUMENTS: Final[list[Any]] = [
    {},
    [],
    None,
    0,
    False,
    "",
    "text",
    -1.5,
    2**53,
    {"a": 1, "é": None},
    {"b": [1, 2.0, True], "a": {"deep": [[], {}, ""]}},
    {"long": "x" * 9000},
]
VALUES: Final[dict[str, list[Any]]] = {
    **{kind: EDGES[kind] for kind in ("Uuid", "Oid", "Timestamp", "Bytes16", "Bytes20", "Bytes32")},
    "String": ["a", "\0", "é😀", "x" * 9000],
    "Bytes20Timestamp": list(zip(EDGES["Bytes20"], EDGES["Timestamp"], strict=False)),
    "Json": [*_DOCUMENTS, 10**30, "\u2028"],
    "Cbor": [*_DOCUMENTS, b"\0\xff", {1: b"", "u": UUID(int=5)}, 2**70, -(2**70), float("inf")],
    "Pickle": [*_DOCUMENTS, (1, (2,)), {1, 2}, b"\0", UUID(int=5), 2**70],
    "FlatBuffers": [[0, "", b""], [1, "a", b"\0"], [2**64 - 1, "é😀", bytes(range(256))], [5, "x" * 9000, b"y" * 300]],
    "OidSet": [{0}, {1, 2**53}, set(range(7)), set(range(8)), set(range(40))],
    "UuidSet": [{UUID(int=0)}, {UUID(int=n) for n in range(16)}, {UUID(int=n << 100) for n in range(40)}],
}


def _part(kind: str, random: Random) -> Any:
    if kind == "Uuid":
        return UUID(int=random.getrandbits(128))
    if kind == "String":
        return "".join(random.choices(_LETTERS, k=random.randint(1, 12)))
    if kind.startswith("Bytes"):
        return random.randbytes(int(kind[5:]))
    if kind == "Timestamp":
        return np.datetime64(random.getrandbits(random.randint(1, 63)), "ns")
    bits = {"Oid": 53, "Uint8": 8, "Uint64": 64}.get(kind, 16)
    return random.getrandbits(random.randint(1, bits))


def _random_key(parts: list[str], random: Random) -> tuple[Any, ...]:
    return tuple(_part(part, random) for part in parts)


def keys(kind: str, least: int, random: Random) -> list[Any]:
    """Return at least so many different keys of a kind: each edge of each part, and random ones; not in order."""
    codec = key_codec(kind)
    parts = [part.name for part in codec.parts] or [codec.name]
    edges = max(len(EDGES[part]) for part in parts)
    found = [tuple(EDGES[part][(row + at) % len(EDGES[part])] for at, part in enumerate(parts)) for row in range(edges)]
    found += [_random_key(parts, random) for _ in range(max(RANDOM_ROWS, least))]
    random.shuffle(found)
    return list(dict.fromkeys(found if codec.parts else [key for (key,) in found]))


def table(name: str, compress: int | None = None, label: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the declaration of a table without records."""
    label = label or f"{name}{compress or ''}"
    return {"label": label, "map": name, "oid": str(uuid5(_TABLES, label)), "compress": compress, **more}


def rows(name: str, compress: int | None = None) -> list[tuple[Any, Any]]:
    """Return the records of a table, in the order in which they are written (not that of the keys)."""
    key_kind, value_kind = PUBLISHED_MAPS[name]
    values = VALUES[value_kind]
    found = keys(key_kind, len(values), Random(f"{SEED} {name} {compress}"))
    return [(key, values[at % len(values)]) for at, key in enumerate(found)]


COMPRESSED: Final[list[tuple[str, int | None]]] = [
    (f"MapUuid{value}", compress)
    for compress in (1, 2)
    for value in ("String", "Oid", "Uuid", "Json", "Cbor", "Pickle", "FlatBuffers")
]


Manifest = dict[str, tuple[dict[str, Any], list[tuple[Any, Any]]]]


def manifest() -> Manifest:
    """Return declaration and records of all tables, by label: each published map, and the compressed ones."""
    made: list[tuple[str, int | None]] = [*((name, None) for name in PUBLISHED_MAPS), *COMPRESSED]
    tables = [(table(*which), rows(*which)) for which in made]
    return {spec["label"]: (spec, records) for spec, records in tables}
