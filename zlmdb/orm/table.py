# SPDX-License-Identifier: MIT
"""``@table``: give a map class, or a record class, its identity in every file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from inspect import get_annotations
from typing import Any, TypeVar, dataclass_transform
from uuid import UUID

from zlmdb.codecs import declare_record
from zlmdb.errors import TableDeclaration
from zlmdb.orm.base import MapBase

C = TypeVar("C", bound=type)

TABLES_BY_UUID: dict[UUID, type] = {}
"""The class declared last for each table UUID."""


def _registry() -> dict[UUID, type]:
    return TABLES_BY_UUID


def register_in(registry: Callable[[], dict[UUID, type]]) -> None:
    """Register tables in the dictionary that ``registry()`` returns when they are declared.

    Programs bind ``zlmdb.TABLES_BY_UUID`` anew to begin with an empty one.
    """
    global _registry
    _registry = registry


@dataclass_transform()
def table(
    oid: UUID | str,
    marshal: Callable[..., Any] | None = None,
    parse: Callable[..., Any] | None = None,
    build: Callable[..., Any] | None = None,
    cast: Callable[..., Any] | None = None,
    compress: int | str | None = None,
    *,
    unmarshal: Callable[..., Any] | None = None,
) -> Callable[[C], C]:
    """Declare a table: ``oid`` is its identity, the same in every file and for ever.

    On a map class the functions convert its records: ``marshal``/``parse`` (or ``unmarshal``) for JSON and
    CBOR, ``build``/``cast`` for FlatBuffers. On any other class it declares a record: an annotated class
    without ``__init__`` becomes a dataclass, and maps without a record type of their own store it too.
    Several classes may share one UUID if they are of the same kind. Raises `TableDeclaration`.
    """
    identity = _uuid(oid)
    parse = parse or unmarshal
    if (marshal or parse) and (build or cast):
        raise TableDeclaration("marshal/parse and build/cast exclude each other", where="@table", got=str(identity))
    if (build is None) != (cast is None) or (parse is not None and marshal is None):
        raise TableDeclaration(
            "a function is missing",
            where="@table",
            got=str(identity),
            expected="marshal and parse, or build and cast, or none of them",
        )

    def declare(cls: C) -> C:
        if not isinstance(cls, type):
            raise TableDeclaration("not a class", where="@table", got=cls, expected="a class")
        declared: Any = cls
        if not issubclass(cls, MapBase):
            declared = _record(cls, has_functions=bool(marshal or build))
            declare_record(declared, identity)
        declared._zlmdb_oid = identity
        for name, function in (("marshal", marshal), ("parse", parse), ("build", build), ("cast", cast)):
            # kept as plain functions: as methods of a class they would get a self
            setattr(declared, f"_zlmdb_{name}", staticmethod(function) if function else None)
        declared._zlmdb_compress = compress
        _registry()[identity] = declared
        return declared  # type: ignore[no-any-return]  # a dataclass made of the class is the class

    return declare


def _uuid(oid: UUID | str) -> UUID:
    if isinstance(oid, UUID):
        return oid
    try:
        return UUID(oid)
    except (ValueError, TypeError, AttributeError):
        raise TableDeclaration(
            "not a UUID",
            where="@table",
            got=oid,
            expected="a UUID or its text",
            next_step="make one with python -m uuid, or uuid.uuid4()",
        ) from None


def _record(cls: type, has_functions: bool) -> type:
    if "__init__" in vars(cls) or is_dataclass(cls):
        return cls  # attrs gives its classes an __init__ too
    if not get_annotations(cls) and (has_functions or hasattr(cls, "marshal")):
        return cls
    return dataclass(cls)
