# SPDX-License-Identifier: MIT
"""Upgrades inside transactions, of indexes and of fixed slots; catalogues of newer programs; what is left behind."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from uuid import UUID

import cbor2
import pytest

import zlmdb
from tests.old_files import (
    NAMES,
    declared,
    dump,
    in_order,
    make,
    old_key,
    read,
    records,
    store,
    upgrade_entry,
    upgrade_of,
)
from zlmdb import errors
from zlmdb.orm import upgrading
from zlmdb.orm.upgrading import Upgrade

pytestmark = pytest.mark.usefixtures("no_fixed_slots")


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrading, "SLICE_RECORDS", 10)


# --- inside transactions -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_small_table_is_upgraded_inside_a_write_transaction_and_back_when_it_rolls_back(
    tmp_path: Path, name: str
) -> None:
    expected = records(name, 50)
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, expected.items())
        before = dump(db)
        with pytest.raises(ZeroDivisionError), db.begin(write=True) as txn:
            table: Any = db.attach_table(declared(name))
            assert read(table, txn) == in_order(expected)
            assert read(db.attach_table(declared(name)), txn) == in_order(expected)
            1 / 0
        assert dump(db) == before
        assert not table.is_attached
        with db.begin(write=True) as txn:
            table = db.attach_table(declared(name))
            del table[txn, next(iter(expected))]
        expected.pop(next(iter(expected)))
        for map_ in (table, db.attach_table(declared(name))):
            with db.begin() as txn:
                assert read(map_, txn) == in_order(expected)


@pytest.mark.usefixtures("small_slices")
def test_a_large_table_is_not_upgraded_inside_a_write_transaction(tmp_path: Path) -> None:
    name = "MapOidTimestampOid"
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, records(name, 11).items())
        before = dump(db)
        with db.begin(write=True) as txn:
            with pytest.raises(errors.UpgradeNeeded, match="outside of a write transaction"):
                db.attach_table(declared(name))
            txn.put(b"\0\x09x", b"y")
        assert dump(db) == before | {b"\0\x09x": b"y"}
        upgrade_of(db, name).step()
        with pytest.raises(errors.UpgradeNeeded), db.begin(write=True):
            db.attach_table(declared(name))
        assert db.attach_table(declared(name)).slot == 2


def test_a_half_made_copy_is_finished_inside_a_write_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "MapUuidUuidSet"
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, records(name, 30).items())
        monkeypatch.setattr(upgrading, "SLICE_RECORDS", 10)
        assert upgrade_of(db, name).step() is None
        monkeypatch.undo()
        with db.begin(write=True) as txn:
            txn.delete(b"\0\1" + bytes(16))  # copied already
            table: Any = db.attach_table(declared(name))
            expected = {key: value for key, value in records(name, 30).items() if key.int}
            assert read(table, txn) == in_order(expected)


def test_a_table_is_not_upgraded_under_a_read_transaction_that_could_not_see_it(tmp_path: Path) -> None:
    name = "MapOidTimestampOid"
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, records(name, 11).items())
        with db.begin(), pytest.raises(errors.UpgradeNeeded, match="before this read transaction"):
            db.attach_table(declared(name))
        db.attach_table(declared(name))


# --- indexes and fixed slots -------------------------------------------------------------------------


@zlmdb.table("7a4e0000-0000-0000-0000-000000000002")
class Rooms(zlmdb.MapOidCbor): ...


class FixedSets(zlmdb.Schema):
    def attach(self, db: zlmdb.Database) -> None:
        self.sets: Any = zlmdb.MapUuidUuidSet(10)


def test_an_index_in_an_old_layout_is_kept_once_it_is_upgraded(tmp_path: Path) -> None:
    name = "MapStringOidOid"
    rooms = {number: {"house": f"h{number % 3}", "door": number} for number in range(30)}
    with zlmdb.Database(tmp_path / "db") as db:
        table: Any = db.attach_table(Rooms)
        with db.begin(write=True) as txn:
            table.put_many(txn, rooms.items())
        make(db, name, 7, [((room["house"], room["door"]), number) for number, room in rooms.items()])
        index: Any = db.attach_table(declared(name))
        table.attach_index("by_door", index, lambda room: (room["house"], room["door"]))
        with db.begin(write=True) as txn:
            assert index[txn, ("h1", 4)] == 4
            table[txn, 4] = {"house": "h1", "door": 99}
            del table[txn, 5]
            assert index[txn, ("h1", 4)] is None
            assert list(index.select(txn, return_values=False, prefix=("h1",)))[-1] == ("h1", 99)
            with pytest.raises(errors.UniqueViolation):
                table[txn, 6] = {"house": "h1", "door": 99}
        assert db.check(table).ok


def test_packed_sets_at_a_fixed_slot_come_over_and_the_number_still_means_them(tmp_path: Path) -> None:
    expected = records("MapUuidUuidSet", 25)
    with zlmdb.Database(tmp_path / "db") as db:
        with db.begin(write=True) as txn:
            store(txn, "MapUuidUuidSet", 10, expected.items())
        for _ in range(2):
            sets = db.attach(FixedSets).sets
            with db.begin(write=True) as txn:
                assert read(sets, txn) == in_order(expected)
                sets[txn, UUID(int=1)].add(UUID(int=999))
                expected[UUID(int=1)] |= {UUID(int=999)}
    for _ in range(2):
        with zlmdb.Database(tmp_path / "db") as db:
            sets = db.attach(FixedSets).sets
            with db.begin() as txn:
                assert read(sets, txn) == in_order(expected)
            db.drop_old_layouts()


def test_sets_of_ours_at_a_fixed_slot_are_not_taken_for_packed_ones(tmp_path: Path) -> None:
    bare: Any = zlmdb.MapUuidUuidSet(10)
    with zlmdb.Database(tmp_path / "db") as db:
        with db.begin(write=True) as txn:
            bare[txn, UUID(int=1)].add(UUID(int=2))
        sets = db.attach(FixedSets).sets
        assert sets.slot == 10
        with db.begin() as txn:
            assert sets[txn, UUID(int=1)] == {UUID(int=2)}


# --- catalogues of newer programs --------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "OidTimestamp:3/Oid"},
        {"kind": 7},
        {"version": 2},
        {"version": 2, "copying": {"from": 3}},
        {"version": 2, "retired": {"table": "x"}},
    ],
)
def test_a_catalogue_of_a_newer_program_is_refused_and_not_changed(tmp_path: Path, fields: dict[str, Any]) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, "MapOidTimestampOid", 1, records("MapOidTimestampOid", 5).items())
        entry = {"oid": str(UUID(int=1)), "name": "later", "creator": "unknown", "slot": 2, **fields}
        with db.begin(write=True) as txn:
            txn.put(bytes.fromhex("00000002"), cbor2.dumps(entry))
        before = dump(db)
        for table in (declared("MapOidTimestampOid"), Rooms):
            with pytest.raises(errors.SchemaTooNew, match="later") as caught:
                db.attach_table(table)
            assert caught.value.next_step
        with pytest.raises(errors.SchemaTooNew):
            db.drop_old_layouts()
        assert dump(db) == before


@pytest.mark.parametrize(
    "fields", [{"copying": 1}, {"copying": {"table": "x"}}, {"retired": {"table": str(UUID(int=1))}}]
)
def test_a_damaged_entry_of_an_upgrade_is_named(tmp_path: Path, fields: dict[str, Any]) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        entry = {"oid": str(UUID(int=1)), "name": "n", "creator": "unknown", "slot": 2, "version": 1, **fields}
        with db.begin(write=True) as txn:
            txn.put(bytes.fromhex("00000002"), cbor2.dumps(entry))
        with pytest.raises(errors.DecodeError, match="catalogue"):
            db.attach_table(Rooms)


def test_the_fields_of_the_published_package_are_known(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        entry = {"oid": str(UUID(int=1)), "name": None, "description": "d", "tags": ["a"], "creator": "me", "slot": 2}
        with db.begin(write=True) as txn:
            txn.put(bytes.fromhex("00000002"), cbor2.dumps(entry))
        assert db.attach_table(Rooms).slot == 3


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("inside", [False, True])
def test_a_copy_begun_by_a_wrong_declaration_is_given_up(tmp_path: Path, inside: bool) -> None:
    name = "MapOidTimestampOid"

    @zlmdb.table(declared(name)._zlmdb_oid or "")
    class Wrong(zlmdb.MapOidTimestampStringOid): ...

    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, records(name, 9 if inside else 25).items())
        with db.begin(write=True) as txn:
            txn.put(b"\0\1" + b"\xff" * 8, bytes(8))
        with pytest.raises(errors.DecodeError):
            db.attach_table(Wrong)
        assert (len(dump(db, 2)) > 0) is not inside
        with db.begin(write=True) as txn:
            txn.delete(b"\0\1" + b"\xff" * 8)
        if inside:
            Upgrade(db, Wrong(), upgrade_entry(db, name)).step()
        with db.begin(write=True) if inside else contextlib.nullcontext():
            table: Any = db.attach_table(declared(name))
        with db.begin() as txn:
            assert read(table, txn) == in_order(records(name, 9 if inside else 25))
        assert db.stats()["num_slots"] == 2


@pytest.mark.usefixtures("small_slices")
def test_a_map_of_the_slot_that_is_being_filled_is_refused(tmp_path: Path) -> None:
    class Fixed(zlmdb.Schema):
        def attach(self, db: zlmdb.Database) -> None:
            self.copy = zlmdb.MapOidOidSet(2)

    with zlmdb.Database(tmp_path / "db") as db:
        make(db, "MapOidOidSet", 1, records("MapOidOidSet", 5).items())
        upgrade_of(db, "MapOidOidSet").step()
        with pytest.raises(errors.SlotConflict):
            db.attach(Fixed)


# --- what is left behind -----------------------------------------------------------------------------


@pytest.mark.usefixtures("small_slices")
def test_old_layouts_are_dropped_when_asked(tmp_path: Path, lib_version: Any) -> None:
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version) as db:
        for slot, name in enumerate(NAMES, 1):
            make(db, name, slot, records(name, 25).items())
        tables: list[Any] = [db.attach_table(declared(name)) for name in NAMES]
        dropped = db.drop_old_layouts()
        assert [(left.slot, left.records) for left in dropped] == [(slot, 25) for slot in range(1, len(NAMES) + 1)]
        assert {left.table for left in dropped} == {declared(name)._zlmdb_oid for name in NAMES}
        assert db.drop_old_layouts() == []
        assert not any(dump(db, left.slot) for left in dropped)
        assert db.stats()["num_slots"] == len(NAMES)
        with db.begin() as txn:
            for name, table in zip(NAMES, tables, strict=True):
                assert read(table, txn) == in_order(records(name, 25))


@pytest.mark.parametrize("name", ["MapOidTimestampOid", "MapOidOidSet"])
def test_an_old_layout_that_was_written_after_the_upgrade_is_not_dropped_silently(tmp_path: Path, name: str) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, records(name, 25).items())
        make(db, "MapStringOidOid", 2, records("MapStringOidOid", 5).items())
        db.attach_table(declared("MapStringOidOid"))
        db.attach_table(declared(name))
        with db.begin(write=True) as txn:
            store(txn, name, 1, list(records(name, 26).items())[-1:])
            txn.delete(b"\0\1" + old_key(name, next(iter(records(name, 1)))))  # the number is the same
        before = dump(db)
        with pytest.raises(errors.SchemaError, match="changed after its upgrade"):
            db.drop_old_layouts()
        assert dump(db) == before
        assert len(db.drop_old_layouts(force=True)) == 2
        assert not dump(db, 1)


def test_the_slot_of_an_old_layout_is_not_handed_out(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, "MapOidOidSet", 65535, records("MapOidOidSet", 5).items())
        assert db.attach_table(declared("MapOidOidSet")).slot == 1
        with db.begin(write=True) as txn:
            for raw in dump(db, 65535):
                txn.delete(raw)
        assert db.attach_table(Rooms).slot == 2
