# SPDX-License-Identifier: MIT
"""The catalogue: which slot a table has, in this process, in the next one, and after a rollback."""

import subprocess
import sys
import threading
from pathlib import Path
from uuid import UUID, uuid4

import cbor2
import pytest

import zlmdb
from zlmdb import errors

pytestmark = pytest.mark.usefixtures("no_fixed_slots")


@zlmdb.table("44444444-4444-4444-4444-444444444444")
class KV(zlmdb.MapUuidCbor):
    """kv"""


@zlmdb.table("54444444-4444-4444-4444-444444444444")
class Names(zlmdb.MapStringUuid): ...


@zlmdb.table("64444444-4444-4444-4444-444444444444")
class Numbers(zlmdb.MapOidOid): ...


def test_an_entry_has_the_published_bytes_and_one_field_of_ours(db: zlmdb.Database) -> None:
    db.attach_table(KV)
    with db.begin() as txn:
        stored = txn.get(bytes.fromhex("00000001"))
    record = cbor2.loads(stored)
    assert list(record) == ["oid", "name", "description", "creator", "slot", "kind"]
    published = {key: value for key, value in record.items() if key != "kind"}
    assert published == {
        "oid": "44444444-4444-4444-4444-444444444444",
        "name": f"{__name__}.KV",
        "description": "kv",
        "creator": "unknown",
        "slot": 1,
    }
    assert stored[1:].startswith(cbor2.dumps(published)[1:])
    assert record["kind"] == "Uuid/Cbor"


