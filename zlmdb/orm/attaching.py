# SPDX-License-Identifier: MIT
"""Bind maps to the slots that a file's catalogue has for them."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from zlmdb.errors import SchemaError, SlotConflict, TableDeclaration, UpgradeNeeded
from zlmdb.orm import catalogue
from zlmdb.orm.catalogue import Slot
from zlmdb.orm.map import Map
from zlmdb.orm.oldlayout import holds_packed_sets, may_be_old
from zlmdb.orm.sets import make_set_valued
from zlmdb.storage import Transaction, count, end_of_prefix
from zlmdb.storage.notices import warn

if TYPE_CHECKING:
    from zlmdb.orm.database import Database

T = TypeVar("T", bound=Map[Any, Any])


class Attaching:
    """Attach tables to the file of ``db``; may be called from any thread.

    What is committed of the catalogue is kept once per file and process; a table that is not in there is
    looked for in the file again, because another process may have added it.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._environment = db.environment
        self._known: dict[UUID, Slot] = self._environment.shared.setdefault("catalogue", {})
        self._kinds: dict[int, str] = self._environment.shared.setdefault("kinds", {})

    def table(self, klass: type[T]) -> T:
        """Attach a declared map class."""
        given: object = klass  # whatever an unchecked program passes
        if not (isinstance(given, type) and issubclass(given, Map)):
            raise TableDeclaration("not a map class", where="attach_table", got=klass, expected="a subclass of Map")
        if klass._zlmdb_oid is None:
            raise TableDeclaration(
                "the class has no table UUID",
                where=klass.__name__,
                next_step='declare it with @table("…"), a UUID made once and kept for ever',
            )
        map_ = klass()
        self._bind(map_, klass._zlmdb_oid, f"{klass.__module__}.{klass.__name__}", klass.__doc__)
        return map_

    def held(self, map_: Map[Any, Any], name: str) -> None:
        """Attach a map that a schema holds: one with a fixed slot, or one given a declared record class."""
        if map_.is_attached:
            return
        if map_.slot is not None:
            self._bind_fixed(map_, map_.slot, name)
            return
        oid = getattr(map_.table, "_zlmdb_oid", None)
        if oid is None:
            raise TableDeclaration(
                "the map has neither a slot nor a declared record class",
                where=name,
                got=map_,
                expected="a slot number, a class declared with @table, or db.attach_table(…)",
            )
        self._bind(map_, oid, name, None)

    def slots(self) -> list[Slot]:
        """Return the catalogue in slot order."""
        with self._reading() as txn:
            return sorted(catalogue.entries(txn).values(), key=lambda entry: entry.slot)

    def records(self, slot: Slot) -> int:
        """Count the stored records of a slot."""
        prefix = struct.pack(">H", slot.slot)
        with self._reading() as txn:
            return count(txn, prefix, end_of_prefix(prefix))

    def warn_of_unfilled(self, maps: Iterable[Map[Any, Any]]) -> None:
        """Log the indexes of these tables that hold nothing, and could not, had they been there from the beginning."""
        indexes = [index for map_ in maps for index in map_._indexes.values() if not index.nullable]
        if not indexes:
            return
        with self._reading() as txn:
            for index in indexes:
                table, map_ = index.table.slot, index.map.slot
                if table and map_ and catalogue.slot_is_empty(txn, map_) and not catalogue.slot_is_empty(txn, table):
                    warn(
                        "%s: %s is empty, and its table is not: fill it with table.rebuild_index(txn, %r)",
                        self._environment.path,
                        index.title,
                        index.name,
                    )

    # --- finding and making entries

    def _bind(self, map_: Map[Any, Any], oid: UUID, name: str, description: str | None) -> None:
        text = description.strip() if description else None
        entry = self._known.get(oid) or self._look_up(oid)
        if entry is None:
            entry = self._allocate(
                oid, lambda txn, taken: Slot(oid, catalogue.free_slot(txn, taken), name, text, map_.kind)
            )
        self._accept(map_, entry)

    def _bind_fixed(self, map_: Map[Any, Any], slot: int, name: str) -> None:
        entry = self._at_slot(slot, self._known) or self._at_slot(slot, self._read_all())
        if entry is None:
            with self._reading() as txn:
                kind = None if holds_packed_sets(map_, txn, slot) else map_.kind
            fresh = entry = Slot(catalogue.fixed_oid(slot), slot, name, None, kind)
            if not self._environment.options.readonly:
                entry = self._allocate(entry.oid, lambda _txn, taken: self._at_slot(slot, taken) or fresh)
        self._accept(map_, entry)

    @staticmethod
    def _at_slot(slot: int, taken: dict[UUID, Slot]) -> Slot | None:
        # an upgraded table has another slot now, and is still meant by the number of its first
        own = taken.get(catalogue.fixed_oid(slot))
        found = own or next((entry for entry in list(taken.values()) if entry.slot == slot), None)
        return taken.get(found.retired.table) if found is not None and found.retired is not None else found

    def _look_up(self, oid: UUID) -> Slot | None:
        entry = self._read_all().get(oid)
        if entry is None and self._environment.options.readonly:
            raise SchemaError(
                "the database has no such table, and is opened read-only",
                where=self._environment.path,
                got=str(oid),
                next_step="open it for writing once, so that the table is made",
            )
        return entry

    def _read_all(self) -> dict[UUID, Slot]:
        with self._reading() as txn:
            found = catalogue.entries(txn)
        if self._own_write() is None:  # else it holds what may yet be rolled back
            self._learn(found)
        return found

    def _learn(self, found: dict[UUID, Slot]) -> None:
        # a slot that is being filled will be its table's
        self._known.update({oid: entry for oid, entry in found.items() if entry.copying is None})

    def _allocate(self, oid: UUID, make: Callable[[Transaction, dict[UUID, Slot]], Slot]) -> Slot:
        with self._writing() as txn:
            taken = catalogue.entries(txn)
            if oid in taken:
                return taken[oid]
            entry = make(txn, taken)
            if entry.oid not in taken:
                catalogue.write(txn, entry)
                txn.on_commit(lambda: self._known.__setitem__(entry.oid, entry))
            return entry

    # --- binding

    def _accept(self, map_: Map[Any, Any], entry: Slot) -> None:
        self._check_kind(map_, entry)
        if entry.kind is None and may_be_old(map_):
            entry = self._in_new_layout(map_, entry)
            self._check_kind(map_, entry)
        map_.bind(entry.slot, self._environment)
        map_.retype = lambda kind: self._retype(map_, entry.oid, kind)
        map_.is_still_there = lambda txn: _has(txn, entry)
        own = self._own_write()
        if own is not None and not self._is_committed(entry):
            own.on_abort(map_.unbind)
            own.on_abort(lambda: self._kinds.pop(entry.slot, None))
        if entry.kind == f"{map_.kind}Set":
            make_set_valued(map_)  # the file says that it is a non-unique index
        elif entry.kind is None and may_be_old(map_):
            from zlmdb.orm.oldview import read_in_order

            read_in_order(map_, entry.oid)
        self._kinds.setdefault(entry.slot, map_.kind)

    def _is_committed(self, entry: Slot) -> bool:
        known = self._known.get(entry.oid)
        if known is None or known.slot != entry.slot:
            with self._db.begin() as snapshot:  # a reader sees nothing of the write transaction that runs
                self._learn(catalogue.entries(snapshot))
            known = self._known.get(entry.oid)
        return known is not None and known.slot == entry.slot

    def _check_kind(self, map_: Map[Any, Any], entry: Slot) -> None:
        stored = entry.kind or self._kinds.get(entry.slot)
        if entry.copying is None and (stored is None or stored in {map_.kind, f"{map_.kind}Set"}):
            return
        raise SlotConflict(
            "the slot holds a table of another kind",
            where=f"{type(map_).__name__}, {self._environment.path}, slot {entry.slot} ({entry.name})",
            got=map_.kind,
            expected=stored,
            next_step="give the table a UUID, or a slot, of its own",
            slot=entry.slot,
        )

    # --- old layouts: an entry without a kind is another program's, which stores some kinds otherwise

    def _in_new_layout(self, map_: Map[Any, Any], entry: Slot) -> Slot:
        """Return the entry of the table in its new layout; as it is if it can only be read."""
        with self._reading() as txn:
            entry = catalogue.entries(txn).get(entry.oid, entry)  # what is known may be older than an upgrade
            empty = entry.kind is None and catalogue.slot_is_empty(txn, entry.slot)
        if entry.kind is not None or self._environment.options.readonly:
            return entry
        if empty:
            return self._store_kind(entry.oid, entry.slot, map_.kind)
        if self._db.upgrade == "refuse":
            raise self._needed(map_, entry, "open the database with upgrade='auto', which copies it to the new layout")
        return self._upgraded(map_, entry)

    def _upgraded(self, map_: Map[Any, Any], entry: Slot) -> Slot:
        from zlmdb.orm.upgrading import Upgrade  # most files have nothing to upgrade

        upgrade, own = Upgrade(self._db, map_, entry), self._own_write()
        if own is not None:
            if not upgrade.is_small(own):
                raise self._needed(map_, entry, "attach it once outside of a write transaction: it is copied in slices")
            renewed = upgrade.run_inside(own)
            own.on_commit(lambda: self._known.__setitem__(renewed.oid, renewed))
            return renewed
        if self._is_reading():
            raise self._needed(map_, entry, "attach it before this read transaction begins: it cannot see the copy")
        renewed = self._known[entry.oid] = upgrade.run()
        return renewed

    def _needed(self, map_: Map[Any, Any], entry: Slot, next_step: str) -> UpgradeNeeded:
        records = self.records(entry)
        return UpgradeNeeded(
            "the table holds records in the layout of another program, which does not sort",
            where=f"{type(map_).__name__}, {self._environment.path}, slot {entry.slot} ({entry.name})",
            got=f"{records} records",
            expected=map_.kind,
            next_step=f"{next_step}; opened read-only, it can be read as it is",
            slot=entry.slot,
            records=records,
        )

    def _retype(self, map_: Map[Any, Any], oid: UUID, kind: str) -> None:
        entry = self._known.get(oid) or self._read_all()[oid]
        if entry.kind == kind:
            return
        with self._reading() as txn:
            empty = catalogue.slot_is_empty(txn, entry.slot)
        if not empty or self._environment.options.readonly:
            raise SlotConflict(
                "the slot holds single values, and a non-unique index needs sets",
                where=map_.title,
                got=entry.kind,
                expected=kind,
                next_step="use a new table for this index, or attach it with unique=True",
                slot=entry.slot,
            )
        self._store_kind(oid, entry.slot, kind)
        if (own := self._own_write()) is not None:
            own.on_abort(map_.unbind)  # it would write sets where the file says single values

    def _store_kind(self, oid: UUID, slot: int, kind: str) -> Slot:
        former = self._kinds.get(slot)
        with self._writing() as txn:
            entry = replace(catalogue.entries(txn)[oid], kind=kind)
            catalogue.write(txn, entry)
            txn.on_commit(lambda: self._known.__setitem__(oid, entry))
            if former is not None:
                txn.on_abort(lambda: self._kinds.__setitem__(slot, former))
        self._kinds[slot] = kind
        return entry

    # --- transactions

    def _is_reading(self) -> bool:
        running, here = list(self._environment.active), threading.get_ident()
        return any(txn.thread == here and not txn.write for txn in running)

    def _own_write(self) -> Transaction | None:
        running: Transaction | None = self._environment.writer
        return running if running is not None and running.thread == threading.get_ident() else None

    @contextmanager
    def _reading(self) -> Iterator[Transaction]:
        own = self._own_write()
        if own is not None:
            yield own
        else:
            with self._db.begin() as txn:
                yield txn

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        own = self._own_write()
        if own is not None:
            yield own
        else:
            with self._db.begin(write=True) as txn:
                yield txn


def _has(txn: Transaction, entry: Slot) -> bool:
    # the file's number may be that of a deleted one: what tells is the catalogue
    entries = catalogue.entries(txn)
    if (found := entries.get(entry.oid)) is not None:
        return found.slot == entry.slot
    # a fixed slot is not entered into a file that is opened read-only
    return entry.oid == catalogue.fixed_oid(entry.slot) and all(other.slot != entry.slot for other in entries.values())
