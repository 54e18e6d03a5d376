# SPDX-License-Identifier: MIT
"""Tables in an old layout on a database opened read-only: every read gives what it would give after the upgrade."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import zlmdb
from tests import children
from tests.old_files import NAMES, NS, declared, dump, enter, in_order, make, old_key, read, records, store, time
from zlmdb import errors

pytestmark = pytest.mark.usefixtures("no_fixed_slots")


def plain(found: Any) -> Any:
    """The result of a read as something that can be compared."""
    if isinstance(found, tuple):
        return tuple(map(plain, found))
    if isinstance(found, list):
        return list(map(plain, found))
    if hasattr(found, "isdisjoint"):
        return ("set", frozenset(found))
    return bytes(found) if isinstance(found, memoryview) else found


def pages(map_: Any, txn: zlmdb.Transaction, reverse: bool) -> list[Any]:
    found, token = [], None
    while True:
        page = map_.page(txn, limit=7, reverse=reverse, after=token)
        found += page.records
        token = page.token
        if token is None:
            return found


Read = Callable[[Any, zlmdb.Transaction, list[Any]], Any]
READS: dict[str, Read] = {
    "get": lambda m, txn, keys: [m[txn, key] for key in keys],
    "get with default": lambda m, txn, keys: [m.get((txn, key), "none") for key in keys],
    "contains": lambda m, txn, keys: [(txn, key) in m for key in keys],
    "get_many": lambda m, txn, keys: m.get_many(txn, keys),
    "select": lambda m, txn, keys: list(m.select(txn)),
    "reverse": lambda m, txn, keys: list(m.select(txn, reverse=True)),
    "keys": lambda m, txn, keys: list(m.select(txn, return_values=False, limit=9)),
    "values": lambda m, txn, keys: list(m.select(txn, return_keys=False)),
    "range": lambda m, txn, keys: list(m.select(txn, keys[20], keys[60])),
    "range reversed": lambda m, txn, keys: list(m.select(txn, keys[20], keys[60], reverse=True, limit=5)),
    "empty range": lambda m, txn, keys: list(m.select(txn, keys[60], keys[20])),
    "prefix": lambda m, txn, keys: list(m.select(txn, prefix=keys[20][:1] if type(keys[20]) is tuple else keys[20])),
    "pages": lambda m, txn, keys: pages(m, txn, False),
    "pages reversed": lambda m, txn, keys: pages(m, txn, True),
    "count": lambda m, txn, keys: m.count(txn),
    "count of a range": lambda m, txn, keys: m.count_range(txn, keys[3], keys[50]),
    "bound": lambda m, txn, keys: (len(m.bound(txn)), keys[0] in m.bound(txn), list(m.bound(txn))),
}


@pytest.fixture
def files(tmp_path: Path, lib_version: Any) -> Path:
    """Two files with the same old tables; those of ``new`` are upgraded."""
    for file in ("old", "new"):
        with zlmdb.Database(tmp_path / file, lib_version=lib_version) as db:
            for slot, name in enumerate(NAMES, 1):
                make(db, name, slot, records(name, 80).items())
            for name in NAMES if file == "new" else ():
                db.attach_table(declared(name))
    return tmp_path


@pytest.mark.parametrize("buffers", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_every_read_gives_what_it_gives_after_the_upgrade(files: Path, name: str, buffers: bool) -> None:
    keys = sorted(records(name, 83))  # three of them are not there
    with zlmdb.Database(files / "old", readonly=True) as old, zlmdb.Database(files / "new", readonly=True) as new:
        before = dump(old)
        tables: list[Any] = [db.attach_table(declared(name)) for db in (old, new)]
        with old.begin(buffers=buffers) as old_txn, new.begin(buffers=buffers) as new_txn:
            for title, use in READS.items():
                results = [plain(use(map_, txn, keys)) for map_, txn in zip(tables, (old_txn, new_txn), strict=True)]
                assert results[0] == results[1], title
            if not buffers:
                assert read(tables[0], old_txn) == in_order(records(name, 80))
        assert old.check(tables[0]).ok
        assert dump(old) == before


@pytest.mark.parametrize("name", ["MapOidTimestampOid", "MapStringOidOid", "MapStringTimestampCbor"])
def test_columns_are_in_the_new_order(files: Path, name: str) -> None:
    found = []
    for file in ("old", "new"):
        with zlmdb.Database(files / file, readonly=True) as db, db.begin() as txn:
            columns = db.attach_table(declared(name)).arrays(txn)
            found.append({title: list(column) for title, column in columns.items()})
    assert found[0] == found[1]


def test_live_sets_read_and_refuse_to_be_written(files: Path) -> None:
    with zlmdb.Database(files / "old", readonly=True) as db, db.begin() as txn:
        table: Any = db.attach_table(declared("MapOidOidSet"))
        live = table[txn, 30]
        assert (len(live), bool(live), 30 in live, 31 in live, list(live)) == (31, True, True, False, list(range(31)))
        assert live | {99} == {*range(31), 99}
        assert not table[txn, 1000]
        assert table.count_members(txn) == sum(number % 40 + 1 for number in range(80))
        for write in (lambda: live.add(99), lambda: live.discard(3), live.clear):
            with pytest.raises(errors.ReadonlyTransaction):
                write()


@pytest.mark.parametrize("name", NAMES)
def test_writing_is_refused_as_ever(files: Path, name: str) -> None:
    (key, value), *_ = records(name, 3).items()
    with zlmdb.Database(files / "old", readonly=True) as db:
        table: Any = db.attach_table(declared(name))
        before = dump(db)
        with db.begin() as txn:
            for write in (
                lambda: table.__setitem__((txn, key), value),
                lambda: table.__delitem__((txn, key)),
                lambda: table.pop((txn, key)),
                lambda: table.truncate(txn),
                lambda: table.put_many(txn, [(key, value)]),
                lambda: table.bound(txn).clear(),
            ):
                with pytest.raises(errors.ReadonlyTransaction):
                    write()
        with pytest.raises(errors.ReadonlyTransaction):
            db.begin(write=True)
        assert dump(db) == before


def test_wrong_uses_are_refused_as_ever(files: Path) -> None:
    with zlmdb.Database(files / "old", readonly=True) as db:
        table: Any = db.attach_table(declared("MapOidTimestampOid"))
        with db.begin() as txn:
            for key in ("x", (1,), (1, "x"), None):
                with pytest.raises(errors.EncodeError):
                    table[txn, key]
            with pytest.raises(errors.WrongType):
                table[txn]
            with pytest.raises(errors.WrongType):
                table.count("txn")
            found = table.select(txn)
            next(found)
            live = db.attach_table(declared("MapOidOidSet"))[txn, 1]
        for use in (lambda: table[txn, (1, time(1))], lambda: table.count(txn), lambda: list(live), lambda: 1 in live):
            with pytest.raises(errors.TransactionFinished):
                use()
        with (
            zlmdb.Database(files / "new", readonly=True) as other,
            other.begin() as txn,
            pytest.raises(errors.WrongDatabase),
        ):
            table.count(txn)


def test_a_record_that_cannot_be_read_is_named_and_never_left_out(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, "MapOidTimestampOid", 1, records("MapOidTimestampOid", 5).items())
        with db.begin(write=True) as txn:
            txn.put(b"\0\1\xff", bytes(8))
    with zlmdb.Database(tmp_path / "db", readonly=True) as db:
        table: Any = db.attach_table(declared("MapOidTimestampOid"))
        with db.begin() as txn:
            for use in (lambda: list(table.select(txn)), lambda: table.count(txn), lambda: table[txn, (0, time(0))]):
                with pytest.raises(errors.DecodeError) as caught:
                    use()
                assert caught.value.key == b"\xff"


WRITER = """
from tests.old_files import declared, store, time
with zlmdb.Database(sys.argv[1]) as db:
    hold("open")
    with db.begin(write=True) as txn:
        store(txn, "MapOidTimestampOid", 1, [((3, time(500)), 500)])
    hold("written")
    table = db.attach_table(declared("MapOidTimestampOid"))
    hold("upgraded")
    with db.begin(write=True) as txn:
        table[txn, (3, time(700))] = 700
    db.drop_old_layouts()
    hold("dropped")
