# SPDX-License-Identifier: MIT
"""Codecs of single keys: UUIDs, integers, strings and bytes (FORMAT.md section 2, "Building blocks").

All functions may be called from any thread.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Final

from zlmdb.errors import DecodeError, WrongType, WrongValue

from .base import KeyCodec, Layout

ALPHABET: Final = "ACEFGHJKLMNPQRSTUVWXY345679"  # 27 characters of which none looks like another


def wrong_size(name: str, data: bytes, expected: str) -> DecodeError:
    """Return the error for stored bytes of a length that ``name`` cannot have."""
    return DecodeError(f"a stored {name} has the wrong length, {len(data)}", got=bytes(data), expected=expected)


# --- UUID --------------------------------------------------------------------------------------------

# UUID(bytes=...) checks and converts five forms and costs five times as much as filling the two slots
_new_object: Final = object.__new__
set_uuid_int: Final[Callable[[uuid.UUID, int], None]] = uuid.UUID.int.__set__  # type: ignore[attr-defined, misc]
set_uuid_is_safe: Final[Callable[[uuid.UUID, uuid.SafeUUID], None]] = uuid.UUID.is_safe.__set__  # type: ignore[attr-defined, misc]
SAFETY_UNKNOWN: Final = uuid.SafeUUID.unknown
_int_from_bytes: Final = int.from_bytes
_SIXTEEN: Final = {16}


def _encode_uuid(key: uuid.UUID) -> bytes:
    if isinstance(key, uuid.UUID):
        return key.int.to_bytes(16, "big")
    raise WrongType(f"a {type(key).__name__} is no Uuid", got=key, expected="a uuid.UUID")


def _decode_uuid(data: bytes) -> uuid.UUID:
    if len(data) != 16:
        raise wrong_size("Uuid", data, "16 bytes")
    key = _new_object(uuid.UUID)
    set_uuid_int(key, _int_from_bytes(data, "big"))
    set_uuid_is_safe(key, SAFETY_UNKNOWN)
    return key


def _decode_uuids(rows: Sequence[bytes]) -> list[uuid.UUID]:
    if set(map(len, rows)) != _SIXTEEN:
        for data in rows:
            _decode_uuid(data)  # finds the one that is not as the others, and says so
    keys = list(map(_new_object, repeat(uuid.UUID, len(rows))))
    # slot by slot, in C: a quarter less than a loop over the keys
    deque(map(set_uuid_int, keys, map(_int_from_bytes, rows)), 0)
    deque(map(set_uuid_is_safe, keys, repeat(SAFETY_UNKNOWN)), 0)
    return keys


UUID: Final[KeyCodec[uuid.UUID]] = KeyCodec(
    "Uuid", _encode_uuid, _decode_uuid, _decode_uuids, _encode_uuid, size=16, new_key=uuid.uuid4
)


# --- integers ----------------------------------------------------------------------------------------


def plain_int(value: object, expected: str) -> int:
    """Return an int or an instance of a subclass such as IntEnum as plain int; refuse bool and the rest."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise WrongType(f"a {type(value).__name__} is no integer here", got=value, expected=expected)


def _integer(name: str, size: int, limit: int, *, smallest_new: int = 0, layout: Layout = Layout.KEPT) -> KeyCodec[int]:
    """Unsigned big-endian integers of ``size`` bytes, from 0 to ``limit`` inclusive."""
    expected = f"an int from 0 to {limit}"

    def encode(key: int) -> bytes:
        if type(key) is not int:
            key = plain_int(key, expected)
        if 0 <= key <= limit:
            return key.to_bytes(size, "big")
        raise WrongValue(f"the number does not fit into a {name}", got=key, expected=expected)

    def decode(data: bytes) -> int:
        if len(data) != size:
            raise wrong_size(name, data, f"{size} bytes")
        key = _int_from_bytes(data, "big")
        if key > limit:
            raise DecodeError(f"a stored {name} is too large", got=bytes(data), expected=expected)
        return key

    def decode_many(rows: Sequence[bytes]) -> list[int]:
        return list(map(decode, rows))

    def new_key() -> int:
        import secrets

        return smallest_new + secrets.randbelow(limit + 1 - smallest_new)

    return KeyCodec(name, encode, decode, decode_many, encode, size=size, new_key=new_key, layout=layout)


