# SPDX-License-Identifier: MIT
"""Sets packed into one value, as existing files hold them: the members side by side (FORMAT.md section 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zlmdb.errors import DecodeError, WrongType

from .base import KeyCodec, ValueCodec
from .scalars import OID, STRING, UUID

_MEMBERS: dict[str, KeyCodec[Any]] = {"UuidSet": UUID, "OidSet": OID, "StringSet": STRING}


def set_member(value_name: str) -> KeyCodec[Any] | None:
    """Return the codec of the members of a set kind, or None if the value kind is no set."""
    return _MEMBERS.get(value_name)


def packed_set_codec(name: str, member: KeyCodec[Any]) -> ValueCodec[set[Any]]:
    """Build the codec of sets of fixed-size members, written sorted and without gaps."""
    size, encode_member, expected = member.size or 1, member.encode, f"a set of {member.name}"

    def encode(value: set[Any]) -> bytes:
        if not isinstance(value, (set, frozenset)):
            raise WrongType(f"a {type(value).__name__} is no {name}", got=value, expected=expected)
        return b"".join(sorted(map(encode_member, value)))

    def decode(data: bytes) -> set[Any]:
        if len(data) % size:
            raise DecodeError(
                f"a stored {name} has {len(data)} bytes", got=bytes(data), expected=f"a multiple of {size} bytes"
            )
        return set(member.decode_many([data[at : at + size] for at in range(0, len(data), size)]))

    return ValueCodec(name, encode, decode)


def string_set_codec() -> ValueCodec[set[str]]:
    """Build the codec of sets of strings joined by NUL, written sorted; the empty set is refused.

    No bytes at all stand for the set of the empty string alone.
    """
    encode_member = _without_nul(STRING.encode)

    def encode(value: Any) -> bytes:
        if not (isinstance(value, (set, frozenset)) and value):
            raise WrongType("this is no StringSet", got=value, expected="a set of str with at least one member")
        return b"\0".join(sorted(map(encode_member, value)))

    def decode(data: bytes) -> set[str]:
        return {STRING.decode(raw) for raw in bytes(data).split(b"\0")}

    return ValueCodec("StringSet", encode, decode)


def _without_nul(encode: Callable[[str], bytes]) -> Callable[[str], bytes]:
    def encode_member(text: str) -> bytes:
        raw = encode(text)
        if b"\0" in raw:
            raise WrongType("a member of a StringSet cannot hold a NUL", got=text, expected="a str without NUL")
        return raw

    return encode_member
