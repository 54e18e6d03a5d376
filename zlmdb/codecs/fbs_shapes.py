# SPDX-License-Identifier: MIT
"""Enums and structs of a schema in Python, and where the fields of a table are."""

from __future__ import annotations

import keyword
import struct
from collections import namedtuple
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from enum import IntEnum, IntFlag
from typing import Any, Final

from zlmdb.codecs.fbs_model import Array, Enum, Field, Scalar, Struct, Type, inline_size
from zlmdb.codecs.fbs_vectors import Buffer
from zlmdb.codecs.flatkinds import check_integer
from zlmdb.errors import DataError, DecodeError, TableDeclaration, WrongType, WrongValue

_LAYOUTS: Final = 256  # kept for each table; a buffer can ask for any number of them
_FLOAT32: Final = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]

_u16: Final = struct.Struct("<H").unpack_from
_i32: Final = struct.Struct("<i").unpack_from

Check = Callable[[Any], Any]
"""Return what `struct` packs; raise `WrongType` or `WrongValue`."""
Take = Callable[[Iterator[Any]], Any]
"""Make one value of the next ones that `struct` unpacked."""


def python_name(name: str, taken: Container[str] = ()) -> str:
    """Return the name of a field as an attribute: with ``_`` behind what Python or a record uses itself."""
    return f"{name}_" if keyword.iskeyword(name) or name in taken else name


# --- scalars and enums -------------------------------------------------------------------------------


def scalar_check(scalar: Scalar) -> Check:
    """Return the check of the values of a scalar."""
    if scalar.code == "?":
        return _check_bool
    if scalar.high:
        return check_integer(scalar.low, scalar.high)
    return _check_float if scalar.code == "d" else _check_float32


def _check_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise WrongType("not a truth value", got=value, expected="bool")


