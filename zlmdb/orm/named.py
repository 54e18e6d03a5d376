# SPDX-License-Identifier: MIT
"""Map types by name: ``MapUuidCbor``, ``MapTimestampUuidFlatBuffers`` and any other composition."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from zlmdb.codecs import set_member, split_name
from zlmdb.errors import TableDeclaration
from zlmdb.orm.base import MapBase
from zlmdb.orm.map import Map
from zlmdb.orm.sets import SetMap

_types: dict[str, type[Map[Any, Any]]] = {}


class _Named(MapBase[Any, Any]):
    """What named map types have beyond `Map`: a record class in brackets, as in ``MapUuidCbor[User]``."""

    _of_record: dict[Any, type[Map[Any, Any]]]

    def __class_getitem__(cls, record: Any) -> Any:
        if isinstance(record, TypeVar) or record is Any:
            return cls
        if isinstance(record, tuple):
            raise TableDeclaration(
                "a named map takes one type in brackets",
                where=cls.__name__,
                got=record,
                expected=f"{cls.__name__}[Record]: its keys have the type that the name says",
            )
        made = cls._of_record.get(record)
        if made is None:
            made = cls._of_record[record] = _new_class(
                cls.__name__, (cls,), {"record": record, "__module__": cls.__module__}
            )
        return made


def map_type(name: str) -> type[Map[Any, Any]] | None:
    """Return the map type of a name, always the same class; None if the name is not a composition of kinds."""
    found = _types.get(name)
    if found is None and (kinds := split_name(name)) is not None:
        key_kind, value_kind = kinds
        base = SetMap if set_member(value_kind) is not None else Map
        members = {
            "key_kind": key_kind,
            "value_kind": value_kind,
            "_of_record": {},
            "__module__": "zlmdb",
            "__doc__": f"A map from {key_kind} keys to {value_kind} values; see `zlmdb.Map`.",
        }
        found = _types.setdefault(name, _new_class(name, (_Named, base), members))
    return found


def _new_class(name: str, bases: tuple[type, ...], members: dict[str, Any]) -> type[Map[Any, Any]]:
    made: Any = type(name, bases, members)  # checkers cannot know the bases
    return cast("type[Map[Any, Any]]", made)
