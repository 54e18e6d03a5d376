# SPDX-License-Identifier: MIT
"""The old layouts of upgraded key kinds, as existing files hold them, and the way from their bytes to the new ones.

Bytes are moved, not decoded and encoded again: so times before 1970, which can be read and not written, come over too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from .base import KeyCodec, Layout
from .composite import Ending, Part, tuple_codec
from .published import acceptance
from .scalars import OID, STRING, UINT16, UINT64, UUID
from .timestamps import TIMESTAMP

# FORMAT.md section 2: "native order", which LMDB's own magic number ties to the machine
_ORDER: Final = -1 if sys.byteorder == "little" else 1


@dataclass(frozen=True, slots=True)
class OldKeys:
    """The old layout of a key kind."""

    codec: KeyCodec[Any]
    _check: Callable[[bytes], object]
    _move: Callable[[bytes], bytes]

    def renew(self, raw: bytes) -> bytes:
        """Return a raw key (without the slot) in the new layout; raise `DecodeError` if it is no key of this kind."""
        self._check(raw)
        return self._move(raw)


_ANY_TIME: Final = replace(UINT64, name=TIMESTAMP.name)  # reading a time takes NumPy, and all eight bytes are one


def _time_at_8(raw: bytes) -> bytes:
    return raw[:8] + raw[8:16][::_ORDER] + raw[16:]


def _number_at_0(raw: bytes) -> bytes:
    return raw[:2][::_ORDER] + raw[2:]


def _end_string(raw: bytes) -> bytes:
    return raw[:-8].replace(b"\0", b"\0\xff") + b"\0\1" + raw[-8:]


def _native(codec: KeyCodec[Any]) -> KeyCodec[Any]:
    def encode(key: Any) -> bytes:
        return codec.encode(key)[::_ORDER]

    return KeyCodec(
        codec.name,
        encode,
        lambda data: codec.decode(data[::_ORDER]),
        lambda rows: codec.decode_many([data[::_ORDER] for data in rows]),
        encode,
        size=codec.size,
        new_key=codec.new_key,
    )


_LAYOUTS: Final[dict[str, tuple[tuple[KeyCodec[Any], ...], Callable[[bytes], bytes]]]] = {
    "OidTimestamp": ((OID, _native(TIMESTAMP)), _time_at_8),
    "OidTimestampString": ((OID, _native(TIMESTAMP), STRING), _time_at_8),
    "StringOid": ((STRING, UINT64), _end_string),
    "StringTimestamp": ((STRING, TIMESTAMP), _end_string),
    "Uint16UuidTimestamp": ((_native(UINT16), UUID, TIMESTAMP), _number_at_0),
}


def old_keys(name: str) -> OldKeys | None:
    """Return the old layout of an upgraded key kind; None for all other kinds."""
    if name not in _LAYOUTS:
        return None
    codecs, move = _LAYOUTS[name]
    parts = [Part(codec, Ending.NONE, acceptance(name, codec)) for codec in codecs]
    plain = [Part(_ANY_TIME if codec.name == TIMESTAMP.name else codec, Ending.NONE) for codec in codecs]
    return OldKeys(tuple_codec(name, parts, Layout.KEPT), tuple_codec(name, plain, Layout.KEPT).decode, move)


def legacy_key_codec(name: str) -> KeyCodec[Any] | None:
    """Return the codec of the layout in which existing files hold an upgraded kind; None for all other kinds.

    It is for reading such files (and making them in tests): these bytes do not sort as the keys do, and
    ``encode_prefix`` is exact only for whole leading parts of fixed size.
    """
    old = old_keys(name)
    return old.codec if old else None