def test_a_table_keeps_its_slot_and_each_attachment_is_a_map_of_its_own(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        assert [db.attach_table(table).slot for table in (KV, Names, KV)] == [1, 2, 1]
        assert db.attach_table(KV) is not db.attach_table(KV)
    with zlmdb.Database(tmp_path / "db") as db:
        assert [db.attach_table(table).slot for table in (Names, Numbers, KV)] == [2, 3, 1]


def test_new_slots_come_after_the_last_and_pass_over_data_and_fixed_slots(tmp_path: Path) -> None:
    zlmdb.MapOidOid(5002)
    with zlmdb.Database(tmp_path / "db") as db:
        with db.begin(write=True) as txn:
            txn.put(b"\0\0" + (5000).to_bytes(2, "big"), cbor2.dumps({"oid": str(uuid4()), "name": "x", "slot": 5000}))
            txn.put((5001).to_bytes(2, "big") + b"key", b"data")
        assert db.attach_table(KV).slot == 5003


def test_attaching_in_a_write_transaction_is_undone_when_it_rolls_back(db: zlmdb.Database) -> None:
    with pytest.raises(ZeroDivisionError), db.begin(write=True) as txn:
        table, again = db.attach_table(KV), db.attach_table(KV)
        table[txn, UUID(int=1)] = {"a": 1}
        assert again[txn, UUID(int=1)] == {"a": 1}
        1 / 0
    with db.begin() as txn:
        for lost in (table, again):
            with pytest.raises(errors.NotAttached):
                lost[txn, UUID(int=1)]
    assert db.stats()["num_slots"] == 0
    with db.begin(write=True) as txn:
        table = db.attach_table(Names)
        table[txn, "a"] = UUID(int=1)
    assert db.attach_table(Names).slot == table.slot == 1


def test_threads_that_attach_new_tables_at_once_get_different_slots(db: zlmdb.Database) -> None:
    tables = [zlmdb.table(uuid4())(type(f"T{n}", (zlmdb.MapOidOid,), {})) for n in range(8)]
    slots = []
    barrier = threading.Barrier(len(tables))

    def attach(table: type) -> None:
        barrier.wait()
        slots.append(db.attach_table(table).slot)

    threads = [threading.Thread(target=attach, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slots) == list(range(1, 9))


CHILD = """
import sys, uuid, zlmdb
path, first = sys.argv[1], int(sys.argv[2])
with zlmdb.Database(path) as db:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(first, first + 5):
        table = zlmdb.table(uuid.UUID(int=n))(type("T", (zlmdb.MapOidOid,), {}))
        print(db.attach_table(table).slot, flush=True)
"""


def test_processes_that_add_tables_at_once_never_get_one_slot(tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path / "db"), str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (100, 200)
    ]
    try:
        for child in children:  # all have the empty catalogue read before one adds to it
            assert child.stdout.readline() == "ready\n"
        slots = [int(line) for child in children for line in child.communicate("go\n", timeout=60)[0].split()]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert sorted(slots) == list(range(1, 11))


def test_tables_of_different_kinds_on_one_slot_or_uuid_are_refused(tmp_path: Path) -> None:
    @zlmdb.table("44444444-4444-4444-4444-444444444444")
    class Other(zlmdb.MapStringUuid): ...

    @zlmdb.table("44444444-4444-4444-4444-444444444444")
    class Compressed(zlmdb.MapUuidCbor): ...

    Compressed._zlmdb_compress = 1

    @zlmdb.table("44444444-4444-4444-4444-444444444444")
    class Same(zlmdb.MapUuidCbor): ...

    for _ in range(2):  # in the process that made it, and in a later one
        with zlmdb.Database(tmp_path / "db") as db:
            table = db.attach_table(KV)
            for other in (Other, Compressed):
                with pytest.raises(errors.SlotConflict) as caught:
                    db.attach_table(other)
                assert caught.value.slot == table.slot
            assert db.attach_table(Same).slot == table.slot


def test_tables_without_a_recorded_kind_are_checked_within_the_process(tmp_path: Path) -> None:
    @zlmdb.table("44444444-4444-4444-4444-444444444444")
    class Other(zlmdb.MapStringUuid): ...

    with zlmdb.Database(tmp_path / "db") as db:
        entry = {"oid": "44444444-4444-4444-4444-444444444444", "name": "KV", "creator": "unknown", "slot": 1}
        with db.begin(write=True) as txn:
            txn.put(bytes.fromhex("00000001"), cbor2.dumps(entry))
        db.attach_table(KV)
        with pytest.raises(errors.SlotConflict):
            db.attach_table(Other)
        with db.begin() as txn:
            assert cbor2.loads(txn.get(bytes.fromhex("00000001"))) == entry  # another program's entry is left as it is


def test_records_in_the_old_layout_of_an_upgraded_kind_are_not_misread(tmp_path: Path) -> None:
    @zlmdb.table("44444444-4444-4444-4444-444444444444")
    class Events(zlmdb.MapOidTimestampOid): ...

    with zlmdb.Database(tmp_path / "db", upgrade="refuse") as db:
        with db.begin(write=True) as txn:
            txn.put(bytes.fromhex("00000001"), cbor2.dumps({"oid": str(Events._zlmdb_oid), "name": "E", "slot": 1}))
            txn.put(bytes.fromhex("0001000000000000000115cd853dfe9c9717"), bytes(8))
        with pytest.raises(errors.UpgradeNeeded):
            db.attach_table(Events)


def test_schemas_attach_by_instance_by_class_and_by_database(tmp_path: Path) -> None:
    class Both(zlmdb.Schema):
        kv: KV
        names: Names

        def attach(self, db: zlmdb.Database) -> None:
            self.kv = db.attach_table(KV)
            self.names = db.attach_table(Names)

    class Annotated(zlmdb.Schema):
        kv: KV
        names: Names

    with zlmdb.Database(tmp_path / "db") as db:
        for schema in (db.attach(Both), Both.attach(db), Both().attach(db), db.attach(Annotated)):
            assert isinstance(schema, zlmdb.Schema)
            assert (schema.kv.slot, schema.names.slot) == (1, 2)


def test_a_schema_registers_fixed_slots_and_declared_records(tmp_path: Path) -> None:
    @zlmdb.table("74444444-4444-4444-4444-444444444444")
    class Person:
        name: str

    class Fixed(zlmdb.Schema):
        def attach(self, db: zlmdb.Database) -> None:
            self.sets = zlmdb.MapUuidUuidSet(10)
            self.people = zlmdb.MapUuidCbor(Person)

    class Clashing(zlmdb.Schema):
        def attach(self, db: zlmdb.Database) -> None:
            self.sets = zlmdb.MapStringString(10)

    for _ in range(2):
        with zlmdb.Database(tmp_path / "db") as db:
            schema = db.attach(Fixed)
            slots = {entry["slot"]: entry for entry in db.stats(include_slots=True)["slots"]}
            assert set(slots) == {10, schema.people.slot}
            with db.begin(write=True) as txn:
                schema.people[txn, UUID(int=1)] = Person("joe")
                assert schema.people[txn, UUID(int=1)] == Person("joe")
            with pytest.raises(errors.SlotConflict):
                db.attach(Clashing)


def test_a_read_only_database_attaches_what_it_has_and_nothing_else(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        db.attach_table(KV)[txn, UUID(int=1)] = {"a": 1}
    with zlmdb.Database(tmp_path / "db", readonly=True) as db:
        table = db.attach_table(KV)
        with db.begin() as txn:
            assert table[txn, UUID(int=1)] == {"a": 1}
        with pytest.raises(errors.SchemaError):
            db.attach_table(Names)
        with pytest.raises(errors.ReadonlyTransaction):
            db.begin(write=True)


@pytest.mark.parametrize("klass", [object, "KV", zlmdb.MapUuidCbor, KV(1)])
def test_what_is_no_declared_table_is_refused(db: zlmdb.Database, klass: object) -> None:
    with pytest.raises(errors.TableDeclaration) as caught:
        db.attach_table(klass)
    assert isinstance(caught.value, TypeError)


def test_a_damaged_catalogue_is_named_and_not_overwritten(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        txn.put(b"\0\0\0\1", b"\xff\xff")
    with zlmdb.Database(tmp_path / "db") as db:
        with pytest.raises(errors.DecodeError) as caught:
            db.attach_table(KV)
        assert caught.value.slot == 0
        with db.begin() as txn:
            assert txn.get(b"\0\0\0\1") == b"\xff\xff"


def test_statistics_tell_sizes_and_tables(db: zlmdb.Database) -> None:
    assert db.stats(include_slots=True)["slots"] == []
    table = db.attach_table(KV)
    with db.begin(write=True) as txn:
        table[txn, UUID(int=1)] = 1
    stats = db.stats(include_slots=True)
    assert stats["lib_version"] == db.lib_version
    assert stats["lmdb_version"].startswith(db.lib_version[0])
    assert 0 < stats["used"] <= stats["current_size"] <= stats["max_size"]
    assert stats["slots"] == [
        {"oid": str(KV._zlmdb_oid), "slot": 1, "name": f"{__name__}.KV", "description": "kv", "records": 1}
    ]
