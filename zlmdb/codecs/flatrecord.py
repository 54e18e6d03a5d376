# SPDX-License-Identifier: MIT
"""Records stored as FlatBuffers tables, declared as dataclasses.

Each field states its FlatBuffers type; writing and reading are derived from that, without generated code.
Reading unpacks all scalars and offsets of a table in one step, with a layout kept for each vtable seen.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from operator import itemgetter
from typing import Any, ClassVar, Final, NamedTuple, Self, TypeVar, dataclass_transform, overload

from zlmdb.codecs.flatkinds import Kind
from zlmdb.codecs.flatwriter import Builder, Plans, Slot, Writer
from zlmdb.errors import DataError, DecodeError, TableDeclaration

T = TypeVar("T")
D = TypeVar("D")

_KIND: Final = "zlmdb.kind"  # key in the metadata of a dataclass field
_LAYOUTS: Final = 256  # kept for each class; a buffer can ask for any number of them

_u32: Final = struct.Struct("<I").unpack_from
_i32: Final = struct.Struct("<i").unpack_from
_u16: Final = struct.Struct("<H").unpack_from


@overload
def flat(kind: Kind[T], *, shown: bool = True) -> T: ...
@overload
def flat(kind: Kind[T], *, default: D, shown: bool = True) -> T | D: ...
def flat(kind: Kind[Any], *, default: object = dataclasses.MISSING, shown: bool = True) -> Any:
    """Declare a field of a `FlatRecord`.

    ``default`` is what the field reads as when it is not stored, in place of the kind's own. It must be falsy,
    as falsy values are never stored. ``shown=False`` keeps secrets out of the record's ``repr``.
    Raises `TableDeclaration`.
    """
    default = kind.unset if default is dataclasses.MISSING else default
    if default:
        raise TableDeclaration(
            "falsy values are not stored, so they could not be told from this default",
            got=default,
            expected="a falsy default",
        )
    return dataclasses.field(default=default, repr=shown, metadata={_KIND: kind})


class Field(NamedTuple):
    """One field of a table: its number is its place among the fields, counted from 0."""

    name: str
    kind: Kind[Any]
    unset: Any


class _Layout(NamedTuple):
    """Where the fields of all tables with one and the same vtable are."""

    unpack: Callable[[bytes, int], tuple[Any, ...]]
    names: tuple[str, ...]  # of what unpack gives
    vectors: tuple[tuple[str, int, Callable[[bytes, int], Any]], ...]  # name, place in the table, how to read it
    blanks: tuple[str, ...]  # scalars that read as None when 0 is stored


@dataclass_transform(kw_only_default=True)
class FlatRecord:
    """A record that is stored as one FlatBuffers table; a subclass is a dataclass with `flat` fields.

    ::

        class Person(FlatRecord):
            oid: UUID | None = flat(UUID_BYTES)
            born: int | None = flat(TIMESTAMP)
            name: str | None = flat(STRING)

        @table("9e5a…")
        class People(MapUuidFlatBuffers[Person]): ...

    Fields are numbered in the order of their declaration, so new ones go to the end and none is ever removed.
    None, 0, False and empty strings, vectors and documents are not stored: they read back as the field's default.
    Records are mutable, compare by value, and are not tied to the buffer they were read from.
    A subclass with a field that `flat` did not make raises `TableDeclaration`.
    """

    _fields: ClassVar[tuple[Field, ...]]
    _columns: ClassVar[tuple[tuple[int, str, Kind[Any]], ...]]
    _plans: ClassVar[Plans]
    _reader: ClassVar[_Reader]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(kw_only=True)(cls)
        cls._fields = tuple(_field(cls, field) for field in dataclasses.fields(cls))  # type: ignore[arg-type]
        cls._columns = tuple((number, field.name, field.kind) for number, field in enumerate(cls._fields))
        cls._plans = Plans([_slot(number, kind) for number, _, kind in cls._columns])
        cls._reader = _Reader(cls.__name__, cls._fields)

    def build(self, builder: Builder) -> int:
        """Append this record to a ``flatbuffers.Builder`` and return the offset of its table.

        For records inside larger buffers; a map writes its records itself, to the same bytes, and faster.
        Raises `WrongType` or `WrongValue`; the builder is then as it was.
        """
        writer = Writer()
        return writer.embed(builder, self._write(writer))

    def __bytes__(self) -> bytes:
        """Return this record as a finished buffer; raises `WrongType` or `WrongValue`."""
        writer = Writer()
        return writer.finish(self._write(writer))

    def _write(self, writer: Writer) -> int:
        """Write vectors first, then the table, each in the order of the fields, as existing files have them."""
        state = self.__dict__
        stored: list[int] = []
        values: list[Any] = []
        for number, name, kind in self._columns:
            value = state.get(name)
            if value is None:
                continue
            try:
                value = kind.check(value)
            except DataError as error:
                raise error.at(f"{type(self).__name__}.{name}")  # noqa: B904 - the same error, not another one
            if value:
                stored.append(number)
                values.append(kind.write(writer, value) if kind.write else value)
        return writer.table(self._plans, stored, values)

    @classmethod
    def cast(cls, data: bytes | bytearray | memoryview) -> Self:
        """Read a record from a finished buffer; every read stays within the buffer.

        Raises `DecodeError` for whatever is not a well-formed table of these fields.
        """
        record = cls.__new__(cls)
        record.__dict__ = cls._reader.read(data)
        return record

    @classmethod
    def flat_fields(cls) -> tuple[Field, ...]:
        """Return the fields in the order of their numbers."""
        return cls._fields


def _field(record: type, field: dataclasses.Field[Any]) -> Field:
    kind = field.metadata.get(_KIND)
    if kind is None:
        raise TableDeclaration(
            "a field of a flat record has no FlatBuffers type",
            where=f"{record.__name__}.{field.name}",
            got=field.type,
            expected="a default made by flat()",
            next_step=f"write {field.name} = flat(STRING), or another kind",
        )
    return Field(field.name, kind, field.default)


def _slot(number: int, kind: Kind[Any]) -> Slot:
    size = struct.calcsize("<" + kind.code)
    return Slot(number, kind.code, size, size, kind.write is not None)


class _Reader:
    """Reads the tables of one record class into dictionaries of field values.

    Any thread may use it: the kept layouts are immutable, and building one twice does no harm.
    """

    def __init__(self, name: str, fields: tuple[Field, ...]) -> None:
        self._name = name
        self._fields = fields
        self._unset = {field.name: field.unset for field in fields}
        self._known = 4 + 2 * len(fields)  # bytes of a vtable of these fields
        self._layouts: dict[bytes, _Layout] = {}

    def read(self, data: bytes | bytearray | memoryview) -> dict[str, Any]:
        name = "the table"
        if type(data) is not bytes:
            data = self._bytes(data)
        try:
            (root,) = _u32(data)
            layout = self._layout(data, root - _i32(data, root)[0])
            state = self._unset.copy()
            state.update(zip(layout.names, layout.unpack(data, root), strict=True))
            for name, place, read in layout.vectors:
                state[name] = read(data, root + place + state[name])
        except struct.error as error:
            raise self._broken("an offset points out of the buffer", name, data) from error
        except UnicodeDecodeError as error:
            raise self._broken("a string is not UTF-8", name, data) from error
        except DecodeError as error:
            raise error.at(f"{self._name}.{name}")  # noqa: B904 - the same error, not another one
        for name in layout.blanks:
            state[name] = state[name] or None
        return state

    def _broken(self, what: str, field: str, data: bytes) -> DecodeError:
        # the bytes themselves are not shown: they may hold secrets
        where = f"{self._name}.{field}"
        return DecodeError(what, where=where, got=f"{len(data)} bytes", expected="a FlatBuffers table")

    def _bytes(self, data: object) -> bytes:
        if isinstance(data, bytes | bytearray | memoryview):
            return bytes(data)
        raise DecodeError("not a buffer", where=self._name, got=type(data).__name__, expected="bytes or memoryview")

    def _layout(self, data: bytes, vtable: int) -> _Layout:
        if vtable < 0:
            raise DecodeError("the vtable lies before the buffer", got=vtable, expected="a position in the buffer")
        (size,) = _u16(data, vtable)
        end = vtable + min(size, self._known)  # fields that a newer schema added are passed over
        key = data[vtable:end]
        layout = self._layouts.get(key)
        if layout is None:
            if size < 4 or size % 2 or end > len(data):
                raise DecodeError("not a vtable", got=f"a size of {size}", expected="an even size within the buffer")
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = self._compile(key)
        return layout

    def _compile(self, vtable: bytes) -> _Layout:
        """Make one format of all fields that this vtable stores, padded where they are apart."""
        _, room, *places = struct.unpack(f"<{len(vtable) // 2}H", vtable)
        stored = [(place, field) for place, field in zip(places, self._fields, strict=False) if place]
        stored.sort(key=itemgetter(0))
        layout, end = "<", 0
        for place, field in [(0, _VTABLE_OFFSET), *stored]:
            if place < end:
                raise DecodeError("two fields overlap", got=f"{field.name} at {place}", expected=f"{end} or more")
            layout += f"{place - end}x{field.kind.code}"
            end = place + struct.calcsize("<" + field.kind.code)
        if end > room:
            raise DecodeError("a field lies behind its table", got=f"an end at {end}", expected=f"{room} or less")
        return _Layout(
            struct.Struct(layout).unpack_from,
            tuple(field.name for _, field in stored),
            tuple((field.name, place, field.kind.read) for place, field in stored if field.kind.read),
            tuple(field.name for _, field in stored if field.kind.read is None and field.unset is None),
        )


_VTABLE_OFFSET: Final = Field("the vtable's offset", Kind("int32", "4x", bool, None), None)
