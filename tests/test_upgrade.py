# SPDX-License-Identifier: MIT
"""Tables in an old layout are copied to the new one when they are attached, whatever happens meanwhile."""

from __future__ import annotations

import logging
import struct
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from tests import children
from tests.old_files import (
    NAMES,
    declared,
    dump,
    enter,
    in_order,
    make,
    old_key,
    read,
    records,
    store,
    time,
    upgrade_of,
)
from zlmdb import errors
from zlmdb.orm import upgrading

pytestmark = pytest.mark.usefixtures("no_fixed_slots")


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrading, "SLICE_RECORDS", 10)


@pytest.mark.parametrize("name", NAMES)
def test_an_old_table_reads_and_sorts_right_once_it_is_attached(
    tmp_path: Path, lib_version: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = records(name, 200)
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version) as db:
        make(db, name, 3, expected.items())
        before = dump(db, 3)
        with caplog.at_level(logging.INFO, "zlmdb.orm"):
            table: Any = db.attach_table(declared(name))
        assert "upgraded in" in caplog.text
        assert "200 records" in caplog.text
        with db.begin() as txn:
            assert read(table, txn) == in_order(expected)
            assert all(table[txn, key] == value for key, value in expected.items())
            assert table.count(txn) == len(expected)
        assert dump(db, 3) == before  # the old slot stays as it was
        assert db.check(table).ok
    with zlmdb.Database(tmp_path / "db") as db:  # and the next program finds it so
        again: Any = db.attach_table(declared(name))
        assert again.slot == table.slot != 3
        with db.begin(write=True) as txn:
            assert read(again, txn) == in_order(expected)
            key = next(iter(expected))
            del again[txn, key]
            assert (txn, key) not in again


def test_all_members_of_a_packed_set_come_over_and_an_empty_one_is_no_record(tmp_path: Path) -> None:
    members = {UUID(int=n) for n in range(1, 3001)}
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, "MapUuidUuidSet", 1, [(UUID(int=1), members), (UUID(int=2), set()), (UUID(int=3), {UUID(int=9)})])
        table: Any = db.attach_table(declared("MapUuidUuidSet"))
        with db.begin() as txn:
            assert table[txn, UUID(int=1)] == members
            assert (txn, UUID(int=2)) not in table
            assert table.count(txn) == 2


def test_compressed_packed_sets_come_over(tmp_path: Path) -> None:
    @zlmdb.table("7a4e0000-0000-0000-0000-000000000001", compress=zlmdb.Map.COMPRESS_ZLIB)
    class Compressed(zlmdb.MapOidOidSet): ...

    import zlib

    with zlmdb.Database(tmp_path / "db") as db:
        with db.begin(write=True) as txn:
            entry = {"oid": str(Compressed._zlmdb_oid), "name": "C", "creator": "unknown", "slot": 1}
            txn.put(bytes.fromhex("00000001"), cbor2.dumps(entry))
            packed = b"".join(n.to_bytes(8, "big") for n in (5, 3, 4))
            txn.put(bytes.fromhex("00010000000000000007"), zlib.compress(packed))
        table = db.attach_table(Compressed)
        with db.begin() as txn:
            assert list(table[txn, 7]) == [3, 4, 5]


