# SPDX-License-Identifier: MIT
"""Names that existing programs use on databases, maps and schemas, kept together (FORMAT.md sections 5.1 and 5.7).

New programs need none of them; the core uses none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast
from uuid import UUID

from zlmdb.errors import TableDeclaration

if TYPE_CHECKING:
    from zlmdb.orm.base import MapBase
    from zlmdb.orm.catalogue import Slot
    from zlmdb.orm.database import Database

M = TypeVar("M")


class MapNames:
    """Published names of a map: raw bytes of keys and values, without the slot."""

    def _serialize_key(self, key: Any) -> bytes:
        return self._map.key_codec.encode(key)

    def _deserialize_key(self, data: bytes) -> Any:
        return self._map.key_codec.decode(data)

    def _serialize_value(self, value: Any) -> bytes:
        return self._map.value_codec.encode(value)

    def _deserialize_value(self, data: bytes) -> Any:
        return self._map.value_codec.decode(data)

    @property
    def _map(self) -> MapBase[Any, Any]:
        return cast("MapBase[Any, Any]", self)


class DatabaseNames:
    """Published names of a database: the raw environment and the catalogue of slots."""

    _log: Any = None

    @property
    def log(self) -> Any:
        """The logger given as ``log``, else that of the package."""
        from logging import getLogger

        return self._log or getLogger("zlmdb")

    @property
    def _env(self) -> Any:
        environment = self._database._environment
        return None if environment is None else environment._raw

    @property
    def _slots(self) -> dict[UUID, Slot]:
        return self._get_slots()

    def _get_slots(self, cached: bool = True) -> dict[UUID, Slot]:  # it is always read
        from zlmdb.orm.attaching import Attaching

        return {entry.oid: entry for entry in Attaching(self._database).slots()}

    def _get_free_slot(self) -> int:
        from zlmdb.orm import catalogue

        with self._database.begin() as txn:
            return catalogue.free_slot(txn, catalogue.entries(txn))

    def _set_slot(self, slot_index: int, slot: Slot | None) -> None:
        from zlmdb.orm import catalogue

        with self._database.begin(write=True) as txn:
            catalogue.remove(txn, slot_index)
            if slot is not None:
                catalogue.write(txn, replace(slot, slot=slot_index))
        for name in ("catalogue", "kinds"):  # what is kept of them is read again
            self._database.environment.shared.get(name, {}).clear()

    @property
    def _database(self) -> Database:
        return cast("Database", self)


class SchemaNames:
    """Published names of a schema: numbers of slots given to map instances."""

    SLOT_DATA_EMPTY: ClassVar[int] = 0
    SLOT_DATA_METADATA: ClassVar[int] = 1
    SLOT_DATA_TYPE: ClassVar[int] = 2
    SLOT_DATA_SEQUENCE: ClassVar[int] = 3
    SLOT_DATA_TABLE: ClassVar[int] = 4
    SLOT_DATA_INDEX: ClassVar[int] = 5
    SLOT_DATA_REPLICATION: ClassVar[int] = 6
    SLOT_DATA_MATERIALIZATION: ClassVar[int] = 7

    def slot(
        self,
        slot_index: int,
        marshal: Callable[..., Any] | None = None,
        unmarshal: Callable[..., Any] | None = None,
        build: Callable[..., Any] | None = None,
        cast: Callable[..., Any] | None = None,
        compress: int | bool = False,
    ) -> Callable[[M], M]:
        """Return a function that notes these on a map instance and returns it; raises `TableDeclaration`.

        A number, and a map type, may be given once in a schema. Nothing is written to disk.
        """
        where = "Schema.slot"
        given: dict[int, str] = vars(self).setdefault("_given_slots", {})
        notes = {
            "slot": slot_index,
            "marshal": marshal,
            "unmarshal": unmarshal,
            "build": build,
            "cast": cast,
            "compress": compress,
        }

        def note(map_: M) -> M:
            name = type(map_).__name__
            if isinstance(map_, type):
                raise TableDeclaration("not a map instance", where=where, got=map_, expected="a map")
            if slot_index in given or name in given.values():
                raise TableDeclaration("given twice", where=where, got=(slot_index, name), expected="new ones")
            given[slot_index] = name
            for key, value in notes.items():
                setattr(map_, f"_zlmdb_{key}", value)
            return map_

        return note
