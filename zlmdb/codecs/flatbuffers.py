# SPDX-License-Identifier: MIT
"""Values stored as FlatBuffers: the codec, and all names needed to declare flat records.

A value is a plain finished buffer, without size prefix (FORMAT.md section 3). There are three kinds of values::

    class Person(FlatRecord): ...                     # declared in Python, mutable, decoded as a whole
    people = zlmdb.MapOidFlatBuffers[Person](1)

    Order = load_fbs("orders.fbs").Order              # declared in a schema file, immutable, decoded field by field
    orders = zlmdb.MapOidFlatBuffers[Order](2)

    # code that flatc generated, or anything else that writes and reads with the stock library
    notes = zlmdb.MapOidFlatBuffers(3, build=build_note, cast=lambda data: Note.GetRootAs(data, 0))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from zlmdb.codecs.base import ValueCodec
from zlmdb.codecs.fbs_record import FbsRecord
from zlmdb.codecs.fbs_schema import FbsSchema, load_fbs
from zlmdb.codecs.flatkinds import (
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
    Kind,
)
from zlmdb.codecs.flatrecord import Field, FlatRecord, flat
from zlmdb.codecs.flatwriter import Builder
from zlmdb.codecs.optional import require
from zlmdb.errors import DecodeError, EncodeError, WrongType, ZlmdbError

__all__ = [
    "BOOL",
    "BYTES",
    "CBOR_ARRAY",
    "CBOR_MAP",
    "I32",
    "STRING",
    "STRING_VECTOR",
    "TIMESTAMP",
    "U8",
    "U64",
    "U64_VECTOR",
    "UUID_BYTES",
    "Builder",
    "FbsRecord",
    "FbsSchema",
    "Field",
    "FlatRecord",
    "Kind",
    "flat",
    "flatbuffers_codec",
    "load_fbs",
    "record_codec",
]

V = TypeVar("V")


def flatbuffers_codec(build: Callable[[V, Builder], int], cast: Callable[[Any], V]) -> ValueCodec[V]:
    """Return a codec of values that write themselves with a ``flatbuffers.Builder``.

    ``build(value, builder)`` returns the offset of the root table; its own errors pass through. ``cast(data)``
    gets bytes or a memoryview; what it raises becomes a `DecodeError`. Encoding raises `EncodeError` when
    ``build`` returns no offset, and `MissingDependency` without the extra ``flatbuffers``. With the ``build`` of
    `FlatRecord` itself the builder is passed by, which is several times faster and needs no other package.
    """
    encode = _encode_flat if build is FlatRecord.build else _encoder(build)

    def decode(data: bytes) -> V:
        try:
            return cast(data)
        except ZlmdbError:
            raise
        except Exception as error:
            raise DecodeError(
                f"cast() failed: {type(error).__name__}: {error}", got=f"{len(data)} bytes", expected="a FlatBuffer"
            ) from error

    return ValueCodec("FlatBuffers", encode, decode, views=True)


def record_codec(record: type) -> ValueCodec[Any] | None:
    """Return the codec of a `FlatRecord` or of a record class that `load_fbs` made; None for any other class."""
    if issubclass(record, FlatRecord):
        return flatbuffers_codec(record.build, record.cast)
    if issubclass(record, FbsRecord):
        return ValueCodec("FlatBuffers", record.encode, record.cast, views=True, verify=record.verify)
    return None


def _encode_flat(value: Any) -> bytes:
    if isinstance(value, FlatRecord):
        return bytes(value)
    raise WrongType("not a flat record", got=value, expected="an instance of a subclass of FlatRecord")


def _encoder(build: Callable[[V, Builder], int]) -> Callable[[V], bytes]:
    def encode(value: V) -> bytes:
        builder: Builder = require("flatbuffers", extra="flatbuffers").Builder(0)
        root = build(value, builder)
        if type(root) is not int or not 0 < root <= builder.Offset():
            raise EncodeError(
                "build() did not return the offset of a table it wrote",
                got=root,
                expected="what builder.EndObject() returned",
                next_step="return the root offset from build(), and leave Finish() to the map",
            )
        builder.Finish(root)
        return bytes(builder.Output())

    return encode