OID: Final = _integer("Oid", 8, 2**53, smallest_new=1)
UINT8: Final = _integer("Uint8", 1, 2**8 - 1, layout=Layout.NEW)
UINT16: Final = _integer("Uint16", 2, 2**16 - 1, layout=Layout.NEW)
UINT64: Final = _integer("Uint64", 8, 2**64 - 1, layout=Layout.NEW)
SLOT: Final = _integer("Slot", 2, 2**16 - 1, layout=Layout.NEW)


# --- strings and bytes -------------------------------------------------------------------------------


def _encode_string(key: str) -> bytes:
    if not isinstance(key, str):
        raise WrongType(f"a {type(key).__name__} is no String", got=key, expected="a str")
    try:
        return key.encode()
    except UnicodeEncodeError as error:
        raise WrongValue("the string has no UTF-8 form", got=key, expected="a str without lone surrogates") from error


def _decode_string(data: bytes) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError("a stored String is not UTF-8", got=bytes(data), expected="UTF-8") from error


def _decode_strings(rows: Sequence[bytes]) -> list[str]:
    return list(map(_decode_string, rows))


def new_token() -> str:
    """Return a random token of four groups of six characters, such as ``FVLHRC-LJHWHG-CXE345-PJ9FCC``."""
    import secrets

    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(6)) for _ in range(4))


def _random_bytes(size: int) -> Callable[[], bytes]:
    def new_key() -> bytes:
        import secrets

        return secrets.token_bytes(size)

    return new_key


def _encode_bytes(key: bytes) -> bytes:
    if isinstance(key, bytes):
        return key if type(key) is bytes else bytes(key)
    raise WrongType(f"a {type(key).__name__} is no Bytes", got=key, expected="bytes")


def _fixed_bytes(size: int) -> KeyCodec[bytes]:
    name = f"Bytes{size}"
    expected = f"{size} bytes"

    def encode(key: bytes) -> bytes:
        if type(key) is not bytes:
            key = _encode_bytes(key)
        if len(key) != size:
            raise WrongValue(f"{len(key)} bytes do not make a {name}", got=key, expected=expected)
        return key

    def decode(data: bytes) -> bytes:
        if len(data) != size:
            raise wrong_size(name, data, expected)
        return bytes(data)

    def encode_prefix(prefix: bytes) -> bytes:
        if len(data := _encode_bytes(prefix)) > size:
            raise WrongValue(f"no {name} begins so", got=prefix, expected=f"at most {expected}")
        return data

    def decode_many(rows: Sequence[bytes]) -> list[bytes]:
        return list(map(decode, rows))

    return KeyCodec(name, encode, decode, decode_many, encode_prefix, size=size, new_key=_random_bytes(size))


STRING: Final[KeyCodec[str]] = KeyCodec(
    "String", _encode_string, _decode_string, _decode_strings, _encode_string, new_key=new_token
)
BYTES: Final[KeyCodec[bytes]] = KeyCodec(
    "Bytes",
    _encode_bytes,
    bytes,
    lambda rows: list(map(bytes, rows)),
    _encode_bytes,
    new_key=_random_bytes(16),
    layout=Layout.NEW,
)
BYTES16: Final = _fixed_bytes(16)
BYTES20: Final = _fixed_bytes(20)
BYTES32: Final = _fixed_bytes(32)


def zero_of(codec: KeyCodec[Any]) -> Any:
    """Return the value whose bytes are all zero, which stands for None in some published tuple keys."""
    if codec.name == "Uuid":
        return uuid.UUID(int=0)
    if codec.name == "String":
        return ""
    return bytes(codec.size or 0) if codec.name.startswith("Bytes") else 0