def _check_float(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise WrongType("not a number", got=value, expected="float")


def _check_float32(value: object) -> float:
    number = _check_float(value)
    if abs(number) > _FLOAT32 and abs(number) != float("inf"):
        raise WrongValue("the number does not fit into 32 bits", got=value, expected=f"at most {_FLOAT32}")
    return number


def enum_class(enum: Enum, module: str) -> type[IntEnum | IntFlag]:
    """Make the Python class of an enum; `TableDeclaration` for names that Python's enums cannot have."""
    name = enum.name.rpartition(".")[2]
    base: Any = IntFlag if enum.flags else IntEnum
    try:
        made: type[IntEnum | IntFlag] = base(name, enum.values, module=module)
    except ValueError as error:
        raise TableDeclaration(f"not an enum in Python: {error}", where=enum.name, expected="other names") from error
    return made


def enum_maker(enum: Enum, made: type[IntEnum | IntFlag]) -> Callable[[int], int]:
    """Return what makes a member of an integer; numbers that newer schemas named stay integers."""
    if enum.flags and enum.values:  # Python makes no flags of a class that names none
        return made
    members = {int(member): member for member in made}
    return lambda value: members.get(value, value)


# --- structs -----------------------------------------------------------------------------------------


class StructShape:
    """The struct of a schema: a named tuple, with all that is in it read and written at once."""

    def __init__(self, declared: Struct, module: str, shapes: Mapping[Any, Any]) -> None:
        name = declared.name.rpartition(".")[2]
        names = [python_name(field.name) for field in declared.fields]
        try:
            # the fields are known at run time only
            made: Any = namedtuple(name, names, module=module)  # type: ignore[misc]  # noqa: PYI024
        except ValueError as error:
            raise TableDeclaration(f"not a struct in Python: {error}", where=name, expected="other names") from error
        self.record: type = made
        self.name = name
        self.names = names
        self.struct = struct.Struct(f"<{_code(declared)}")
        self.align = declared.align
        self.dtype = dtype_of(declared)
        self._takes = [_take(field.type, shapes) for field in declared.fields]
        self._flattens = [_flatten(field.type, shapes) for field in declared.fields]
        plain = all(isinstance(field.type, Scalar) for field in declared.fields)
        self.make: Callable[..., Any] = made if plain else self._make

    def _make(self, *values: Any) -> Any:
        return self.take(iter(values))

    def take(self, values: Iterator[Any]) -> Any:
        """Make one struct of the next values."""
        return self.record(*[take(values) for take in self._takes])

    def pack(self, value: Any) -> bytes:
        """Return a struct as it is stored; a mapping or a sequence of its fields will do."""
        values: list[Any] = []
        self.flatten(value, values)
        return self.struct.pack(*values)

    def flatten(self, value: Any, into: list[Any]) -> None:
        """Append the checked values of all fields."""
        if isinstance(value, Mapping) and value.keys() == set(self.names):
            value = [value[name] for name in self.names]
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != len(self.names):
            raise WrongType("not the fields of the struct", got=value, expected=", ".join(self.names))
        for name, flatten, item in zip(self.names, self._flattens, value, strict=True):
            try:
                flatten(item, into)
            except DataError as error:
                raise error.at(f"{self.name}.{name}")  # noqa: B904 - the same error, not another one


def _code(declared: Struct) -> str:
    code, end = "", 0
    for field in declared.fields:
        kind, count = (field.type.element, field.type.count) if isinstance(field.type, Array) else (field.type, 1)
        kind = kind.base if isinstance(kind, Enum) else kind
        one = _code(kind) if isinstance(kind, Struct) else getattr(kind, "code", "")
        code += f"{field.number - end}x{one * count}"
        end = field.number + inline_size(field.type)[0]
    return f"{code}{declared.size - end}x"


def dtype_of(kind: Type) -> Any:
    """Return NumPy's description of what stands in place."""
    if isinstance(kind, Array):
        return dtype_of(kind.element), (kind.count,)
    if isinstance(kind, Struct):
        return {
            "names": [field.name for field in kind.fields],
            "formats": [dtype_of(field.type) for field in kind.fields],
            "offsets": [field.number for field in kind.fields],
            "itemsize": kind.size,
        }
    scalar = kind.base if isinstance(kind, Enum) else kind
    assert isinstance(scalar, Scalar)
    return f"<{scalar.code}"


def _take(kind: Type, shapes: Mapping[Any, Any]) -> Take:
    if isinstance(kind, Array):
        one, count = _take(kind.element, shapes), kind.count
        return lambda values: tuple([one(values) for _ in range(count)])
    if isinstance(kind, Struct):
        take: Take = shapes[kind].take
        return take
    if isinstance(kind, Enum):
        make = enum_maker(kind, shapes[kind])
        return lambda values: make(next(values))
    return next


def _flatten(kind: Type, shapes: Mapping[Any, Any]) -> Callable[[Any, list[Any]], None]:
    if isinstance(kind, Struct):
        flatten: Callable[[Any, list[Any]], None] = shapes[kind].flatten
        return flatten
    if isinstance(kind, Array):
        return _flatten_array(_flatten(kind.element, shapes), kind.count)
    scalar = kind.base if isinstance(kind, Enum) else kind
    assert isinstance(scalar, Scalar)
    check = scalar_check(scalar)
    return lambda value, into: into.append(check(value))


def _flatten_array(one: Callable[[Any, list[Any]], None], count: int) -> Callable[[Any, list[Any]], None]:
    def flatten(value: Any, into: list[Any]) -> None:
        if not isinstance(value, Sequence) or len(value) != count:
            raise WrongValue("the array has another length", got=value, expected=f"{count} elements")
        for item in value:
            one(item, into)

    return flatten


# --- tables ------------------------------------------------------------------------------------------


class Places:
    """Finds the fields of the tables of one class, with a layout kept for each vtable seen.

    Any thread may use it: the kept layouts are immutable, and building one twice does no harm.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._sizes = [inline_size(field.type)[0] for field in fields]
        self._known = 4 + 2 * len(fields)  # bytes of a vtable of these fields
        self._layouts: dict[bytes, tuple[int, ...]] = {}
        self.heads: dict[bytes, tuple[int, ...]] = {}
        """What `find` gave for root tables, by all bytes up to their fields; usually they hold the vtable."""

    def find(self, data: Buffer, at: int) -> tuple[int, ...]:
        """Return where the fields of the table at ``at`` are (0: absent), and behind them where it begins and ends.

        All of them lie within the buffer. Raises `DecodeError` and `struct.error`.
        """
        vtable = at - _i32(data, at)[0]
        if vtable < 0:
            raise DecodeError("the vtable lies before the buffer", got=vtable, expected="a position in the buffer")
        (size,) = _u16(data, vtable)
        end = vtable + min(size, self._known)  # fields that a newer schema added are passed over
        key = bytes(data[vtable:end])
        layout = self._layouts.get(key)
        if layout is None:
            if size < 4 or size % 2 or end > len(data):
                raise DecodeError("not a vtable", got=f"a size of {size}", expected="an even size within the buffer")
            layout = self._keep(self._layouts, key, self._layout(key))
        places = *[place and at + place for place in layout[:-1]], at, at + layout[-1]
        if places[-1] > len(data):
            raise DecodeError("a table ends behind the buffer", got=places[-1], expected=f"{len(data)} or less")
        if at < 256 and end <= at + 4 and data[:4] == at.to_bytes(4, "little"):
            self._keep(self.heads, bytes(data[: at + 4]), places)
        return places

    def _layout(self, vtable: bytes) -> tuple[int, ...]:
        _, room, *places = struct.unpack(f"<{len(vtable) // 2}H", vtable)
        for place, size in zip(places, self._sizes, strict=False):
            if place and not 4 <= place <= room - size:
                raise DecodeError("a field lies outside its table", got=place, expected=f"4 to {room - size}")
        if room < 4:
            raise DecodeError("a table without room for its own beginning", got=room, expected="4 or more")
        return (*places, *[0] * (len(self._sizes) - len(places)), room)

    def _keep(self, where: dict[bytes, tuple[int, ...]], key: bytes, found: tuple[int, ...]) -> tuple[int, ...]:
        if len(where) >= _LAYOUTS:
            where.clear()
        where[key] = found
        return found
