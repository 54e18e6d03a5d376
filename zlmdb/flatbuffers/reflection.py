# SPDX-License-Identifier: MIT
"""Accessors of compiled schemas (``.bfbs`` files), with the names that ``flatc --python`` gives them.

For each table of FlatBuffers' published schema of schemas there is a submodule, ``reflection.Schema`` and so
on, that holds the class (``reflection.Schema.Schema``) and the functions that write such a table. They are made
from the list of fields below. To read a schema safely use `zlmdb.codecs.flatbuffers.load_fbs`: as in generated
code, nothing is checked here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NamedTuple

from flatbuffers import encode, number_types, packer, util
from flatbuffers.table import Table

_TABLES: Final = """
Type: base_type:Int8 element:Int8 index:Int32=-1 fixed_length:Uint16 base_size:Uint32=4 element_size:Uint32
KeyValue: key:string value:string
EnumVal: name:string value:Int64 object:deprecated union_type:Type documentation:[string] attributes:[KeyValue]
Enum: name:string values:[EnumVal] is_union:Bool underlying_type:Type attributes:[KeyValue] documentation:[string]
 declaration_file:string
Field: name:string type:Type id:Uint16 offset:Uint16 default_integer:Int64 default_real:Float64 deprecated:Bool
 required:Bool key:Bool attributes:[KeyValue] documentation:[string] optional:Bool padding:Uint16 offset64:Bool
Object: name:string fields:[Field] is_struct:Bool minalign:Int32 bytesize:Int32 attributes:[KeyValue]
 documentation:[string] declaration_file:string
RPCCall: name:string request:Object response:Object attributes:[KeyValue] documentation:[string]
Service: name:string calls:[RPCCall] attributes:[KeyValue] documentation:[string] declaration_file:string
SchemaFile: filename:string included_filenames:[string]
Schema: objects:[Object] enums:[Enum] file_ident:string file_ext:string root_table:Object services:[Service]
 advanced_features:Uint64 fbs_files:[SchemaFile]
"""
_BASE_TYPES: Final = (
    "None_ UType Bool Byte UByte Short UShort Int UInt Long ULong Float Double String Vector Obj Union Array Vector64 "
    "MaxBaseType"
)
_ADVANCED_FEATURES: Final = "AdvancedArrayFeatures AdvancedUnionFeatures OptionalScalars DefaultVectorsAndStrings"
_IDENTIFIER: Final = b"BFBS"

_classes: dict[str, type[_Accessor]] = {}


class _Accessor:
    """What the classes of all tables have; the rest is made by `_class`."""

    _tab: Any

    def Init(self, buf: Any, pos: int) -> None:  # noqa: N802  the published name
        """Stand on the table at ``pos``."""
        self._tab = Table(buf, pos)


def _get_root_as(cls: type[_Accessor], buf: Any, offset: int = 0) -> _Accessor:
    """Return the root table of a buffer."""
    found = cls()
    found.Init(buf, encode.Get(packer.uoffset, buf, offset) + offset)
    return found


def _has_identifier(buf: Any, offset: int, size_prefixed: bool = False) -> bool:
    return bool(util.BufferHasIdentifier(buf, offset, _IDENTIFIER, size_prefixed=size_prefixed))


class _Field(NamedTuple):
    """A field: ``kind`` is a number type, ``string`` or a table, in brackets if there are many."""

    name: str
    kind: str
    default: Any
    slot: int

    @property
    def item(self) -> str:
        """The kind without its brackets."""
        return self.kind.strip("[]")


def _parse(slot: int, text: str) -> _Field:
    name, _, kind = text.partition(":")
    kind, _, default = kind.partition("=")
    zero: Any = {"Bool": False, "Float64": 0.0}.get(kind, 0)
    return _Field("".join(part.capitalize() for part in name.split("_")), kind, int(default) if default else zero, slot)


def _offset(self: _Accessor, slot: int) -> int:
    return int(self._tab.Offset(4 + 2 * slot))


def _item(self: _Accessor, kind: str, at: int) -> Any:
    """Return the string or table whose offset stands at ``at``."""
    if kind == "string":
        return self._tab.String(at)
    found = _classes[kind]()
    found.Init(self._tab.Bytes, self._tab.Indirect(at))
    return found


def _one(field: _Field) -> Callable[..., Any]:
    flags = getattr(number_types, f"{field.kind}Flags", None)

    def get(self: _Accessor) -> Any:
        at = _offset(self, field.slot)
        if not at:
            return None if flags is None else field.default
        at += self._tab.Pos
        return _item(self, field.kind, at) if flags is None else self._tab.Get(flags, at)

    return get


def _many(field: _Field) -> dict[str, Callable[..., Any]]:
    def get(self: _Accessor, j: int) -> Any:
        at = _offset(self, field.slot)
        if not at:
            return "" if field.item == "string" else None
        return _item(self, field.item, self._tab.Vector(at) + j * 4)

    def length(self: _Accessor) -> int:
        at = _offset(self, field.slot)
        return int(self._tab.VectorLen(at)) if at else 0

    def is_none(self: _Accessor) -> bool:
        return not _offset(self, field.slot)

    return {field.name: get, f"{field.name}Length": length, f"{field.name}IsNone": is_none}


def _writers(fields: list[_Field]) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {
        "Start": lambda builder: builder.StartObject(len(fields)),
        "End": lambda builder: builder.EndObject(),
    }
    for field in fields:
        if field.kind == "deprecated":
            continue
        found[f"Add{field.name}"] = _adder(field)
        if field.kind != field.item:
            found[f"Start{field.name}Vector"] = lambda builder, numElems: builder.StartVector(4, numElems, 4)  # noqa: N803
    return found


def _adder(field: _Field) -> Callable[..., Any]:
    is_number = hasattr(number_types, f"{field.kind}Flags")
    prepend = f"Prepend{field.kind}Slot" if is_number else "PrependUOffsetTRelativeSlot"
    return lambda builder, value: getattr(builder, prepend)(field.slot, value, field.default)


def _class(name: str, fields: list[_Field]) -> type[_Accessor]:
    members: dict[str, Any] = {
        "__module__": f"{__name__}.{name}",
        "GetRootAs": classmethod(_get_root_as),
        f"GetRootAs{name}": classmethod(_get_root_as),
        f"{name}BufferHasIdentifier": staticmethod(_has_identifier),
    }
    for field in fields:
        if field.kind != field.item:
            members |= _many(field)
        elif field.kind != "deprecated":
            members[field.name] = _one(field)
    return type(name, (_Accessor,), members)


def _module(name: str, members: dict[str, Any]) -> None:
    module = ModuleType(f"{__name__}.{name}")
    vars(module).update(members)
    sys.modules[module.__name__] = globals()[name] = module


def _make_all() -> None:
    for line in _TABLES.replace("\n ", " ").strip().splitlines():
        name, _, rest = line.partition(": ")
        fields = [_parse(slot, text) for slot, text in enumerate(rest.split())]
        _classes[name] = _class(name, fields)
        writers = _writers(fields)
        _module(name, {name: _classes[name], **writers, **{f"{name}{short}": f for short, f in writers.items()}})
    base_types = {name: number for number, name in enumerate(_BASE_TYPES.split())}
    features = {name: 1 << bit for bit, name in enumerate(_ADVANCED_FEATURES.split())}
    for name, numbers in (("BaseType", base_types), ("AdvancedFeatures", features)):
        _module(name, {name: type(name, (), {"__module__": f"{__name__}.{name}", **numbers})})


_make_all()
