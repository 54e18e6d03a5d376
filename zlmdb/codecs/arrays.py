# SPDX-License-Identifier: MIT
"""NumPy arrays as values: dtype and shape in a small header, then the elements in C order.

Layout, integers big-endian: ``01`` version, u8 number of dimensions, u16 length of the dtype's description,
u64 for each dimension, the description (UTF-8), NULs up to a multiple of 16, the elements.
The description is ``dtype.str``, or the literal form of ``numpy.lib.format`` for structured types.
"""

from __future__ import annotations

import ast
import math
import struct
from functools import lru_cache
from typing import Any, Final

from zlmdb.errors import DecodeError, WrongType

from .base import ValueCodec
from .optional import require

_VERSION: Final = 1
_ALIGNMENT: Final = 16
_HEAD: Final = struct.Struct(">BBH")
_EXPECTED: Final = "a numpy.ndarray of plain elements (no objects, no mask)"


def array_codec() -> ValueCodec[Any]:
    """Build the codec of arrays; imports NumPy (`MissingDependency` if absent).

    ``decode`` gives a read-only array over the bytes that were read, without copying them again: it stays valid,
    and ``array.copy()`` can be written to. Given a memoryview, it looks into that, and is valid only as long.
    """
    numpy = require("numpy", extra="numpy")

    def encode(value: Any) -> bytes:
        if not isinstance(value, numpy.ndarray) or isinstance(value, numpy.ma.MaskedArray):
            raise WrongType(
                f"a {type(value).__name__} is no array", got=value, expected=_EXPECTED, next_step="numpy.asarray(…)"
            )
        array = numpy.asarray(value, order="C")
        head = _header(array.dtype, array.shape)
        if not array.nbytes:
            return head
        # datetime64 and others offer no buffer of their own type; bytes always do
        return b"".join((head, array.reshape(-1).view("u1").data))

    def decode(data: bytes | memoryview) -> Any:
        dtype, shape, start = _parse_header(data)
        if len(data) - start != math.prod(shape) * dtype.itemsize:
            raise _broken(data, "its length does not fit its shape")
        if len(data) == start:
            return numpy.zeros(shape, dtype)
        array = numpy.ndarray(shape, dtype, buffer=data, offset=start)
        if data.__class__ is not bytes:
            array.flags.writeable = False
        return array

    return ValueCodec("Numpy", encode, decode, views=True)


def _broken(data: bytes | memoryview, why: str) -> DecodeError:
    return DecodeError(f"a stored array cannot be read: {why}", got=bytes(data[:256]), expected="a Numpy value")


@lru_cache(maxsize=256)
def _describe(dtype: Any) -> bytes:
    """Return the description of a dtype; raise `WrongType` if the dtype cannot be told from it."""
    fmt = require("numpy.lib.format", extra="numpy")
    text = dtype.str if dtype.names is None else repr(fmt.dtype_to_descr(dtype))
    try:
        description = text.encode()
        if not dtype.hasobject and len(description) <= 0xFFFF and _dtype(description) == dtype:
            return description
    except (DecodeError, UnicodeEncodeError):
        pass
    raise WrongType("elements of this dtype cannot be stored", got=dtype, expected=_EXPECTED)


@lru_cache(maxsize=256)
def _dtype(description: bytes) -> Any:
    fmt = require("numpy.lib.format", extra="numpy")
    try:
        text = description.decode()
        dtype = fmt.descr_to_dtype(ast.literal_eval(text) if text.startswith("[") else text)
    except Exception as error:  # NumPy raises many kinds of error on a text that describes no dtype
        raise DecodeError("a stored array has no readable dtype", got=description, expected="a dtype") from error
    if dtype.hasobject:
        raise DecodeError("a stored array claims to hold objects", got=description, expected="plain elements")
    return dtype


@lru_cache(maxsize=1024)
def _header(dtype: Any, shape: tuple[int, ...]) -> bytes:
    description = _describe(dtype)
    head = _HEAD.pack(_VERSION, len(shape), len(description)) + struct.pack(f">{len(shape)}Q", *shape) + description
    return head + bytes(-len(head) % _ALIGNMENT)


def _parse_header(data: bytes | memoryview) -> tuple[Any, tuple[int, ...], int]:
    """Return dtype, shape and where the elements begin."""
    if len(data) < _HEAD.size:
        raise _broken(data, "it is too short")
    version, dimensions, length = _HEAD.unpack_from(data)
    described = _HEAD.size + 8 * dimensions
    start = described + length
    start += -start % _ALIGNMENT
    if version != _VERSION or len(data) < start or dimensions > 32:
        raise _broken(data, "its header is damaged")
    shape = struct.unpack_from(f">{dimensions}Q", data, _HEAD.size)
    dtype = _dtype(bytes(data[described : described + length]))
    if bytes(data[:start]) != _header_or_none(dtype, shape):
        raise _broken(data, "its header is not one that is written")
    return dtype, shape, start


def _header_or_none(dtype: Any, shape: tuple[int, ...]) -> bytes | None:
    # NumPy refuses such shapes even where a dimension of zero leaves no elements
    if math.prod(max(size, 1) for size in shape) * max(dtype.itemsize, 1) >= 1 << 63:
        return None
    try:
        return _header(dtype, shape)
    except WrongType:
        return None
