# SPDX-License-Identifier: MIT
"""`check` finds and names every kind of disagreement, and `repair` ends those between indexes and tables."""

import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import cbor2
import pytest

import zlmdb
from tests.damaged import EMAIL, GROUP, TABLE, People, contents, filled, oid, planted, raw, row, told
from zlmdb import errors
from zlmdb.orm.check import check
from zlmdb.orm.findings import Problem


@pytest.fixture
def schema(db: zlmdb.Database) -> People:
    return filled(db)


def test_a_clean_database_has_no_problems_and_all_is_counted(db: zlmdb.Database, schema: People) -> None:
    report = check(db, schema)
    assert report.ok
    assert (report.problems, report.found, report.unlisted_slots, report.repaired) == ([], 0, [], {})
    assert report.records == {
        "catalogue": 4,
        schema.people.title: 40,
        schema.people.index("email").title: 40,
        schema.people.index("role").title: 30,
        schema.groups.title: 3,
    }
    assert str(report) == "117 records read, no problems"
    before = contents(db)
    assert check(db, schema, repair=True) == report
    assert contents(db) == before


def test_an_index_given_alone_is_checked_with_its_table(db: zlmdb.Database, schema: People) -> None:
    assert check(db, schema.by_role).records[schema.people.title] == 40
    assert check(db, schema.by_role, schema.people, schema.people) == check(db, schema.people)


# --- without maps: everything


def test_without_maps_all_attached_tables_and_their_indexes_are_checked_and_repaired(
    db: zlmdb.Database, schema: People
) -> None:
    assert check(db) == check(db, schema)
    planted(db, (raw(EMAIL, b"e7"), None), (raw(TABLE, oid(8)), b"\xff"), (raw(GROUP, b"?"), b""))
    found = told(db.check())
    assert ("missing entry", EMAIL, 7) in found
    assert ("undecodable value", TABLE, 8) in found
    assert ("undecodable key", GROUP, b"?") in found
    report = db.check(repair=True)
    assert report.repaired
    assert ("missing entry", EMAIL, 7) not in told(report)


def test_tables_that_no_map_is_attached_to_are_read_as_the_catalogue_says(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path) as db:
        filled(db)
    with zlmdb.Database(tmp_path) as db:
        assert sum(db.check().records.values()) == 117
        planted(db, (raw(TABLE, oid(8)), b"\xff"), (raw(GROUP, b"?"), b""), (raw(77, b"?"), b""))
        report = db.check()
    assert told(report) == [("undecodable value", TABLE, 8), ("undecodable key", GROUP, b"?")]
    assert (report.unlisted_slots, report.unread_slots) == ([77], [77])
    assert "not read, because no map of them was given: [77]" in str(report)


def test_a_table_attached_twice_is_checked_once(db: zlmdb.Database, schema: People) -> None:
    other = db.attach(People)
    planted(db, (raw(EMAIL, b"e7"), None))
    assert told(db.check()) == [("missing entry", EMAIL, 7)]
    assert other.people.slot == schema.people.slot


class Others(zlmdb.Schema):
    """The same table with another index."""

    def attach(self, db: zlmdb.Database) -> None:
        self.people = zlmdb.MapOidCbor(TABLE)
        self.by_name = zlmdb.MapStringOid(66)
        self.people.attach_index("name", self.by_name, lambda row: row.get("name"), nullable=True)


def test_all_indexes_of_a_table_that_is_attached_twice_are_checked(db: zlmdb.Database, schema: People) -> None:
    others = db.attach(Others)
    with db.begin(write=True) as txn:
        others.people[txn, 50] = {"email": "e50", "name": "n"}
        schema.people.rebuild_index(txn, "email")
    planted(db, (raw(EMAIL, b"e7"), None), (raw(66, b"n"), None))
    assert {("missing entry", EMAIL, 7), ("missing entry", 66, 50)} <= set(told(db.check()))


# --- the catalogue


