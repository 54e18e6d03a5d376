# SPDX-License-Identifier: MIT
"""Compression of values: no header and no mark, so the table's declaration must say it (FORMAT.md section 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zlmdb.errors import DecodeError, WrongValue

from .base import ValueCodec
from .optional import require

_MODES: Final = {None: None, 0: None, 1: "zlib", "zlib": "zlib", 2: "snappy", "snappy": "snappy"}


def compression_mode(compress: object) -> str | None:
    """Return ``"zlib"``, ``"snappy"`` or None for what a table may give as ``compress=``; raise `WrongValue`."""
    if compress is not True and isinstance(compress, (int, str, type(None))) and compress in _MODES:
        return _MODES[compress]
    raise WrongValue("there is no such compression", got=compress, expected='None, 1 or "zlib", 2 or "snappy"')


def compressed(codec: ValueCodec[Any], compress: object) -> ValueCodec[Any]:
    """Wrap a codec so that its bytes are stored compressed; return it as it is for no compression."""
    mode = compression_mode(compress)
    if mode is None:
        return codec
    squeeze, expand = _zlib() if mode == "zlib" else _snappy()
    inner_encode, inner_decode = codec.encode, codec.decode

    def encode(value: Any) -> bytes:
        return squeeze(inner_encode(value))

    def decode(data: bytes) -> Any:
        return inner_decode(expand(data))

    inner_verify = codec.verify
    verify = None if inner_verify is None else (lambda data: inner_verify(expand(data)))
    return ValueCodec(f"{codec.name}+{mode}", encode, decode, verify=verify)


_Functions = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


def _damaged(mode: str, data: bytes) -> DecodeError:
    return DecodeError(
        "the compressed value is damaged, or was stored without compression",
        got=bytes(data),
        expected=f"one whole {mode} stream",
        next_step="declare the table with the compression it was written with",
    )


def _zlib() -> _Functions:
    import zlib

    def expand(data: bytes) -> bytes:
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(data)
        except zlib.error as error:
            raise _damaged("zlib", data) from error
        if not stream.eof or stream.unused_data:
            raise _damaged("zlib", data)
        return plain

    return zlib.compress, expand


def _snappy() -> _Functions:
    snappy = require("snappy", package="python-snappy")

    def expand(data: bytes) -> bytes:
        try:
            return bytes(snappy.decompress(bytes(data)))
        except Exception as error:  # what it raises differs between python-snappy's releases
            raise _damaged("snappy", data) from error

    return lambda data: bytes(snappy.compress(data)), expand
