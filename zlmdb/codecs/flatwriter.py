# SPDX-License-Identifier: MIT
"""Write FlatBuffers from the end to the beginning: the bytes that the stock ``flatbuffers.Builder`` writes.

What the stock builder finds out field by field is planned once for each set of stored fields: the format of
the whole table, and its vtable. Offsets are counted from the end of the buffer, as the stock builder does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from zlmdb.errors import WrongValue

_PLANS: Final = 1024  # kept for each record class; records with many optional fields could make any number
_LARGEST: Final = 2**31 - 1  # bytes of a buffer, as offsets are signed in places

_u32: Final = struct.Struct("<I").pack
_ZEROS: Final = tuple(map(bytes, range(17)))


Builder: TypeAlias = Any
"""A ``flatbuffers.Builder``; that package has no type information."""


class Slot(NamedTuple):
    """What a table holds for one field: a value in place, or the offset of something written before."""

    number: int
    code: str
    """The `struct` code; offsets have ``I``."""
    size: int
    align: int
    offset: bool


class _Plan(NamedTuple):
    """How a table with one set of stored fields is written at one alignment of the buffer."""

    pack: Callable[..., bytes]
    vtable: bytes
    offsets: tuple[tuple[int, int], ...]  # which values are offsets, and where they stand
    size: int  # bytes of the table, with the padding behind it
    align: int


class Plans:
    """The plans of one record class. Any thread may use it: building a plan twice does no harm."""

    __slots__ = ("_mask", "_plans", "_slots")

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = {slot.number: slot for slot in slots}
        self._mask = max([4, *(slot.align for slot in slots)]) - 1
        self._plans: dict[tuple[tuple[int, ...], int], _Plan] = {}

    def plan(self, stored: tuple[int, ...], size: int) -> _Plan:
        """Return the plan of a table of these fields, in the order they are placed, behind ``size`` bytes."""
        key = stored, size & self._mask
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            found = self._plans[key] = self._make(*key)
        return found

    def _make(self, stored: tuple[int, ...], start: int) -> _Plan:
        end, layout, ends, align = start, "", {}, 4
        for slot in map(self._slots.__getitem__, stored):
            gap = -end % slot.align
            end += gap + slot.size
            layout = f"{slot.code}{gap}x{layout}"
            ends[slot.number] = end
            align = max(align, slot.align)
        gap = -end % 4
        end += gap + 4  # the offset of the vtable comes first
        places = [end - ends[number] if number in ends else 0 for number in range(max(ends, default=-1) + 1)]
        return _Plan(
            struct.Struct(f"<i{gap}x{layout}").pack,
            struct.pack(f"<{len(places) + 2}H", 4 + 2 * len(places), end - start, *places),
            tuple((at, ends[number] - start) for at, number in enumerate(stored) if self._slots[number].offset),
            end - start,
            align,
        )


class Writer:
    """One buffer in the making; of no use after `finish` or `embed`. One thread at a time."""

    __slots__ = ("_align", "_parts", "_vtables", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # the last in the buffer comes first
        self._vtables: dict[bytes, int] = {}
        self._align = 4
        self.size = 0
        """Bytes written: what is written next ends so far from the end."""

    def string(self, content: bytes) -> int:
        """Write a byte vector with one uncounted NUL behind it, and return its offset."""
        length = len(content)
        gap = -(self.size + length + 1) % 4
        self._parts.append(_u32(length) + content + _ZEROS[gap + 1])
        self.size = size = self.size + length + gap + 5
        return size

    def vector(self, content: bytes, count: int, align: int) -> int:
        """Write a vector of elements that are packed already, and return its offset."""
        align = max(align, 4)
        gap = -(self.size + len(content)) % align
        self._align = max(self._align, align)
        self._parts.append(_u32(count) + content + _ZEROS[gap])
        self.size += len(content) + gap + 4
        return self.size

    def offsets(self, targets: Sequence[int]) -> int:
        """Write a vector of offsets of what was written before, and return its own."""
        count = len(targets)
        end = self.size + -self.size % 4 + 4 * count
        relative = [end - 4 * at - target for at, target in enumerate(targets)]
        return self.vector(struct.pack(f"<{count}I", *relative), count, 4)

    def inline(self, content: bytes, align: int) -> int:
        """Write something that is no vector and no table (a struct in a union), and return its offset."""
        gap = -(self.size + len(content)) % align
        self._align = max(self._align, align)
        self._parts.append(content + _ZEROS[gap])
        self.size += len(content) + gap
        return self.size

    def table(self, plans: Plans, stored: list[int], values: list[Any]) -> int:
        """Write a table and return its offset; ``values`` of offset fields are what other methods returned."""
        size = self.size
        plan = plans.plan(tuple(stored), size)
        for at, place in plan.offsets:
            values[at] = size + place - values[at]
        values.reverse()
        root = size + plan.size
        known = self._vtables.get(plan.vtable)
        if known is None:
            self._parts.append(plan.pack(len(plan.vtable), *values))
            self._parts.append(plan.vtable)
            self.size = self._vtables[plan.vtable] = root + len(plan.vtable)
        else:
            self._parts.append(plan.pack(known - root, *values))
            self.size = root
        if plan.align > self._align:
            self._align = plan.align
        return root

    def finish(self, root: int, identifier: bytes = b"") -> bytes:
        """Return the finished buffer of this root table; `WrongValue` from 2 GiB on."""
        head = 4 + len(identifier)
        gap = -(self.size + head) % self._align
        if self.size + head + gap > _LARGEST:
            raise WrongValue("the record is too large for a FlatBuffer", got=self.size, expected=f"{_LARGEST} bytes")
        self._parts.append(_u32(self.size + head + gap - root) + identifier + _ZEROS[gap])
        self._parts.reverse()
        return b"".join(self._parts)

    def embed(self, builder: Builder, root: int) -> int:
        """Append all to a stock builder, and return the offset of the root table there."""
        builder.assertNotNested()
        self._parts.reverse()
        content = b"".join(self._parts)
        builder.Prep(self._align, 0)
        before: int = builder.Offset()
        builder.Prep(1, len(content))
        end = builder.head
        builder.head = end - len(content)
        builder.Bytes[builder.head : end] = content
        return before + root