def entry(**fields: object) -> bytes:
    return cbor2.dumps({"oid": str(UUID(int=5)), "name": "x", "creator": "unknown", "slot": 9, **fields})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x05",
        entry(oid=5),
        entry(oid="no uuid"),
        entry(slot=8),
        cbor2.dumps({"slot": 9}),
        entry() + b"!",
    ],
    ids=["nothing", "no CBOR", "no map", "a number as UUID", "no UUID", "another slot", "no oid", "more behind it"],
)
def test_an_entry_of_the_catalogue_that_cannot_be_read_is_found(
    db: zlmdb.Database, schema: People, data: bytes
) -> None:
    planted(db, (b"\0\0\0\x09", data))
    assert told(check(db, schema)) == [("catalogue", 0, b"\0\x09")]


@pytest.mark.parametrize("key", [b"\0\0\0\0", b"\0\0\0\x09\0"])
def test_an_entry_under_an_impossible_key_is_found(db: zlmdb.Database, key: bytes) -> None:
    planted(db, (key, entry(slot=key[3])))
    assert told(check(db)) == [("catalogue", 0, key[2:])]


def test_two_slots_with_one_table_uuid_are_found(db: zlmdb.Database, schema: People) -> None:
    planted(db, (b"\0\0\0\x08", entry(slot=8)), (b"\0\0\0\x09", entry()))
    assert told(check(db, schema)) == [("duplicate table", 0, 9)]


def test_slots_with_data_that_no_entry_names_are_listed_and_no_fault(db: zlmdb.Database, schema: People) -> None:
    planted(db, (raw(9, b""), b"x"), (raw(700, b"a"), b"x"), (raw(700, b"b"), b"x"), (raw(65535, b"\xff"), b"x"))
    report = check(db, schema)
    assert report.ok
    assert report.unlisted_slots == [9, 700, 65535]
    assert "[9, 700, 65535]" in str(report)


def test_short_keys_of_slot_zero_are_not_the_catalogues(db: zlmdb.Database) -> None:
    planted(db, (b"\0\0", b"x"), (b"\0\0\0", b"x"))
    assert check(db).ok


# --- records


def test_every_record_that_cannot_be_read_is_found_and_none_ends_the_check(db: zlmdb.Database, schema: People) -> None:
    planted(
        db,
        (raw(TABLE, b"short"), cbor2.dumps(row(1))),
        (raw(TABLE, oid(3)), b"\xff"),
        (raw(TABLE, oid(5)), cbor2.dumps(row(5)) + b"\0"),
        (raw(GROUP, oid(1) + b"x"), b""),
        (raw(GROUP, oid(1) + oid(9)), b"y"),
    )
    assert told(check(db, schema)) == [
        ("undecodable value", TABLE, 3),
        ("trailing bytes", TABLE, 5),
        ("undecodable key", TABLE, b"short"),
        ("undecodable value", GROUP, (1, 9)),
        ("undecodable key", GROUP, oid(1) + b"x"),
    ]


def test_a_record_whose_key_and_value_are_both_broken_is_told_twice(db: zlmdb.Database, schema: People) -> None:
    planted(db, (raw(TABLE, b""), b"\xff"))
    assert told(check(db, schema)) == [("undecodable key", TABLE, b""), ("undecodable value", TABLE, b"")]


@zlmdb.table("6e5d8e0c-3b60-4b8c-9d0a-0d8b8a9f0101")
@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda: zlmdb.MapOidCbor(1, "zlib"), {"a": 1}),
        (lambda: zlmdb.MapOidCbor(1), Point(5)),
        (lambda: zlmdb.MapOidCbor(1), {"a": cbor2.CBORTag(27, (1, 2)), "b": {3, 4}}),
        (lambda: zlmdb.MapOidCbor(1, marshal=lambda n: {"n": n}, unmarshal=lambda d: d["n"]), 5),
        (lambda: zlmdb.MapOidPickle(1), {"a": 1}),
    ],
    ids=["compressed", "declared", "foreign tag", "marshalled", "pickled"],
)
def test_bytes_behind_a_value_that_reading_passes_over_are_found(
    db: zlmdb.Database, make: Callable[[], zlmdb.Map], value: object
) -> None:
    table = make()
    with db.begin(write=True) as txn:
        table[txn, 1] = value
        encoded = table.value_codec.encode(value)
        compressed = table.value_codec.name.endswith("+zlib")
        data = zlib.compress(zlib.decompress(encoded) + b"!") if compressed else encoded + b"!"
        txn.put(raw(1, oid(2)), data)
        assert table[txn, 2] == value
    assert told(check(db, table)) == [("trailing bytes", 1, 2)]