def test_times_that_cannot_be_written_come_over(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        with db.begin(write=True) as txn:
            enter(txn, "MapOidTimestampOid", 1)
            for number, raw in enumerate(("ff" * 8, "0000000000000080", "05" + "00" * 7)):
                txn.put(bytes.fromhex("0001" + "0000000000000001" + raw), number.to_bytes(8, "big"))
        table: Any = db.attach_table(declared("MapOidTimestampOid"))
        with db.begin() as txn:
            found = [(str(at), value) for (_, at), value in table.select(txn)]
    assert found == [
        ("1970-01-01T00:00:00.000000005", 2),
        ("NaT", 1),
        ("1969-12-31T23:59:59.999999999", 0),
    ]


@given(keys=st.sets(st.tuples(st.text(alphabet="\0\1\xffab", max_size=5), st.integers(0, 2**64 - 1)), max_size=30))
def test_no_two_strings_are_mixed_up(keys: set[tuple[str, int]]) -> None:
    with zlmdb.Database() as db:
        make(db, "MapStringOidOid", 1, [(key, number) for number, key in enumerate(sorted(keys))])
        table: Any = db.attach_table(declared("MapStringOidOid"))
        with db.begin() as txn:
            assert list(table.select(txn)) == [(key, number) for number, key in enumerate(sorted(keys))]


def test_an_empty_old_table_needs_no_copy(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, "MapOidOidSet", 3, [])
        assert db.attach_table(declared("MapOidOidSet")).slot == 3
        assert db.drop_old_layouts() == []


# --- refusing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_refusing_names_the_number_of_records_and_changes_nothing(tmp_path: Path, name: str) -> None:
    with zlmdb.Database(tmp_path / "db", upgrade="refuse") as db:
        make(db, name, 2, records(name, 123).items())
        before = dump(db)
        with pytest.raises(errors.UpgradeNeeded, match=r"123 records.*upgrade='auto'") as caught:
            db.attach_table(declared(name))
        assert (caught.value.records, caught.value.slot) == (123, 2)
        assert dump(db) == before
    with zlmdb.Database(tmp_path / "db") as db:
        db.attach_table(declared(name))
    with zlmdb.Database(tmp_path / "db", upgrade="refuse") as db, db.begin() as txn:
        assert read(db.attach_table(declared(name)), txn) == in_order(records(name, 123))


def test_another_word_than_auto_and_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="'auto' or 'refuse'"):
        zlmdb.Database(tmp_path / "db", upgrade="maybe")
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize(
    ("name", "raw", "data"),
    [
        ("MapOidTimestampOid", bytes(15), bytes(8)),
        ("MapOidTimestampOid", b"\xff" * 8 + bytes(8), bytes(8)),  # no OID
        ("MapOidTimestampStringOid", bytes(16) + b"\xff", bytes(8)),  # no UTF-8
        ("MapStringOidOid", b"1234567", bytes(8)),
        ("MapStringTimestampCbor", b"\xff" + bytes(8), b"\xf6"),
        ("MapUint16UuidTimestampUuid", bytes(25), bytes(16)),
        ("MapUuidUuidSet", bytes(16), bytes(17)),  # a member cut short
        ("MapUuidUuidSet", bytes(15), bytes(16)),
        ("MapOidOidSet", bytes(8), b"\xff" * 8),
    ],
)
@pytest.mark.usefixtures("small_slices")
def test_a_record_that_cannot_be_read_is_named_and_the_table_stays(
    tmp_path: Path, name: str, raw: bytes, data: bytes
) -> None:
    expected = {key: value for key, value in records(name, 30).items() if old_key(name, key) != raw}
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, expected.items())
        with db.begin(write=True) as txn:
            txn.put(b"\0\1" + raw, data)
        before = dump(db, 1)
        with pytest.raises(errors.DecodeError) as caught:
            db.attach_table(declared(name))
        assert (caught.value.key, caught.value.slot) == (raw, 1)
        assert raw.hex() in str(caught.value)
        assert caught.value.next_step
        assert dump(db, 1) == before
        assert dump(db, 0)[bytes.fromhex("00000001")] == entry_of(name, 1)
        with db.begin(write=True) as txn:  # as its own program would
            txn.delete(b"\0\1" + raw)
        table: Any = db.attach_table(declared(name))
        with db.begin() as txn:
            assert read(table, txn) == in_order(expected)


def entry_of(name: str, slot: int) -> bytes:
    with zlmdb.Database() as db:
        make(db, name, slot, [])
        return dump(db, 0)[struct.pack(">HH", 0, slot)]


def test_a_key_that_has_no_room_in_the_format_is_named(tmp_path: Path) -> None:
    long = "x" * (511 - 2 - 8)
    with zlmdb.Database(tmp_path / "db", lib_version="0.9") as db:
        make(db, "MapStringOidOid", 1, [((long, 7), 1)])
        before = dump(db)
        with pytest.raises(errors.KeyTooLong, match=r"convert") as caught:
            db.attach_table(declared("MapStringOidOid"))
        assert (caught.value.size, caught.value.limit) == (513, 511)
        assert dump(db) == before


# --- others who write, or upgrade, at the same time --------------------------------------------------


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("name", NAMES)
def test_what_others_write_between_slices_is_not_lost(tmp_path: Path, lib_version: Any, name: str) -> None:
    expected, more = records(name, 60), records(name, 90)
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version) as db:
        make(db, name, 1, expected.items())
        upgrade = upgrade_of(db, name)
        for _ in range(3):
            assert upgrade.step() is None
        gone = list(expected)[:5]
        changed = dict(list(expected.items())[-5:])
        with db.begin(write=True) as txn:
            store(txn, name, 1, more.items())
            store(txn, name, 1, zip(changed, list(changed.values())[::-1], strict=True))
            for key in gone:
                txn.delete(b"\0\1" + old_key(name, key))
        expected = {key: value for key, value in more.items() if key not in gone}
        expected.update(zip(changed, list(changed.values())[::-1], strict=True))
        upgrade.run()
        table: Any = db.attach_table(declared(name))
        with db.begin() as txn:
            assert read(table, txn) == in_order(expected)


