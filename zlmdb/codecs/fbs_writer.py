# SPDX-License-Identifier: MIT
"""Write records of a schema: check the values of a table's fields, and append them to a `Writer`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from zlmdb.codecs.fbs_model import Enum, Field, Scalar, String, Struct, Table, Type, Union, Vector, inline_size
from zlmdb.codecs.fbs_record import FbsRecord, Shape, plain
from zlmdb.codecs.fbs_shapes import StructShape, scalar_check
from zlmdb.codecs.fbs_vectors import InlineVector
from zlmdb.codecs.flatkinds import check_text
from zlmdb.codecs.flatwriter import Plans, Slot, Writer
from zlmdb.errors import DataError, WrongType, WrongValue

Write = Callable[[Writer, Any], Any]
"""Return what the table holds in place: the checked value, or the offset of what was written."""

_UNSTORED: Final = object()


class _Column(NamedTuple):
    name: str
    number: int
    check: Callable[[Any], Any] | None  # of scalars, which are not written apart
    write: Write
    default: Any
    required: bool
    union: _UnionWriter | None


class TableWriter:
    """Writes the tables of one class, widest fields first, so that hardly any padding is needed."""

    def __init__(self, table: Table, shape: Shape, shapes: Mapping[Any, Any]) -> None:
        self._name = table.name
        self._shape = shape
        self._plans = Plans([_slot(field) for field in table.fields])
        fields = sorted(shape.fields, key=lambda item: inline_size(item[1].type)[1], reverse=True)
        names = {field.name: name for name, field in shape.fields}
        self._columns = [_column(name, field, names, shapes) for name, field in fields if not field.kind_of]
        self._names = frozenset(name for name, _ in shape.fields)

    def write(self, writer: Writer, value: Any) -> int:
        """Write a table and return its offset; raises `WrongType` or `WrongValue`."""
        get = self._getter(value)
        stored: list[int] = []
        values: list[Any] = []
        for name, number, check, write, default, required, union in self._columns:
            item = get(name)
            if item is None:
                if required:
                    raise WrongValue("a required field is missing", where=f"{self._name}.{name}", expected="a value")
                if union is None or not get(union.kind_name):
                    continue
            try:
                if check is not None:
                    item = check(item)
                elif union is not None:
                    kind, item = union.write(writer, item, get(union.kind_name))
                    stored.append(number - 1)
                    values.append(kind)
                else:
                    item = write(writer, item)
            except DataError as error:
                raise error.at(f"{self._name}.{name}")  # noqa: B904 - the same error, not another one
            if item != default:
                stored.append(number)
                values.append(item)
        return writer.table(self._plans, stored, values)

    def _getter(self, value: Any) -> Callable[[str], Any]:
        if isinstance(value, FbsRecord):
            if not isinstance(value, self._shape.record):
                raise WrongType("a record of another table", where=self._name, got=value, expected=self._name)
            value = plain(value, only_stored=True)
        if not isinstance(value, Mapping):
            return _attributes(value, self._name, self._names)
        if not value.keys() <= self._names:
            unknown = next(name for name in value if name not in self._names)
            raise WrongValue("no such field", where=self._name, got=unknown, expected=", ".join(sorted(self._names)))
        return value.get


def _attributes(value: Any, table: str, names: frozenset[str]) -> Callable[[str], Any]:
    if isinstance(value, str | bytes | int | float | list | tuple | None) or not any(hasattr(value, n) for n in names):
        raise WrongType("not a record", where=table, got=value, expected="a record, a mapping or an object like one")
    return lambda name: getattr(value, name, None)


def _slot(field: Field) -> Slot:
    size, align = inline_size(field.type)
    kind = field.type.base if isinstance(field.type, Enum) else field.type
    if isinstance(kind, Scalar):
        return Slot(field.number, kind.code, size, align, offset=False)
    if isinstance(kind, Struct):
        return Slot(field.number, f"{size}s", size, align, offset=False)
    return Slot(field.number, "I", 4, 4, offset=True)


def _column(name: str, field: Field, names: dict[str, str], shapes: Mapping[Any, Any]) -> _Column:
    # what has no default is stored whenever it is given
    default = field.default if isinstance(field.type, Scalar | Enum) else None
    union = None
    if isinstance(field.type, Union):
        union = _UnionWriter(field.type, names.get(f"{field.name}_type", ""), shapes)
        return _Column(name, field.number, None, _no_write, _UNSTORED, field.required, union)
    kind = field.type.base if isinstance(field.type, Enum) else field.type
    if isinstance(kind, Scalar):
        return _Column(name, field.number, scalar_check(kind), _no_write, default, False, None)
    return _Column(name, field.number, None, value_writer(kind, shapes), default, field.required, None)


def _no_write(_writer: Writer, _value: Any) -> Any:
    raise NotImplementedError


# --- values ------------------------------------------------------------------------------------------


def value_writer(kind: Type, shapes: Mapping[Any, Any]) -> Write:
    """Return the function that writes values of a type."""
    if isinstance(kind, String):
        return lambda writer, value: writer.string(check_text(value))
    if isinstance(kind, Struct):
        shape: StructShape = shapes[kind]
        return lambda _, value: shape.pack(value)
    if isinstance(kind, Table):
        target: Shape = shapes[kind]

        def write(writer: Writer, value: Any) -> int:
            return target.write(writer, value)  # looked up late, as tables may refer to each other

        return write
    assert isinstance(kind, Vector)
    return _vector_writer(kind.element, shapes)


def _vector_writer(kind: Type, shapes: Mapping[Any, Any]) -> Write:
    kind = kind.base if isinstance(kind, Enum) else kind
    if isinstance(kind, Scalar):
        return _scalars_writer(kind)
    if isinstance(kind, Struct):
        return _structs_writer(shapes[kind])
    write = value_writer(kind, shapes)

    def write_all(writer: Writer, value: Any) -> int:
        targets: list[int] = []
        for at, item in enumerate(_items(value)):
            try:
                targets.append(write(writer, item))
            except DataError as error:
                raise error.at(f"item {at}")  # noqa: B904 - the same error, not another one
        return writer.offsets(targets)

    return write_all


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return value
    raise WrongType("not a vector", got=value, expected="a list")


def _structs_writer(shape: StructShape) -> Write:
    def write(writer: Writer, value: Any) -> int:
        packed = [shape.pack(item) for item in _items(value)]
        return writer.vector(b"".join(packed), len(packed), shape.align)

    return write


def _scalars_writer(scalar: Scalar) -> Write:
    size, check = scalar.size, scalar_check(scalar)

    def write(writer: Writer, value: Any) -> int:
        content = _raw(value, scalar)
        if content is None:
            checked = [check(item) for item in _items(value)]
            content = struct.pack(f"<{len(checked)}{scalar.code}", *checked)
        return writer.vector(content, len(content) // size, size)

    return write


def _raw(value: Any, scalar: Scalar) -> bytes | None:
    """Return what is packed already: bytes, a vector of another record, a NumPy array that fits."""
    if isinstance(value, bytes | bytearray | memoryview) and scalar.code == "B":
        return bytes(value)
    if isinstance(value, InlineVector) and value.dtype == f"<{scalar.code}":
        return bytes(value)
    if hasattr(value, "__array_interface__") and getattr(value, "ndim", 0) == 1:
        array: Any = value  # the core has no types of NumPy
        try:
            packed: bytes = array.astype(f"<{scalar.code}", casting="safe").tobytes()
        except TypeError as error:
            raise WrongType(
                "the array has another type", got=array.dtype, expected=f"{scalar.name}, or a narrower type"
            ) from error
        return packed
    return None


class _UnionWriter:
    """Writes the member of a union and says its kind: that of the record's class, or the one that is given."""

    def __init__(self, union: Union, kind_name: str, shapes: Mapping[Any, Any]) -> None:
        self.kind_name = kind_name
        self._name = union.name
        self._kinds = dict(union.members.values())
        self._writes = {number: _union_member(kind, shapes) for number, kind in self._kinds.items()}
        self._classes: dict[type, list[int]] = {}
        for number, kind in self._kinds.items():
            python = str if isinstance(kind, String) else shapes[kind].record
            self._classes.setdefault(python, []).append(number)

    def write(self, writer: Writer, value: Any, given: Any) -> tuple[int, int]:
        """Return the kind and the offset of the member."""
        kinds = self._classes.get(type(value), [])
        if value is not None and not given and len(kinds) == 1:
            given = kinds[0]
        if value is None or given not in self._writes or (kinds and given not in kinds):
            raise WrongValue(
                "not a member of the union, or not of the given kind",
                got=value,
                expected=f"a member of {self._name}",
                next_step=f"give a record, or anything else with {self.kind_name}=",
            )
        return int(given), self._writes[given](writer, value)


def _union_member(kind: Type, shapes: Mapping[Any, Any]) -> Callable[[Writer, Any], int]:
    if isinstance(kind, Struct):
        shape: StructShape = shapes[kind]
        return lambda writer, value: writer.inline(shape.pack(value), shape.align)
    return value_writer(kind, shapes)
