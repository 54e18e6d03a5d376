# SPDX-License-Identifier: MIT
"""The kinds of fields a flat record can have: how each is checked, written and read.

Sources: FORMAT.md section 6.2, and the FlatBuffers binary format for what that leaves open.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from cbor2 import CBORDecodeError, CBOREncodeError, dumps, loads

from zlmdb.codecs.flatwriter import Writer
from zlmdb.codecs.scalars import UUID as UUID_KEY
from zlmdb.errors import DecodeError, WrongType, WrongValue

T = TypeVar("T")

_u32: Final = struct.Struct("<I").unpack_from
_decode_uuid: Final = UUID_KEY.decode


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How a field of a FlatBuffers table is stored, and what it is in Python.

    A kind without ``write`` and ``read`` is a scalar inside the table; others are vectors the table points to.
    """

    fbs: str
    """The type as a .fbs file spells it."""
    code: str
    """The `struct` code of what the table itself holds."""
    check: Callable[[Any], Any]
    """Return what is to be stored; raise `WrongType` or `WrongValue`."""
    unset: T
    """What a record that does not store the field reads as."""
    write: Callable[[Writer, Any], int] | None = None
    """Write the vector and return its offset."""
    read: Callable[[bytes, int], T] | None = None
    """Return the value of the vector at this position; `DecodeError`, `struct.error` or `UnicodeDecodeError`."""


def vector(data: bytes, at: int, width: int = 1) -> bytes:
    """Return the content of the vector at this position, of elements of ``width`` bytes."""
    size = _u32(data, at)[0] * width
    at += 4
    content = data[at : at + size]
    if len(content) != size:
        raise DecodeError(
            "a vector ends behind the buffer",
            got=f"{size} bytes from byte {at}",
            expected=f"an end within {len(data)} bytes",
        )
    return content


# --- scalars -----------------------------------------------------------------------------------------


def check_integer(low: int, high: int) -> Callable[[object], int]:
    """Return the check of integers between two bounds."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise WrongType("not an integer", got=value, expected="int")
        if not low <= value <= high:
            raise WrongValue("the integer does not fit", got=value, expected=f"{low} to {high}")
        return value

    return check


def _instance(kind: type[T]) -> Callable[[object], T]:
    def check(value: object) -> T:
        if not isinstance(value, kind):
            raise WrongType("the value has another type than its field", got=value, expected=kind.__name__)
        return value

    return check


_check_u64: Final = check_integer(0, 2**64 - 1)

U64: Final[Kind[int]] = Kind("uint64", "Q", _check_u64, 0)
I32: Final[Kind[int]] = Kind("int32", "i", check_integer(-(2**31), 2**31 - 1), 0)
U8: Final[Kind[int]] = Kind("uint8", "B", check_integer(0, 255), 0)
BOOL: Final[Kind[bool]] = Kind("bool", "?", _instance(bool), False)
TIMESTAMP: Final[Kind[int | None]] = Kind("uint64", "Q", _check_u64, None)
"""Nanoseconds since 1970 UTC; 0 is the same as unset and reads as None."""


# --- vectors -----------------------------------------------------------------------------------------


def _vector_kind(
    fbs: str,
    check: Callable[[Any], Any],
    write: Callable[[Writer, Any], int],
    read: Callable[[bytes, int], T],
) -> Kind[T | None]:
    return Kind(fbs, "I", check, None, write, read)


def _read_uuid(data: bytes, at: int) -> UUID:
    return _decode_uuid(vector(data, at))


def check_text(value: object) -> bytes:
    """Return a string as it is stored."""
    if not isinstance(value, str):
        raise WrongType("not a string", got=value, expected="str")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise WrongValue("the string cannot be UTF-8", got=value, expected="no lone surrogates") from error


def read_text(data: bytes, at: int) -> str:
    """Return the string at this position."""
    return str(vector(data, at), "utf-8")


def _check_cbor(kind: type) -> Callable[[object], bytes]:
    def check(value: object) -> bytes:
        if not isinstance(value, kind):
            raise WrongType("the document has another type than its field", got=value, expected=kind.__name__)
        if not value:
            return b""
        try:
            return dumps(value)
        except (CBOREncodeError, ValueError, RecursionError, OverflowError) as error:
            raise WrongValue("CBOR cannot hold this", got=value, expected="what cbor2 encodes") from error

    return check


def _read_cbor(kind: type[T]) -> Callable[[bytes, int], T]:
    def read(data: bytes, at: int) -> T:
        try:
            value: object = loads(vector(data, at))
        except CBORDecodeError as error:
            raise DecodeError(f"not CBOR: {error}", expected="one CBOR item") from error
        if not isinstance(value, kind):
            raise DecodeError("another CBOR item", got=type(value).__name__, expected=kind.__name__)
        return value

    return read


def _check_items(check: Callable[[object], T]) -> Callable[[object], list[T]]:
    def check_all(value: object) -> list[T]:
        if not isinstance(value, list):
            raise WrongType("not a list", got=value, expected="list")
        return [check(item) for item in value]

    return check_all


def _write_u64s(writer: Writer, values: list[int]) -> int:
    return writer.vector(struct.pack(f"<{len(values)}Q", *values), len(values), 8)


def _read_u64s(data: bytes, at: int) -> list[int]:
    content = vector(data, at, 8)
    return list(struct.unpack(f"<{len(content) // 8}Q", content))


def _write_texts(writer: Writer, values: list[bytes]) -> int:
    return writer.offsets([writer.string(value) for value in values])


def read_texts(data: bytes, at: int) -> list[str]:
    """Return the strings of the vector of strings at this position."""
    content = vector(data, at, 4)
    found: dict[int, str] = {}
    room = len(data)
    texts = []
    for position, (offset,) in enumerate(struct.iter_unpack("<I", content)):
        target = at + 4 + 4 * position + offset
        text = found.get(target)  # writers may store equal strings once
        if text is None:
            text = found[target] = read_text(data, target)
            room -= _u32(data, target)[0] + 4
            # distinct strings do not overlap; without this a small buffer could ask for any amount of memory
            if room < 0:
                raise DecodeError("the strings of a vector overlap", got=f"byte {target}", expected="strings apart")
        texts.append(text)
    return texts


# byte vectors are written as strings are, because existing records have them so: one uncounted NUL behind the data
UUID_BYTES: Final = _vector_kind("[uint8]", UUID_KEY.encode, Writer.string, _read_uuid)
"""A `uuid.UUID`, stored as 16 bytes."""
STRING: Final = _vector_kind("string", check_text, Writer.string, read_text)
BYTES: Final = _vector_kind("[uint8]", _instance(bytes), Writer.string, vector)
CBOR_MAP: Final = _vector_kind("[uint8]", _check_cbor(dict), Writer.string, _read_cbor(dict))
"""A dictionary (keys and values are whatever CBOR can hold), stored as one CBOR item."""
CBOR_ARRAY: Final = _vector_kind("[uint8]", _check_cbor(list), Writer.string, _read_cbor(list))
"""A list, stored as one CBOR item."""
U64_VECTOR: Final = _vector_kind("[uint64]", _check_items(_check_u64), _write_u64s, _read_u64s)
STRING_VECTOR: Final = _vector_kind("[string]", _check_items(check_text), _write_texts, read_texts)