class Busy(zlmdb.Database):
    """A database in which somebody always writes to an old table, or another one, just before this handle does."""

    written = 0
    busy = False
    busy_slot = 1

    def begin(self, write: bool = False, buffers: bool = False, stats: Any = None) -> zlmdb.Transaction:
        if write and self.busy:
            self.busy = False
            with super().begin(write=True) as txn:
                store(txn, "MapOidTimestampOid", self.busy_slot, [((5, time(10_000 + self.written)), self.written)])
            self.written += 1
            self.busy = True
        return super().begin(write, buffers, stats)


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize("slot", [1, 9])
def test_an_upgrade_ends_and_is_exact_though_others_write_all_the_time(tmp_path: Path, slot: int) -> None:
    expected = records("MapOidTimestampOid", 35)
    with Busy(tmp_path / "db") as db:
        db.busy_slot = slot
        make(db, "MapOidTimestampOid", 1, expected.items())
        db.busy = True
        table: Any = db.attach_table(declared("MapOidTimestampOid"))
        db.busy = False
        assert db.written >= 5
        if slot == 1:
            expected |= {(5, time(10_000 + number)): number for number in range(db.written)}
        with db.begin() as txn:
            assert read(table, txn) == in_order(expected)


@pytest.mark.usefixtures("small_slices")
def test_two_that_upgrade_at_once_share_the_work(tmp_path: Path) -> None:
    name = "MapStringOidOid"
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, records(name, 100).items())
        upgrades = [upgrade_of(db, name), upgrade_of(db, name)]
        steps = 0
        while (renewed := upgrades[steps % 2].step()) is None:
            steps += 1
        assert steps == 10
        assert upgrades[1 - steps % 2].run() == renewed
        table: Any = db.attach_table(declared(name))
        assert table.slot == renewed.slot
        with db.begin() as txn:
            assert read(table, txn) == in_order(records(name, 100))


ATTACH = """
from tests.old_files import NAMES, declared, in_order, read, records
from zlmdb.orm import upgrading
upgrading.SLICE_RECORDS = 20
with zlmdb.Database(sys.argv[1]) as db:
    hold("ready")
    for name in NAMES:
        table = db.attach_table(declared(name))
        with db.begin() as txn:
            assert read(table, txn) == in_order(records(name, 300)), name
"""


def test_two_processes_that_upgrade_at_once_both_find_all_records(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        for slot, name in enumerate(NAMES, 1):
            make(db, name, slot, records(name, 300).items())
    with children.Held(ATTACH, tmp_path / "db") as one, children.Held(ATTACH, tmp_path / "db") as other:
        assert (one.said(), other.said()) == ("ready", "ready")
        one.go_on()
        other.go_on()
        one.finish()
        other.finish()
    with zlmdb.Database(tmp_path / "db") as db:
        assert [left.slot for left in db.drop_old_layouts()] == list(range(1, len(NAMES) + 1))
        assert db.stats()["num_slots"] == len(NAMES)  # no half copy is left


ONE = """
from tests.old_files import declared
with zlmdb.Database(sys.argv[1]) as db:
    db.attach_table(declared("MapOidOidSet"))
"""


def test_a_long_running_process_finds_a_table_that_another_one_has_upgraded(tmp_path: Path) -> None:
    name = "MapOidOidSet"
    with zlmdb.Database(tmp_path / "db", upgrade="refuse") as db:
        make(db, name, 1, records(name, 20).items())
        with pytest.raises(errors.UpgradeNeeded):
            db.attach_table(declared(name))
        children.run(ONE, tmp_path / "db")
        table: Any = db.attach_table(declared(name))
        with db.begin() as txn:
            assert read(table, txn) == in_order(records(name, 20))


def test_threads_that_attach_an_old_table_at_once_get_one_and_the_same(tmp_path: Path) -> None:
    name = "MapStringTimestampCbor"
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, records(name, 2000).items())
        slots: list[int | None] = []
        threads = [
            threading.Thread(target=lambda: slots.append(db.attach_table(declared(name)).slot)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert slots == [2, 2, 2, 2]
