# SPDX-License-Identifier: MIT
"""What a FlatBuffers schema declares: plain descriptions of tables, structs, enums and unions.

The parser of ``.fbs`` text and the reader of compiled schemas both make these; records are made from them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number or truth value of fixed width."""

    name: str
    code: str
    """Its `struct` code; little-endian, it is NumPy's code as well."""
    low: int = 0
    high: int = 0
    """The least and greatest integer; both 0 for what is no integer."""

    @property
    def size(self) -> int:
        """Bytes of one value, and what it is aligned to."""
        return struct.calcsize(f"<{self.code}")


def _integer(name: str, code: str) -> Scalar:
    bits = 8 * struct.calcsize(f"<{code}")
    return (
        Scalar(name, code, 0, 2**bits - 1)
        if code.isupper()
        else Scalar(name, code, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )


BOOL: Final = Scalar("bool", "?")
INTEGERS: Final = tuple(
    _integer(name, code)
    for name, code in zip("byte ubyte short ushort int uint long ulong".split(), "bBhHiIqQ", strict=True)
)
FLOATS: Final = (Scalar("float", "f"), Scalar("double", "d"))
SCALARS: Final = {scalar.name: scalar for scalar in (BOOL, *INTEGERS, *FLOATS)} | dict(
    zip("int8 uint8 int16 uint16 int32 uint32 int64 uint64 float32 float64".split(), INTEGERS + FLOATS, strict=True)
)
"""Scalars by all names that a schema may use."""
UBYTE: Final = SCALARS["ubyte"]


@dataclass(frozen=True, slots=True)
class String:
    """Text in UTF-8."""


STRING: Final = String()


@dataclass(frozen=True, slots=True)
class Vector:
    """Any number of elements, apart from the table."""

    element: Type


@dataclass(frozen=True, slots=True)
class Array:
    """A fixed number of elements, inside a struct."""

    element: Type
    count: int


@dataclass(eq=False, slots=True)
class Enum:
    """Names of integers."""

    name: str
    base: Scalar
    values: dict[str, int] = field(default_factory=dict)
    flags: bool = False
    """Whether values may be combined."""


@dataclass(eq=False, slots=True)
class Union:
    """One of several types. Its kind is stored as a number; 0 means none of them."""

    name: str
    members: dict[str, tuple[int, Type]] = field(default_factory=dict)
    _kinds: Enum | None = None

    @property
    def kinds(self) -> Enum:
        """The enum of its kinds; to be asked for when all members are known."""
        if self._kinds is None:
            numbers = {name: number for name, (number, _) in self.members.items()}
            self._kinds = Enum(self.name, UBYTE, {"NONE": 0, **numbers})
        return self._kinds


@dataclass(eq=False, slots=True)
class Struct:
    """Fixed fields stored in place. The number of a field is its distance from the beginning, in bytes."""

    name: str
    fields: list[Field] = field(default_factory=list)
    size: int = 0
    align: int = 1


@dataclass(eq=False, slots=True)
class Table:
    """Optional fields found through a vtable."""

    name: str
    fields: list[Field] = field(default_factory=list)


Type: TypeAlias = Scalar | String | Vector | Array | Enum | Union | Struct | Table


@dataclass(eq=False, slots=True)
class Field:
    """A field of a table or a struct."""

    name: str
    type: Type
    number: int
    default: Any = None
    """What an absent field reads as; None for what has no default."""
    required: bool = False
    deprecated: bool = False
    kind_of: str = ""
    """The name of the union field whose kind this field holds."""


@dataclass(eq=False, slots=True)
class Document:
    """All that a schema file and the files it includes declare, by full name."""

    types: dict[str, Enum | Union | Struct | Table] = field(default_factory=dict)
    root: Table | None = None
    file_identifier: bytes = b""


def inline_size(kind: Type) -> tuple[int, int]:
    """Return the size and the alignment, in bytes, of what a table or a struct holds in place of this type."""
    if isinstance(kind, Enum):
        kind = kind.base
    if isinstance(kind, Scalar):
        return kind.size, kind.size
    if isinstance(kind, Struct):
        return kind.size, kind.align
    if isinstance(kind, Array):
        size, align = inline_size(kind.element)
        return size * kind.count, align
    return 4, 4
