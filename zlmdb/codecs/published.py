# SPDX-License-Identifier: MIT
"""The names that existing programs use, and what bytes they stand for (FORMAT.md sections 2 and 4)."""

from __future__ import annotations

from typing import Any, Final

from .base import KeyCodec, Layout
from .composite import Ending, Part, tuple_codec
from .scalars import (
    BYTES,
    BYTES16,
    BYTES20,
    BYTES32,
    OID,
    SLOT,
    STRING,
    UINT8,
    UINT16,
    UINT64,
    UUID,
    zero_of,
)
from .timestamps import TIMESTAMP

SINGLE_KEYS: Final[dict[str, KeyCodec[Any]]] = {
    codec.name: codec
    for codec in (UUID, OID, UINT8, UINT16, UINT64, SLOT, TIMESTAMP, STRING, BYTES, BYTES16, BYTES20, BYTES32)
}

_VALUES_BY_KEY: Final = {
    "SlotUuid": "Uuid",
    "Uuid": "String Oid Json Cbor Pickle FlatBuffers Uuid UuidSet",
    "UuidTimestamp": "FlatBuffers Uuid Bytes32 Cbor",
    "TimestampUuid": "FlatBuffers Cbor",
    "Timestamp": "FlatBuffers",
    "TimestampString": "FlatBuffers Cbor",
    "TimestampUuidString": "FlatBuffers",
    "UuidTimestampUuid": "FlatBuffers",
    "UuidBytes20Uint8": "FlatBuffers",
    "UuidBytes20Uint8Uuid": "FlatBuffers",
    "UuidBytes20Bytes20Uint8Uuid": "FlatBuffers",
    "Uint16UuidTimestamp": "FlatBuffers",
    "UuidString": "Uuid Oid FlatBuffers",
    "UuidUuidString": "Uuid FlatBuffers",
    "UuidUuidUuidString": "Uuid",
    "Uint64Timestamp": "Uuid",
    "UuidUuid": "FlatBuffers Cbor Uuid",
    "UuidUuidUuid": "Uuid",
    "UuidUuidUuidUuid": "Uuid",
    "String": "Uuid Oid Json Cbor Pickle FlatBuffers String",
    "StringString": "Uuid",
    "StringStringString": "Uuid",
    "StringOid": "Oid",
    "StringTimestamp": "Cbor",
    "Oid": "String Uuid Json Cbor Pickle FlatBuffers Oid OidSet",
    "OidOid": "FlatBuffers Oid",
    "OidTimestamp": "FlatBuffers Oid",
    "Oid3": "FlatBuffers",
    "OidString": "Oid",
    "OidTimestampString": "Oid",
    "Bytes32": "Uuid Timestamp Bytes32 FlatBuffers",
    "Bytes32Uuid": "FlatBuffers",
    "UuidBytes32": "FlatBuffers",
    "Bytes32Bytes32": "FlatBuffers",
    "Bytes32String": "FlatBuffers",
    "TimestampBytes32": "FlatBuffers",
    "Bytes20": "Uuid Bytes16 Bytes20 Bytes20Timestamp FlatBuffers",
    "Bytes20Timestamp": "Bytes20 Uuid",
    "Bytes20Bytes20": "FlatBuffers",
    "Bytes20String": "FlatBuffers",
    "Bytes16": "FlatBuffers",
    "Bytes16Timestamp": "Uuid",
    "Bytes16TimestampUuid": "FlatBuffers",
}

PUBLISHED_MAPS: Final[dict[str, tuple[str, str]]] = {
    f"Map{key}{value}": (key, value) for key, values in _VALUES_BY_KEY.items() for value in values.split()
}
"""Each published map name with its key kind and value kind."""

UPGRADED: Final = frozenset(
    {"OidTimestamp", "OidTimestampString", "StringOid", "StringTimestamp", "Uint16UuidTimestamp"}
)
"""Published key kinds whose existing layout does not sort or cannot be told apart."""

_NUL_ENDED: Final = frozenset({"StringString", "StringStringString"})
_ZERO_FILLED: Final = frozenset(
    {
        "Uint16UuidTimestamp",
        "Uint64Timestamp",
        "StringTimestamp",
        "TimestampBytes32",
        "TimestampString",
        "TimestampUuid",
        "TimestampUuidString",
        "UuidBytes20Bytes20Uint8Uuid",
        "UuidBytes20Uint8",
        "UuidBytes20Uint8Uuid",
        "UuidString",
        "UuidTimestamp",
        "UuidTimestampUuid",
        "UuidUuid",
        "UuidUuidUuid",
        "UuidUuidUuidUuid",
    }
)
_BYTES_ZERO_FILLED: Final = frozenset({"Bytes16Timestamp", "Bytes16TimestampUuid", "Bytes20Timestamp"})
# existing programs do not hold these integers to the limit of an OID
_WIDE: Final[dict[str, list[KeyCodec[Any]]]] = {"OidString": [UINT64, STRING], "StringOid": [STRING, UINT64]}


def is_published_key(name: str) -> bool:
    """Tell whether ``name`` is a key kind of existing programs."""
    return name in _VALUES_BY_KEY


def published_key_codec(name: str, tokens: list[KeyCodec[Any]]) -> KeyCodec[Any]:
    """Build the codec of a published tuple kind whose name reads as ``tokens``."""
    codecs = _WIDE.get(name, tokens)
    ending = Ending.NUL if name in _NUL_ENDED else Ending.ESCAPED
    parts = [Part(codec, ending, acceptance(name, codec)) for codec in codecs]
    return tuple_codec(name, parts, Layout.UPGRADED if name in UPGRADED else Layout.KEPT)


def acceptance(kind: str, codec: KeyCodec[Any]) -> Any:
    """Return the function that turns what a published kind takes beside ordinary parts into ordinary ones, or None."""
    zero = zero_of(codec)
    if kind == "UuidBytes20Uint8" and codec is UINT8:
        # the existing decoder gives (n,), and this kind alone takes it back
        return lambda value: zero if value is None else value[0] if type(value) is tuple and len(value) == 1 else value
    if kind in _ZERO_FILLED:
        return lambda value: zero if value is None else value
    if kind in _BYTES_ZERO_FILLED and codec.name.startswith("Bytes"):
        return lambda value: zero if value is None or value == b"" else value
    return None
