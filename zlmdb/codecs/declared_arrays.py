# SPDX-License-Identifier: MIT
"""NumPy arrays whose dtype and shape the table declares: the elements alone are stored, in C order, little-endian.

``MapUuidNumpy[numpy.ndarray[tuple[int], numpy.dtype[numpy.float32]]]`` holds vectors of any length,
``tuple[int, Literal[3]]`` rows of three, ``tuple[Literal[768]]`` vectors of 768. Without a header a value is
written from the array's own memory, and read without a copy.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args, get_origin

from zlmdb.errors import DecodeError, WrongType, WrongValue

from .base import ValueCodec
from .optional import require

Shape = tuple[int | None, ...]
"""Sizes of the dimensions; the first may be None: any."""


def declared_array_codec(record: Any) -> ValueCodec[Any] | None:
    """Return the codec of arrays of the type ``record``, or None if it leaves dtype or shape open."""
    numpy = require("numpy", extra="numpy")
    if get_origin(record) is not numpy.ndarray:
        return None
    sizes, elements = get_args(record)
    shape, dtype = _shape(sizes), _dtype(numpy, elements)
    return None if shape is None or dtype is None else _codec(numpy, shape, dtype)


def _shape(sizes: Any) -> Shape | None:
    found: list[int | None] = []
    for size in get_args(sizes):
        literal = get_args(size) if get_origin(size) is Literal else ()
        if len(literal) == 1 and type(literal[0]) is int and literal[0] > 0:
            found.append(literal[0])
        elif size is int and not found:
            found.append(None)
        else:
            return None
    return tuple(found) or None


def _dtype(numpy: Any, elements: Any) -> Any:
    (scalar,) = get_args(elements) or (None,)
    try:
        dtype = numpy.dtype(scalar).newbyteorder("<")
    except (TypeError, ValueError):  # abstract: numpy.floating …
        return None
    return dtype if isinstance(scalar, type) and dtype.kind in "biufc" else None


def _codec(numpy: Any, shape: Shape, dtype: Any) -> ValueCodec[Any]:
    first, tail, rank = shape[0], tuple(size for size in shape[1:] if size is not None), len(shape)
    row = math.prod(tail) * dtype.itemsize  # bytes
    described = f"{dtype.str}:{','.join('n' if size is None else str(size) for size in shape)}"
    expected = f"a numpy.ndarray of {dtype.name} and shape ({described.partition(':')[2]})"
    whole = -1 if first is None else first

    def encode(value: Any) -> Any:  # a view: the map stores it, or copies it, before it returns
        if not isinstance(value, numpy.ndarray) or isinstance(value, numpy.ma.MaskedArray) or value.dtype != dtype:
            raise WrongType(f"this is no array of {dtype.name}", got=value, expected=expected)
        if value.ndim != rank or value.shape[1:] != tail or whole not in (-1, value.shape[0]):
            raise WrongValue(f"the array has the shape {value.shape}", got=value, expected=expected)
        if not value.size:
            return b""
        return numpy.ascontiguousarray(value, dtype).reshape(-1).view("u1").data

    def decode(data: bytes | memoryview) -> Any:
        if len(data) % row or (first is not None and len(data) != first * row):
            raise DecodeError("a stored array has another length than its shape", got=len(data), expected=expected)
        array = numpy.frombuffer(data, dtype)
        if data.__class__ is not bytes:
            array.flags.writeable = False
        return array.reshape(whole, *tail) if tail else array

    return ValueCodec(f"Numpy[{described}]", encode, decode, views=True)
