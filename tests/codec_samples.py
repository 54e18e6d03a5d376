# SPDX-License-Identifier: MIT
"""Constants and examples of FORMAT.md sections 2 and 3, and strategies for keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import strategies as st

U = UUID("00112233-4455-6677-8899-aabbccddeeff")
V = UUID("ffeeddcc-bbaa-9988-7766-554433221100")
NS = 1700000000123456789
TS = np.datetime64(NS, "ns")
B16, B20, B32 = bytes(range(16)), bytes(range(20)), bytes(range(32))
C20, C32 = b"\xaa" * 20, b"\xbb" * 32

u, v, t = U.hex, V.hex, "17979cfe3d85cd15"
b16, b20, b32 = B16.hex(), B20.hex(), B32.hex()

KEY_EXAMPLES: list[tuple[str, Any, str]] = [
    ("Oid", 1, "0000000000000001"),
    ("Oid", 2**53, "0020000000000000"),
    ("OidOid", (1, 2), "00000000000000010000000000000002"),
    ("Oid3", (1, 2, 3), "000000000000000100000000000000020000000000000003"),
    ("OidString", (1, "ab"), "00000000000000016162"),
    ("OidString", (2**64 - 1, ""), "ffffffffffffffff"),
    ("String", "é", "c3a9"),
    ("String", "", ""),
    ("StringString", ("ab", "cd"), "6162006364"),
    ("StringString", ("", ""), "00"),
    ("StringStringString", ("a", "b", "c"), "6100620063"),
    ("Uuid", U, u),
    ("UuidUuid", (U, V), u + v),
    ("UuidUuidUuid", (U, V, U), u + v + u),
    ("UuidUuidUuidUuid", (U, V, U, V), u + v + u + v),
    ("UuidBytes20Uint8", (U, B20, 7), u + b20 + "07"),
    ("UuidBytes20Uint8Uuid", (U, B20, 7, V), u + b20 + "07" + v),
    ("UuidBytes20Bytes20Uint8Uuid", (U, B20, C20, 7, V), u + b20 + "aa" * 20 + "07" + v),
    ("Timestamp", TS, t),
    ("TimestampUuid", (TS, U), t + u),
    ("TimestampUuidString", (TS, U, "ab"), t + u + "6162"),
    ("TimestampBytes32", (TS, B32), t + b32),
    ("TimestampString", (TS, "ab"), t + "6162"),
    ("TimestampString", (TS, ""), t),
    ("UuidTimestamp", (U, TS), u + t),
    ("UuidTimestampUuid", (U, TS, V), u + t + v),
    ("Uint64Timestamp", (1, TS), "0000000000000001" + t),
    ("UuidString", (U, "ab"), u + "6162"),
    ("UuidUuidString", (U, V, "ab"), u + v + "6162"),
    ("UuidUuidString", (U, V, ""), u + v),
    ("UuidUuidUuidString", (U, V, U, "ab"), u + v + u + "6162"),
    ("SlotUuid", (258, U), "0102" + u),
    ("Bytes16", B16, b16),
    ("Bytes20", B20, b20),
    ("Bytes32", B32, b32),
    ("Bytes20Bytes20", (B20, C20), b20 + "aa" * 20),
    ("Bytes32Bytes32", (B32, C32), b32 + "bb" * 32),
    ("Bytes20String", (B20, "ab"), b20 + "6162"),
    ("Bytes32String", (B32, "ab"), b32 + "6162"),
    ("Bytes20Timestamp", (B20, TS), b20 + t),
    ("Bytes16Timestamp", (B16, TS), b16 + t),
    ("Bytes16TimestampUuid", (B16, TS, U), b16 + t + u),
    ("Bytes32Uuid", (B32, U), b32 + u),
    ("UuidBytes32", (U, B32), u + b32),
    # the upgraded kinds, in the layout that new compositions have
    ("OidTimestamp", (1, TS), "0000000000000001" + t),
    ("OidTimestampString", (1, TS, "ab"), "0000000000000001" + t + "6162"),
    ("StringOid", ("ab", 1), "6162" + "0001" + "0000000000000001"),
    ("StringTimestamp", ("ab", TS), "6162" + "0001" + t),
    ("Uint16UuidTimestamp", (258, U, TS), "0102" + u + t),
]

LEGACY_EXAMPLES: list[tuple[str, Any, str]] = [
    ("OidTimestamp", (1, TS), "000000000000000115cd853dfe9c9717"),
    ("OidTimestampString", (1, TS, "ab"), "000000000000000115cd853dfe9c97176162"),
    ("StringOid", ("ab", 1), "61620000000000000001"),
    ("StringTimestamp", ("ab", TS), "616217979cfe3d85cd15"),
    ("Uint16UuidTimestamp", (258, U, TS), "020100112233445566778899aabbccddeeff17979cfe3d85cd15"),
]

VALUE_EXAMPLES: list[tuple[str, Any, str]] = [
    ("String", "ab", "6162"),
    ("String", "", ""),
    ("Oid", 1, "0000000000000001"),
    ("OidSet", {1}, "0000000000000001"),
    ("OidSet", {2, 1}, "00000000000000010000000000000002"),
    ("Uuid", U, u),
    ("UuidSet", {U}, u),
    ("UuidSet", {V, U}, u + v),
    ("Timestamp", TS, t),
    ("Bytes", b"\0x", "0078"),
    ("Bytes16", B16, b16),
    ("Bytes20", B20, b20),
    ("Bytes32", B32, b32),
    ("Bytes20Timestamp", (B20, TS), b20 + t),
    ("Json", {"a": 1, "é": None}, "7b2261223a312c22c3a9223a6e756c6c7d"),
    ("Cbor", {"a": 1, "é": None}, "a261610162c3a9f6"),
    ("Cbor", {"b": 1, "a": [1.5, True]}, "a2616201616182fb3ff8000000000000f5"),
    ("Cbor", None, "f6"),
    ("Pickle", {"a": 1}, "80027d710058010000006171014b01732e"),
    ("StringSet", {"ab"}, "6162"),
    ("Uint16", 258, "0102"),
    ("Uint64", 1, "0000000000000001"),
]

_tricky_text = st.text(alphabet=st.sampled_from("\0\1a\xffé😀") | st.characters(codec="utf-8"), max_size=6)
_tricky_bytes = st.binary(max_size=6) | st.text(alphabet="\0\1\xff", max_size=4).map(lambda s: s.encode("latin-1"))

PART_KEYS: dict[str, st.SearchStrategy[Any]] = {
    "Uuid": st.integers(0, 2**128 - 1).map(lambda number: UUID(int=number)),
    "Oid": st.integers(0, 2**53) | st.integers(0, 3),
    "Uint8": st.integers(0, 255),
    "Uint16": st.integers(0, 2**16 - 1),
    "Uint64": st.integers(0, 2**64 - 1),
    "Slot": st.integers(0, 2**16 - 1),
    "Timestamp": st.integers(0, 2**63 - 1),
    "String": _tricky_text,
    "Bytes": _tricky_bytes,
    "Bytes16": st.binary(min_size=16, max_size=16),
    "Bytes20": st.binary(min_size=20, max_size=20),
    "Bytes32": st.binary(min_size=32, max_size=32),
}


def comparable(key: Any) -> Any:
    """Return the key with timestamps as ints, which compare like the times and with ==."""
    if isinstance(key, tuple):
        return tuple(comparable(part) for part in key)
    return int(key) if isinstance(key, np.datetime64) else key