"""


def test_each_snapshot_shows_what_others_have_written_and_upgraded(tmp_path: Path) -> None:
    name = "MapOidTimestampOid"
    expected = records(name, 30)
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, name, 1, expected.items())
    with children.Held(WRITER, tmp_path / "db") as writer, zlmdb.Database(tmp_path / "db", readonly=True) as db:
        assert writer.said() == "open"
        table: Any = db.attach_table(declared(name))
        late: Any = None
        for stage, more in (("written", {500}), ("upgraded", {500}), ("dropped", {500, 700})):
            with db.begin() as before:
                assert read(table, before) == in_order(expected)
                writer.go_on()
                assert writer.said() == stage
                assert read(table, before) == in_order(expected)
                expected |= {(3, time(number)): number for number in more}
                late = db.attach_table(declared(name))
                with db.begin() as txn:
                    assert read(table, txn) == read(late, txn) == in_order(expected)
        writer.finish()
        assert late.slot == 2


def test_a_table_that_is_empty_now_is_watched_too(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, "MapOidTimestampOid", 1, [])
    with children.Held(WRITER, tmp_path / "db") as writer, zlmdb.Database(tmp_path / "db", readonly=True) as db:
        table: Any = db.attach_table(declared("MapOidTimestampOid"))
        assert writer.said() == "open"
        writer.go_on()
        assert writer.said() == "written"
        again: Any = db.attach_table(declared("MapOidTimestampOid"))
        with db.begin() as txn:
            assert read(table, txn) == read(again, txn) == [((3, time(500)), 500)]


def test_an_index_in_an_old_layout_is_read(tmp_path: Path) -> None:
    @zlmdb.table("7a4e0000-0000-0000-0000-000000000004")
    class Rooms(zlmdb.MapOidCbor): ...

    name = "MapStringOidOid"
    with zlmdb.Database(tmp_path / "db") as db:
        table: Any = db.attach_table(Rooms)
        with db.begin(write=True) as txn:
            table.put_many(txn, [(number, ["h", number]) for number in range(9)])
        make(db, name, 7, [(("h", number), number) for number in range(9)])
    with zlmdb.Database(tmp_path / "db", readonly=True) as db:
        table, index = db.attach_table(Rooms), db.attach_table(declared(name))
        table.attach_index("by_door", index, lambda room: (room[0], room[1]))
        with db.begin() as txn:
            assert index[txn, ("h", 4)] == 4
            assert list(index.select(txn, from_key=("h", 7))) == [(("h", 7), 7), (("h", 8), 8)]
        assert db.check(table).ok


def test_packed_sets_at_a_fixed_slot_are_read(tmp_path: Path) -> None:
    class Fixed(zlmdb.Schema):
        def attach(self, db: zlmdb.Database) -> None:
            self.sets = zlmdb.MapUuidUuidSet(10)
            self.ours = zlmdb.MapUuidUuidSet(11)

    ours: Any = zlmdb.MapUuidUuidSet(11)
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        store(txn, "MapUuidUuidSet", 10, records("MapUuidUuidSet", 50).items())
        ours[txn, UUID(int=1)].add(UUID(int=2))
    with zlmdb.Database(tmp_path / "db", readonly=True) as db:
        schema: Any = db.attach(Fixed)
        with db.begin() as txn:
            assert read(schema.sets, txn) == in_order(records("MapUuidUuidSet", 50))
            assert read(schema.ours, txn) == [(UUID(int=1), {UUID(int=2)})]


def test_times_before_1970_are_read(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        enter(txn, "MapOidTimestampOid", 1)
        raw = (1).to_bytes(8, "big") + (-NS).to_bytes(8, "little", signed=True)
        txn.put(b"\0\1" + raw, bytes(8))
        assert old_key("MapOidTimestampOid", (1, time(0)))[:8] == raw[:8]
    with zlmdb.Database(tmp_path / "db", readonly=True) as db, db.begin() as txn:
        table: Any = db.attach_table(declared("MapOidTimestampOid"))
        assert [int(key[1].astype(int)) for key in table.select(txn, return_values=False)] == [-NS]