def test_what_an_applications_own_function_raises_is_a_problem_of_the_record(db: zlmdb.Database) -> None:
    def unmarshal(plain: Any) -> Any:
        raise SystemError("broken function")

    table = zlmdb.MapOidCbor(1, marshal=lambda value: value, unmarshal=unmarshal)
    with db.begin(write=True) as txn:
        table[txn, 1] = 5
    (problem,) = check(db, table).problems
    assert (problem.kind, problem.key) == ("undecodable value", 1)
    assert "broken function" in str(problem)


# --- the whole


def test_problems_beyond_the_limit_are_counted(db: zlmdb.Database, schema: People) -> None:
    planted(db, *((raw(TABLE, oid(number)), b"\xff") for number in range(100, 120)), (raw(EMAIL, b"x"), oid(99)))
    report = check(db, schema, limit=3)
    assert (report.found, len(report.problems), report.ok) == (21, 3, False)
    assert "18 more problems" in str(report)
    assert check(db, schema, limit=0, repair=True).found == 20
    assert check(db, schema, limit=20).found == 20


def test_a_check_reads_one_snapshot(db: zlmdb.Database, schema: People, monkeypatch: pytest.MonkeyPatch) -> None:
    from zlmdb.orm import agreement

    look = agreement.Agreement.check_entries

    def meanwhile(self: Any) -> int:
        with db.begin(write=True) as txn:
            schema.people.truncate(txn)
        return look(self)

    monkeypatch.setattr(agreement.Agreement, "check_entries", meanwhile)
    report = check(db, schema)
    assert report.ok
    assert report.records[schema.people.index("email").title] == 40


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        schema = db.attach(People)

        def peak() -> int:
            tracemalloc.start()
            check(db, schema)
            try:
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        def fill(numbers: range) -> None:
            with db.begin(write=True) as txn:
                schema.people.put_many(txn, [(n, {"email": f"{n:040}", "role": f"r{n % 7}"}) for n in numbers])

        fill(range(3000))
        small = peak()
        fill(range(3000, 12000))
        assert peak() < 1.5 * small


@pytest.mark.parametrize("given", [5, "text", People, ..., zlmdb.MapOidCbor], ids=str)
def test_what_is_no_map_and_no_schema_is_refused(db: zlmdb.Database, given: object) -> None:
    with pytest.raises(errors.WrongType):
        check(db, given)


@pytest.mark.parametrize("limit", [-1, None, "5", True])
def test_a_wrong_limit_is_refused(db: zlmdb.Database, limit: Any) -> None:
    with pytest.raises(errors.ConfigError):
        check(db, limit=limit)


def test_a_map_that_is_not_attached_here_is_refused(db: zlmdb.Database, tmp_path: Path) -> None:
    with pytest.raises(errors.NotAttached):
        check(db, zlmdb.MapOidCbor())
    with zlmdb.Database(tmp_path / "other") as other:
        there = other.attach(People)
    with pytest.raises(errors.WrongDatabase):
        check(db, there)


def test_a_database_opened_read_only_is_checked_and_not_repaired(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        db.attach(People)
        planted(db, (raw(EMAIL, b"x"), oid(9)))
    with zlmdb.Database(tmp_path / "db", readonly=True) as db:
        schema = db.attach(People)
        assert told(check(db, schema)) == [("stray entry", EMAIL, "x")]
        with pytest.raises(errors.ReadonlyTransaction):
            check(db, schema, repair=True)


def test_a_problem_reads_as_one_line() -> None:
    problem = Problem("stray entry", "index 'a' of T (slot 1)", 2, "k" * 500, "no such row")
    assert str(problem).startswith("index 'a' of T (slot 1), key 'kkk")
    assert str(problem).endswith("characters): stray entry: no such row")
