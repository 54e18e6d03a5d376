# SPDX-License-Identifier: MIT
"""Values stored as FlatBuffers: the codec, and all names needed to declare flat records.

A value is a plain finished buffer, without file identifier and size prefix (FORMAT.md section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from zlmdb.codecs.base import ValueCodec
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
    Builder,
    Kind,
)
from zlmdb.codecs.flatrecord import Field, FlatRecord, flat
from zlmdb.codecs.optional import require
from zlmdb.errors import DecodeError, EncodeError, ZlmdbError

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
    "Field",
    "FlatRecord",
    "Kind",
    "flat",
    "flatbuffers_codec",
]

V = TypeVar("V")


def flatbuffers_codec(build: Callable[[V, Builder], int], cast: Callable[[Any], V]) -> ValueCodec[V]:
    """Return a codec of values that write themselves with a ``flatbuffers.Builder``.

    ``build(value, builder)`` returns the offset of the root table; its own errors pass through. ``cast(data)``
    gets bytes or a memoryview; what it raises becomes a `DecodeError`. Encoding needs the extra ``flatbuffers``
    and raises `MissingDependency` without it, and `EncodeError` when ``build`` returns no offset. Decoding a
    `FlatRecord` needs no other package.
    """

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
