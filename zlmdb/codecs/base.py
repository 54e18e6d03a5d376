# SPDX-License-Identifier: MIT
"""What a codec is: a named pair of functions between Python values and bytes.

A codec is a record of plain functions and not a class with methods, because maps bind these functions
once and then call them for each record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


MARK: Final = 0xD8
"""The byte before the tags of CBOR; see `ValueCodec.plainly`."""


class Layout(Enum):
    """Where the byte layout of a key kind comes from (DESIGN: Key layouts)."""

    KEPT = "kept"  # byte for byte what existing files hold
    UPGRADED = "upgraded"  # existing files hold another layout, which did not sort or could not be read
    NEW = "new"  # no published name


@dataclass(frozen=True, slots=True)
class KeyCodec(Generic[K]):
    """Order-preserving: for all accepted keys ``a < b`` exactly when ``encode(a) < encode(b)``.

    ``encode`` raises `WrongType` or `WrongValue` (without ``where``: the map adds it); ``decode`` raises
    `DecodeError` on anything that ``encode`` cannot have produced, except where a published layout holds
    more (timestamps before 1970 are readable).
    """

    name: str
    encode: Callable[[K], bytes]
    decode: Callable[[bytes], K]
    decode_many: Callable[[Sequence[bytes]], list[K]]
    encode_prefix: Callable[[Any], bytes]
    """Bytes that begin every key starting with the given leading part(s): for a single string or bytes key
    a leading piece of it, for a tuple a leading tuple of parts (whole parts, but the key's last component
    may be a leading piece)."""
    size: int | None = None
    """Bytes of each key, or None if it varies."""
    decode_few: Callable[[Sequence[bytes]], list[K]] | None = None
    """As ``decode_many``, but of raw keys, with two bytes of the slot before each: for kinds of which a few are read
    often."""
    parts: tuple[KeyCodec[Any], ...] = ()
    """The components of a tuple key, in order; empty for a single key."""
    new_key: Callable[[], K] | None = None
    """Make a fresh key (random, or the present time), where the kind allows."""
    layout: Layout = Layout.KEPT


@dataclass(frozen=True, slots=True)
class ValueCodec(Generic[V]):
    """``decode(encode(value)) == value``; both raise as a `KeyCodec` does.

    ``encode`` may return a memoryview into the value, to be stored at once.
    """

    name: str
    encode: Callable[[V], bytes]
    decode: Callable[[bytes], V]
    views: bool = False
    """``decode`` also takes a memoryview, and may return views into it."""
    verify: Callable[[bytes], object] | None = None
    """Raise `DecodeError` for bytes that ``decode`` reads in part only; None where it reads all of them."""
    plainly: Callable[[bytes], V] | None = None
    """What ``decode`` calls for bytes among which there is no `MARK`, if it does no more: a call less for each record.
    It raises what it likes."""
    filled: tuple[Callable[[bytes], Any], type, int, Callable[[Any], Any], Callable[[Any, Any], None]] | None = None
    """What ``decode`` does for such bytes otherwise, for those who do it without a call: load a dict, and if it has the
    ``size`` fields of the class (`has_all` raises if not), put it into a new instance (`set_dict`)."""
