# SPDX-License-Identifier: MIT
"""Timestamps: nanoseconds since 1970 as signed 64-bit big-endian integers (FORMAT.md section 2, "TSB").

Times from 1970 to 2262 are written, so that bytes sort as times do; what existing files hold from before
1970, and NaT, can be read. NumPy is imported when the first timestamp is decoded. Any thread may call.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

from zlmdb.errors import MissingDependency, WrongType, WrongValue

from .base import KeyCodec
from .optional import require
from .scalars import SAFETY_UNKNOWN, plain_int, set_uuid_int, set_uuid_is_safe, wrong_size

_LIMIT: Final = 1 << 63
_EXPECTED: Final = "a numpy.datetime64 or an int of nanoseconds since 1970"
_RANGE: Final = "a time from 1970 to 2262 (0 <= nanoseconds < 2**63)"
_int_from_bytes: Final = int.from_bytes

_numpy: Any = None  # the module, once a timestamp was decoded
_datetime64: Any = None  # its class of this name
_nanoseconds: Any = None  # the dtype datetime64[ns]


def _load_numpy() -> Any:
    global _numpy, _datetime64, _nanoseconds
    numpy = require("numpy", extra="numpy")
    _datetime64, _nanoseconds = numpy.datetime64, numpy.dtype("M8[ns]")
    _numpy = numpy
    return numpy


def timestamp_ns(value: object) -> int:
    """Return a numpy.datetime64 of any unit, or an int, as nanoseconds since 1970, exactly.

    Raises `WrongType` on anything else, `WrongValue` on NaT and on times that 64 bits of nanoseconds cannot hold.
    """
    if sys.modules.get("numpy") is not None:  # otherwise there can be no datetime64
        numpy = _numpy or _load_numpy()
        if isinstance(value, numpy.datetime64):
            return _datetime64_ns(numpy, value)
    try:
        return plain_int(value, _EXPECTED)
    except WrongType as error:
        error.what = f"a {type(value).__name__} is no Timestamp"
        raise


def _datetime64_ns(numpy: Any, value: Any) -> int:
    if value.dtype == _nanoseconds:
        try:
            return int(value)
        except TypeError:  # NaT; numpy.isnat would cost every other time more than the rest together
            pass
    if numpy.isnat(value):
        raise WrongValue("NaT is no time that could be stored", got=value, expected=_RANGE)
    try:
        converted = value.astype(_nanoseconds)
        if converted.astype(value.dtype) == value:  # NumPy wraps around on overflow and cuts finer units
            return int(converted)
    except OverflowError:
        pass
    raise WrongValue("the time cannot be stored exactly in nanoseconds", got=value, expected=_RANGE)


def _encode(key: Any) -> bytes:
    if type(key) is int:
        ns = key
    else:
        try:  # the commonest case without a further call
            ns = int(key) if type(key) is _datetime64 and key.dtype == _nanoseconds else timestamp_ns(key)
        except TypeError:  # NaT is no integer
            ns = timestamp_ns(key)
    if 0 <= ns < _LIMIT:
        return ns.to_bytes(8, "big")
    raise WrongValue("the time lies outside what can be stored in order", got=key, expected=_RANGE)


def _decode(data: bytes) -> Any:
    if len(data) != 8:
        raise wrong_size("Timestamp", data, "8 bytes")
    return (_numpy or _load_numpy()).datetime64(_int_from_bytes(data, "big", signed=True), "ns")


def _decode_many(rows: Sequence[bytes]) -> list[Any]:
    for data in rows:
        if len(data) != 8:
            raise wrong_size("Timestamp", data, "8 bytes")
    numpy = _numpy or _load_numpy()
    return list(numpy.frombuffer(b"".join(rows), ">i8").astype(_nanoseconds))


def timestamped_uuids(raws: Sequence[bytes]) -> list[tuple[Any, uuid.UUID]]:
    """Decode a few keys of timestamp and UUID behind the slot's two bytes, all in one loop: the keys of event logs."""
    datetime64, new, found = (_numpy or _load_numpy()).datetime64, object.__new__, []
    for raw in raws:
        if len(raw) != 26:
            raise wrong_size("TimestampUuid", raw[2:], "24 bytes")
        key = new(uuid.UUID)
        set_uuid_int(key, _int_from_bytes(raw[10:], "big"))
        set_uuid_is_safe(key, SAFETY_UNKNOWN)
        found.append((datetime64(_int_from_bytes(raw[2:10], "big", signed=True), "ns"), key))
    return found


def _new_key() -> Any:
    now = time.time_ns()
    try:
        return (_numpy or _load_numpy()).datetime64(now, "ns")
    except MissingDependency:
        return now


TIMESTAMP: Final[KeyCodec[Any]] = KeyCodec(  # Any: NumPy, whose datetime64 is returned, is optional
    "Timestamp", _encode, _decode, _decode_many, _encode, size=8, new_key=_new_key
)
