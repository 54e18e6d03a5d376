# SPDX-License-Identifier: MIT
"""Records of the tables of a schema: views of a buffer that decode a field when it is asked for.

Every offset is checked against the buffer before it is followed, and each points forward only, so that reading
ends and stays inside, whatever the buffer holds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar, Final, Self

from zlmdb.codecs.fbs_model import Enum, Field, Scalar, String, Struct, Table, Type, Union, Vector
from zlmdb.codecs.fbs_shapes import Places, StructShape, dtype_of, enum_maker
from zlmdb.codecs.fbs_vectors import (
    Buffer,
    FlatVector,
    InlineVector,
    StringVector,
    TableVector,
    damaged,
    reraise,
    u32,
)
from zlmdb.codecs.flatkinds import read_text
from zlmdb.codecs.flatwriter import Builder, Writer
from zlmdb.errors import DecodeError

_DEPTH: Final = 64  # tables within tables, as the stock verifiers allow
_ROOM: Final = 64  # how many times its size a buffer may be read at once, as parts of it may be shared

_UNKNOWN: Final = (2**63,)  # places that end behind any buffer

_new: Final = object.__new__


class Shape:
    """What the records of one table have in common: its fields, and how they are found and written."""

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self.fields: tuple[tuple[str, Field], ...] = ()
        """Attribute and field of all that are not deprecated."""
        self.places = Places(table.fields)
        self.record: type[FbsRecord] = FbsRecord
        self.identifier = b""
        self.write: Callable[[Writer, Any], int] = _unwritten

    def open(self, data: Buffer, at: int) -> FbsRecord:
        """Return the record of the table at ``at``; raises `DecodeError` and `struct.error`."""
        record = _new(self.record)
        record._places = self.places.find(data, at)
        record._data = data
        return record


def _unwritten(_writer: Writer, _value: Any) -> int:
    raise NotImplementedError


class FbsRecord:
    """A record of a table that `load_fbs` read from a schema; each table is a subclass with its fields.

    ::

        Order = load_fbs("orders.fbs").Order
        orders = zlmdb.MapUuidFlatBuffers[Order](1)
        orders[txn, oid] = Order(customer="joe", lines=[{"article": "a1", "count": 2}])
        orders[txn, oid].lines[0].article

    A record is an immutable view of a finished buffer: reading a field decodes that field alone, and vectors and
    tables in it are views as well. It is valid as long as its buffer is: in a transaction with ``buffers=True``
    until the end of the transaction. The constructor writes a buffer from keyword arguments; tables may be given
    as records, mappings or any objects with such attributes, structs as tuples or mappings. It raises
    `WrongType` or `WrongValue`. Absent fields read as their default, which is None for all but scalars; reading
    a malformed field raises `DecodeError`. Any thread may use a record.
    """

    __slots__ = ("_data", "_places")
    __hash__ = None  # type: ignore[assignment]  # equality reads all fields, and NaN is not equal to itself

    __match_args__: ClassVar[tuple[str, ...]] = ()
    __record_fields__: ClassVar[tuple[str, ...]] = ()
    """The names of the fields, in their order."""
    _shape: ClassVar[Shape]
    _data: Buffer
    _places: tuple[int, ...]

    def __init__(self, /, **fields: Any) -> None:
        self._data = self.encode(fields)
        self._places = self.cast(self._data)._places

    @staticmethod
    def cast(data: bytes | bytearray | memoryview) -> Any:
        """Return the record of a finished buffer, which is copied only if it can change.

        Raises `DecodeError` if there is no such table; its fields are checked when they are read.
        """
        raise NotImplementedError  # each table has its own

    @classmethod
    def encode(cls, value: Any) -> bytes:
        """Return a record, a mapping or an object with such attributes as a finished buffer.

        Raises `WrongType` or `WrongValue`.
        """
        if value.__class__ is cls and u32(value._data)[0] == value._places[-2]:
            return bytes(value._data)
        writer = Writer()
        return writer.finish(cls._shape.write(writer, value), cls._shape.identifier)

    def __bytes__(self) -> bytes:
        """Return this record as a finished buffer."""
        return self.encode(self)

    def build(self, builder: Builder) -> int:
        """Append this record to a ``flatbuffers.Builder`` and return the offset of its table."""
        writer = Writer()
        return writer.embed(builder, self._shape.write(writer, self))

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain values, tables within this one included; raises `DecodeError`."""
        return plain(self, only_stored=False)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; None removes a field."""
        stored = plain(self, only_stored=True)
        changed = {field.name for name, field in self._shape.fields if name in changes}
        for name, field in self._shape.fields:
            if field.kind_of in changed:
                stored.pop(name, None)  # the new member of the union has its own kind
        return type(self)(**{**stored, **changes})

    @classmethod
    def verify(cls, data: bytes | bytearray | memoryview) -> None:
        """Raise `DecodeError` if any field of a buffer is malformed, in tables within the root too."""
        plain(cls.cast(data), only_stored=False)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return plain(self, only_stored=False) == plain(other, only_stored=False)

    def __repr__(self) -> str:
        stored = [name for name, field in self._shape.fields if self._places[field.number]]
        return f"<{self._shape.name}: {', '.join(stored)}>"  # no values: they may be secrets, large or malformed


def caster(shape: Shape) -> Callable[[Any], Any]:
    """Return ``cast`` of one record class; this is what reading a record from a map costs."""
    heads, record_class, new = shape.places.heads, shape.record, _new
    # the layout of the record before is usually that of the next; one tuple, as all threads share it
    last: tuple[bytes, tuple[int, ...]] = bytes(4), _UNKNOWN

    def cast(data: Any) -> Any:
        nonlocal last
        head, places = last
        if data.__class__ is not bytes or not data.startswith(head):
            data = _buffer(data, shape.name)
            head = data[: data[0] + 4] if data else data
            places = heads.get(head, _UNKNOWN)
            if places is not _UNKNOWN and head.__class__ is bytes:
                last = head, places
        if places[-1] > len(data):
            return _opened(data, shape)
        record = new(record_class)
        record._data = data
        record._places = places
        return record

    return cast


def _opened(data: Buffer, shape: Shape) -> FbsRecord:
    try:
        return shape.open(data, u32(data)[0])
    except damaged as error:
        reraise(error, shape.name, data)


def _buffer(data: object, where: str) -> Buffer:
    """Return bytes, or a view of bytes that its holder cannot change: what can change cannot be checked once."""
    if isinstance(data, bytes):
        return data
    if not isinstance(data, bytearray | memoryview):
        raise DecodeError("not a buffer", where=where, got=type(data).__name__, expected="bytes or memoryview")
    if isinstance(data, memoryview) and data.readonly and data.c_contiguous:
        return data if data.format == "B" and data.ndim == 1 else data.cast("B")
    return bytes(data)


# --- fields ------------------------------------------------------------------------------------------


def getter(field: Field, where: str, shapes: dict[Any, Any]) -> Callable[[Any], Any]:
    """Return the function that reads a field of a record."""
    kind = field.type
    if isinstance(kind, Scalar):
        return _scalar_getter(field.number, struct.Struct(f"<{kind.code}").unpack_from, field.default)
    if isinstance(kind, Enum):
        make = enum_maker(kind, shapes[kind])
        default = None if field.default is None else make(field.default)
        return _enum_getter(field.number, struct.Struct(f"<{kind.base.code}").unpack_from, make, default)
    if isinstance(kind, Union):
        return _union_getter(
            field, where, {number: union_reader(of, where, shapes) for number, of in kind.members.values()}
        )
    if isinstance(kind, String):
        return _string_getter(field, where)
    return _getter(field, where, reader(kind, where, shapes))


def _scalar_getter(number: int, unpack: Callable[[Buffer, int], Any], default: Any) -> Callable[[Any], Any]:
    def get(record: Any) -> Any:
        place = record._places[number]
        return unpack(record._data, place)[0] if place else default

    return get


def _enum_getter(
    number: int, unpack: Callable[[Buffer, int], Any], make: Callable[[int], int], default: int | None
) -> Callable[[Any], Any]:
    def get(record: Any) -> Any:
        place = record._places[number]
        return make(unpack(record._data, place)[0]) if place else default

    return get


def _string_getter(field: Field, where: str) -> Callable[[Any], Any]:
    number, default, required = field.number, field.default, field.required

    def get(record: Any) -> Any:
        place = record._places[number]
        if not place:
            return _absent(where) if required else default
        data = record._data
        try:
            at = place + u32(data, place)[0]
            end = at + 4 + u32(data, at)[0]
            if end > len(data):
                return read_text(data, at)  # which says what is wrong
            text = data[at + 4 : end]
            return text.decode() if text.__class__ is bytes else str(text, "utf-8")
        except damaged as error:
            reraise(error, where, data)

    return get


def _getter(field: Field, where: str, read: Callable[[Buffer, int], Any]) -> Callable[[Any], Any]:
    number, default, required = field.number, field.default, field.required

    def get(record: Any) -> Any:
        place = record._places[number]
        if not place:
            return _absent(where) if required else default
        try:
            return read(record._data, place)
        except damaged as error:
            reraise(error, where, record._data)

    return get


def _union_getter(field: Field, where: str, readers: dict[int, Callable[[Buffer, int], Any]]) -> Callable[[Any], Any]:
    number, required = field.number, field.required

    def get(record: Any) -> Any:
        place, kind_place = record._places[number], record._places[number - 1]
        if not place or not kind_place:
            return _absent(where) if required else None
        read = readers.get(record._data[kind_place])
        try:
            return read(record._data, place) if read else None  # None for a kind that a newer schema added
        except damaged as error:
            reraise(error, where, record._data)

    return get


def _absent(where: str) -> None:
    raise DecodeError("a required field is absent", where=where, expected="a stored field")


def reader(kind: Type, where: str, shapes: dict[Any, Any]) -> Callable[[Buffer, int], Any]:
    """Return the function that reads what stands at a place, or what the offset there points to."""
    if isinstance(kind, Struct):
        shape: StructShape = shapes[kind]
        return lambda data, at: shape.make(*shape.struct.unpack_from(data, at))
    if isinstance(kind, String):
        return lambda data, at: read_text(data, at + u32(data, at)[0])
    if isinstance(kind, Table):
        open_table = shapes[kind].open
        return lambda data, at: open_table(data, at + u32(data, at)[0])
    assert isinstance(kind, Vector)
    return _vector_reader(kind.element, where, shapes)


def union_reader(kind: Type, where: str, shapes: dict[Any, Any]) -> Callable[[Buffer, int], Any]:
    """Return the function that reads a member of a union; there a struct is pointed to as all others are."""
    read = reader(kind, where, shapes)
    return (lambda data, at: read(data, at + u32(data, at)[0])) if isinstance(kind, Struct) else read


def _vector_reader(kind: Type, where: str, shapes: dict[Any, Any]) -> Callable[[Buffer, int], Any]:
    if isinstance(kind, String):
        return lambda data, at: StringVector(data, at + u32(data, at)[0], 4, where)
    if isinstance(kind, Table):
        open_table = shapes[kind].open
        return lambda data, at: TableVector(data, at + u32(data, at)[0], open_table, where)
    dtype = dtype_of(kind)
    make: Callable[..., Any] | None = None
    if isinstance(kind, Struct):
        code, make = shapes[kind].struct, shapes[kind].make
    else:
        make = enum_maker(kind, shapes[kind]) if isinstance(kind, Enum) else None
        code = struct.Struct(dtype)
    return lambda data, at: InlineVector(data, at + u32(data, at)[0], code, make, dtype, where)


# --- whole records -----------------------------------------------------------------------------------


def plain(record: Any, only_stored: bool) -> dict[str, Any]:
    """Return the fields of a record and of all tables in it; without what is absent if ``only_stored``.

    Buffers nested deeper than 64 tables, or whose shared parts add up to many times their size, are refused.
    """
    return _Walk(record._data, only_stored).table(record, 0)


class _Walk:
    def __init__(self, data: Buffer, only_stored: bool) -> None:
        self._room = _ROOM * len(data)
        self._only_stored = only_stored

    def table(self, record: Any, depth: int) -> dict[str, Any]:
        if depth > _DEPTH:
            raise DecodeError("tables are nested too deeply", got=record._shape.name, expected=f"{_DEPTH} levels")
        self._charge(record, record._places[-1] - record._places[-2])
        return {
            name: self._value(getattr(record, name), depth)
            for name, field in record._shape.fields
            if record._places[field.number] or not self._only_stored
        }

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, FbsRecord):
            return self.table(value, depth + 1)
        if isinstance(value, str):
            self._charge(value, len(value))
        if not isinstance(value, FlatVector):
            return value
        self._charge(value, value.nbytes)
        if isinstance(value, InlineVector):
            return bytes(value) if value.is_bytes else list(value)
        if isinstance(value, StringVector):
            texts = list(value)
            self._charge(value, sum(map(len, {id(text): text for text in texts}.values())))
            return texts
        return [self._value(item, depth) for item in value]

    def _charge(self, what: object, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise DecodeError("parts of the buffer are used too often", got=what, expected="parts that do not overlap")
