# SPDX-License-Identifier: MIT
"""Record classes from a FlatBuffers schema: a ``.fbs`` file, its text, or a compiled ``.bfbs``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from zlmdb.codecs.fbs_model import Document, Enum, Struct, Table, Union
from zlmdb.codecs.fbs_record import FbsRecord, Shape, caster, getter
from zlmdb.codecs.fbs_resolve import parse_file, parse_text
from zlmdb.codecs.fbs_shapes import StructShape, enum_class, python_name
from zlmdb.codecs.fbs_writer import TableWriter
from zlmdb.errors import ConfigError, TableDeclaration


class FbsSchema:
    """The types of a schema in Python: tables as `FbsRecord` classes, structs as named tuples, enums as enums.

    A type is an attribute by its full name (``schema.shop.Order``), and by its last name where that is unique
    (``schema.Order``); ``schema["shop.Order"]`` takes full names only. Iterating gives them.
    """

    def __init__(self, types: dict[str, type], root: type[FbsRecord] | None, file_identifier: bytes) -> None:
        self._types = types
        self.root = root
        """The record class of the schema's ``root_type``, or None."""
        self.file_identifier = file_identifier
        """What buffers of the root have behind their first four bytes, or nothing."""

    def __getitem__(self, name: str) -> Any:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        inner = {full[len(name) + 1 :]: found for full, found in self._types.items() if full.startswith(f"{name}.")}
        named = [found for full, found in self._types.items() if full.rpartition(".")[2] == name]
        if name in self._types:
            return self._types[name]
        if inner:
            return FbsSchema(inner, None, b"")
        if len(named) != 1:
            raise AttributeError(f"the schema has {'several types' if named else 'no type'} named {name!r}")
        return named[0]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(full.partition(".")[0] for full in self._types)})


def load_fbs(source: str | bytes | PathLike[str], include_paths: Sequence[str | PathLike[str]] = ()) -> FbsSchema:
    """Make record classes of a FlatBuffers schema; see `FbsRecord` for how they are used.

    ``source`` is the path of a ``.fbs`` file, or of a compiled schema named ``.bfbs``; bytes are a compiled
    schema; a string with a ``;`` or a ``{`` in it is the text of a schema. Included files are looked for beside
    the file that includes them, then in ``include_paths``.

    Namespaces, tables, structs (with arrays), enums, unions and vectors are read, with the attributes ``id``,
    ``required``, ``deprecated``, ``bit_flags`` and ``force_align``; other attributes and services are passed
    over. Vectors of unions are refused. A field named as Python or `FbsRecord` uses the name itself gets a ``_``
    behind it. Raises `TableDeclaration` with ``line`` and ``column``, `ConfigError` for a file that cannot be
    read, `DecodeError` for a malformed compiled schema.
    """
    return FbsSchema(*_classes(_document(source, tuple(map(Path, include_paths)))))


def _document(source: str | bytes | PathLike[str], include_paths: tuple[Path, ...]) -> Document:
    from zlmdb.codecs.fbs_compiled import read_compiled

    if isinstance(source, bytes):
        return read_compiled(source)
    if not isinstance(source, (str, PathLike)):
        raise ConfigError("not a schema", where="load_fbs", got=source, expected="a path, a schema's text, or bytes")
    if isinstance(source, str) and (";" in source or "{" in source):
        return parse_text(source, include_paths)
    path = Path(source)
    if path.suffix != ".bfbs":
        return parse_file(path, include_paths)
    try:
        return read_compiled(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the schema cannot be read: {error}", got=str(path), expected="a compiled schema") from error


def _classes(document: Document) -> tuple[dict[str, type], type[FbsRecord] | None, bytes]:
    shapes = _shapes(document)
    for table in document.types.values():
        if isinstance(table, Table):
            _finish(table, shapes[table], shapes)
    root = shapes[document.root].record if document.root else None
    if document.root:
        shapes[document.root].identifier = document.file_identifier
    types = {name: _python_type(shapes[found]) for name, found in document.types.items()}
    return types, root, document.file_identifier


def _python_type(shape: Any) -> type:
    found: type = shape.record if isinstance(shape, Shape | StructShape) else shape
    return found


def _shapes(document: Document) -> dict[Any, Any]:
    """Return the Python side of all types: of enums and unions the class, of structs and tables the shape."""
    shapes: dict[Any, Any] = {}
    for found in document.types.values():
        module = found.name.rpartition(".")[0] or "fbs"
        if isinstance(found, Enum):
            shapes[found] = enum_class(found, module)
        elif isinstance(found, Union):
            shapes[found] = shapes[found.kinds] = enum_class(found.kinds, module)
        elif isinstance(found, Table):
            shape = shapes[found] = Shape(found)
            members = {"__slots__": (), "_shape": shape, "__module__": module, "__doc__": f"The table {found.name}."}
            shape.record = type(found.name.rpartition(".")[2], (FbsRecord,), members)
    for found in document.types.values():
        if isinstance(found, Struct):
            _add_struct(found, shapes)
    return shapes


def _add_struct(struct: Struct, shapes: dict[Any, Any]) -> None:
    for field in struct.fields:
        inner = getattr(field.type, "element", field.type)
        if isinstance(inner, Struct):
            _add_struct(inner, shapes)
    if struct not in shapes:
        shapes[struct] = StructShape(struct, struct.name.rpartition(".")[0] or "fbs", shapes)


def _finish(table: Table, shape: Shape, shapes: dict[Any, Any]) -> None:
    """Give the record class of a table its fields."""
    reserved = dir(FbsRecord)
    names: list[tuple[str, Any]] = []
    for field in table.fields:
        if not field.deprecated:
            name = python_name(field.name, reserved)
            if hasattr(shape.record, name):
                raise TableDeclaration("two fields of one name", where=table.name, got=name, expected="other names")
            setattr(shape.record, name, property(getter(field, f"{table.name}.{name}", shapes)))
            names.append((name, field))
    shape.fields = tuple(names)
    type.__setattr__(shape.record, "cast", staticmethod(caster(shape)))
    shape.record.__record_fields__ = tuple(name for name, _ in names)
    type.__setattr__(shape.record, "__match_args__", shape.record.__record_fields__)
    shape.write = TableWriter(table, shape, shapes).write


__all__ = ["FbsSchema", "load_fbs"]
