# SPDX-License-Identifier: MIT
"""Read compiled schemas: ``.bfbs`` files, as ``flatc --binary --schema`` writes them.

A compiled schema is a FlatBuffer of FlatBuffers' own schema of schemas, so it is read as any record is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from zlmdb.codecs.fbs_model import (
    INTEGERS,
    SCALARS,
    STRING,
    UBYTE,
    Array,
    Document,
    Enum,
    Field,
    Scalar,
    String,
    Struct,
    Table,
    Type,
    Union,
    Vector,
    inline_size,
)
from zlmdb.codecs.fbs_resolve import check_table
from zlmdb.errors import DecodeError, TableDeclaration

# the fields of the published schema of schemas that matter here; its numbers are fixed
_REFLECTION: Final = """
namespace reflection;
table Type { base_type: byte; element: byte; index: int = -1; fixed_length: uint16; }
table KeyValue { key: string (required); value: string; }
table EnumVal { name: string (required); value: long; object: Object (deprecated); union_type: Type; }
table Enum {
    name: string (required); values: [EnumVal] (required); is_union: bool; underlying_type: Type (required);
    attributes: [KeyValue];
}
table Field {
    name: string (required); type: Type (required); id: ushort; offset: ushort; default_integer: long;
    default_real: double; deprecated: bool; required: bool; key: bool; attributes: [KeyValue];
    documentation: [string]; optional: bool;
}
table Object {
    name: string (required); fields: [Field] (required); is_struct: bool; minalign: int; bytesize: int;
}
table Schema {
    objects: [Object] (required); enums: [Enum] (required); file_ident: string; file_ext: string; root_table: Object;
}
root_type Schema;
file_identifier "BFBS";
"""

_DEPTH: Final = 64  # structs within structs

# the published numbers of types
_UTYPE, _BOOL, _STRING, _VECTOR, _OBJECT, _UNION, _ARRAY = 1, 2, 13, 14, 15, 16, 17
_SCALARS: Final[dict[int, Scalar]] = {
    _UTYPE: UBYTE,
    _BOOL: SCALARS["bool"],
    **dict(enumerate(INTEGERS, 3)),
    11: SCALARS["float"],
    12: SCALARS["double"],
}


@cache
def _reflection() -> Any:
    from zlmdb.codecs.fbs_schema import load_fbs

    return load_fbs(_REFLECTION).root


def read_compiled(data: bytes) -> Document:
    """Return what a compiled schema declares; raises `DecodeError`, and `TableDeclaration` as for text."""
    if data[4:8] != b"BFBS":
        raise DecodeError("not a compiled schema", got=data[4:8], expected="BFBS behind the first four bytes")
    record = _reflection()
    record.verify(data)
    return _Reader(record.cast(data)).document()


def _malformed(what: str, got: object, expected: str) -> DecodeError:
    return DecodeError(f"a compiled schema: {what}", got=got, expected=expected)


class _Reader:
    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._objects: list[Struct | Table] = [
            Struct(_name(found), size=found.bytesize, align=found.minalign) if found.is_struct else Table(_name(found))
            for found in schema.objects
        ]
        self._enums: list[Enum | Union] = [
            Union(_name(found)) if found.is_union else self._enum(found) for found in schema.enums
        ]

    def document(self) -> Document:
        """Return what the schema declares; what no compiler would write is refused."""
        for stored, made in zip(self._schema.enums, self._enums, strict=True):
            if isinstance(made, Union):
                made.members = {_name(value): self._member(value) for value in stored.values if value.value}
        for stored, target in zip(self._schema.objects, self._objects, strict=True):
            for field in stored.fields:
                target.fields.append(self._field(field, target))
            target.fields.sort(key=lambda field: field.number)
        for target in self._objects:
            _check_struct(target, ()) if isinstance(target, Struct) else _check_numbers(target)
        types = {found.name: found for found in [*self._objects, *self._enums]}
        if len(types) != len(self._objects) + len(self._enums):
            raise _malformed("two types of one name", sorted(types), "each name once")
        root = self._schema.root_table
        found = types.get(root.name) if root else None
        identifier = (self._schema.file_ident or "").encode()
        if len(identifier) not in (0, 4):
            raise _malformed("a file identifier of another length", identifier, "four bytes")
        return Document(types, found if isinstance(found, Table) else None, identifier)

    def _enum(self, stored: Any) -> Enum:
        base = _SCALARS.get(stored.underlying_type.base_type)
        if base is None or not base.high:
            raise _malformed("an enum of no integers", stored.name, "an integer type")
        flags = any(attribute.key == "bit_flags" for attribute in stored.attributes or ())
        return Enum(_name(stored), base, {_name(value): value.value for value in stored.values}, flags)

    def _member(self, stored: Any) -> tuple[int, Type]:
        kind = self._type(stored.union_type) if stored.union_type else None
        if not isinstance(kind, Table | Struct | String) or not 0 < stored.value < 256:
            raise _malformed("a union of something else", stored.name, "tables, structs and strings from 1 to 255")
        return stored.value, kind

    def _field(self, stored: Any, target: Struct | Table) -> Field:
        kind = self._type(stored.type)
        if isinstance(target, Struct):
            return Field(_name(stored), kind, stored.offset)
        default: Any = None
        if isinstance(kind, Scalar | Enum) and not stored.optional:
            default = stored.default_integer
            if isinstance(kind, Scalar) and not kind.high:
                default = bool(default) if kind.code == "?" else stored.default_real
        kind_of = stored.name.removesuffix("_type") if stored.type.base_type == _UTYPE else ""
        return Field(_name(stored), kind, stored.id, default, stored.required, stored.deprecated, kind_of)

    def _type(self, stored: Any) -> Type:
        if stored.base_type not in (_VECTOR, _ARRAY):
            return self._single(stored.base_type, stored.index)
        if stored.element in (_UNION, _UTYPE):
            raise TableDeclaration("a vector of unions", got="a compiled schema", expected="another type")
        element = self._single(stored.element, stored.index)
        return Vector(element) if stored.base_type == _VECTOR else Array(element, stored.fixed_length)

    def _single(self, base: int, index: int) -> Type:
        known: Sequence[Type] = self._objects if base == _OBJECT else self._enums
        found = known[index] if 0 <= index < len(known) else None
        if base == _STRING:
            return STRING
        if base == _UTYPE and isinstance(found, Union):
            return found.kinds
        fits = isinstance(found, Union) if base == _UNION else base == _OBJECT or isinstance(found, Enum)
        if found is not None and fits:
            return found
        if base not in _SCALARS or index >= 0:
            raise _malformed("an unknown type", (base, index), "a type of this schema")
        return _SCALARS[base]


def _name(stored: Any) -> str:
    name: str = stored.name
    if not all(part.isidentifier() for part in name.split(".")):
        raise _malformed("not a name", name, "letters, digits and '_'")
    return name


def _check_numbers(table: Table) -> None:
    for number, field in enumerate(table.fields):
        before = table.fields[number - 1] if number else None
        in_place = isinstance(field.type, Array)
        if field.number != number or in_place or (isinstance(field.type, Union) and not (before and before.kind_of)):
            raise _malformed("a field of a wrong number or type", f"{table.name}.{field.name}", "0, 1, 2, …")
    check_table(table)


def _check_struct(struct: Struct, outer: tuple[Struct, ...]) -> None:
    if len(outer) > _DEPTH:
        raise _malformed("structs are nested too deeply", struct.name, f"{_DEPTH} levels")
    end = 0
    for field in struct.fields:
        kind = field.type.element if isinstance(field.type, Array) else field.type
        if not isinstance(kind, Scalar | Enum | Struct) or kind is struct or kind in outer or field.number < end:
            raise _malformed("a field of a wrong place or type", f"{struct.name}.{field.name}", "scalars, structs")
        if isinstance(kind, Struct):
            _check_struct(kind, (*outer, struct))
        end = field.number + inline_size(field.type)[0]
    if not 0 < end <= struct.size < 65536 or struct.align not in (1, 2, 4, 8, 16):
        raise _malformed("a struct of a wrong size", struct.name, f"{end} bytes or more")
