# SPDX-License-Identifier: MIT
"""`check` finds and names each way in which an index and its table disagree, and `repair` ends it."""

from typing import Any

import cbor2
import pytest

import zlmdb
from tests.damaged import EMAIL, ROLE, TABLE, People, contents, filled, oid, planted, raw, told
from zlmdb import errors
from zlmdb.orm.check import check


@pytest.fixture
def schema(db: zlmdb.Database) -> People:
    return filled(db)


ENTRY = {
    "email of 7": raw(EMAIL, b"e7"),
    "role of 7": raw(ROLE, b"r1\0\1" + oid(7)),
}

DISAGREEMENTS: dict[str, tuple[list[tuple[bytes, bytes | None]], list[tuple[str, int, object]]]] = {
    "unique entry missing": ([(ENTRY["email of 7"], None)], [("missing entry", EMAIL, 7)]),
    "non-unique entry missing": ([(ENTRY["role of 7"], None)], [("missing entry", ROLE, 7)]),
    "unique entry of no row": ([(raw(EMAIL, b"x"), oid(99))], [("stray entry", EMAIL, "x")]),
    "unique entry of a row with another key": ([(raw(EMAIL, b"x"), oid(7))], [("stray entry", EMAIL, "x")]),
    "non-unique entry of no row": ([(raw(ROLE, b"r1\0\1" + oid(99)), b"")], [("stray entry", ROLE, "r1")]),
    "non-unique entry of a row with another key": (
        [(raw(ROLE, b"r2\0\1" + oid(7)), b"")],
        [("stray entry", ROLE, "r2")],
    ),
    "entry of a row with a null": ([(raw(ROLE, b"r0\0\1" + oid(8)), b"")], [("stray entry", ROLE, "r0")]),
    "owner swapped": ([(ENTRY["email of 7"], oid(8))], [("wrong owner", EMAIL, "e7")]),
    "owner that does not exist": ([(ENTRY["email of 7"], oid(99))], [("wrong owner", EMAIL, "e7")]),
    "owner that is none": ([(ENTRY["email of 7"], b"abc")], [("wrong layout", EMAIL, "e7")]),
    "set layout in a unique index": (
        [(raw(EMAIL, b"e7\0\1" + oid(7)), b"")],
        [("wrong layout", EMAIL, "e7\0\1" + "\0" * 7 + "\7")],
    ),
    "single layout in a non-unique index": ([(raw(ROLE, b"r1"), oid(7))], [("wrong layout", ROLE, b"r1")]),
    "data in an entry of a set": ([(ENTRY["role of 7"], b"x")], [("wrong layout", ROLE, "r1")]),
    "key that is no text": ([(raw(EMAIL, b"\xff"), oid(7))], [("wrong layout", EMAIL, b"\xff")]),
    "row changed behind its indexes": (
        [(raw(TABLE, oid(7)), cbor2.dumps({"email": "new", "role": "r1"}))],
        [("missing entry", EMAIL, 7), ("stray entry", EMAIL, "e7")],
    ),
    "row deleted behind its indexes": (
        [(raw(TABLE, oid(7)), None)],
        [("stray entry", EMAIL, "e7"), ("stray entry", ROLE, "r1")],
    ),
}


@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_each_disagreement_is_found_named_and_repaired(db: zlmdb.Database, schema: People, name: str) -> None:
    changes, expected = DISAGREEMENTS[name]
    planted(db, *changes)
    report = check(db, schema)
    assert told(report) == expected
    titles = {schema.people.index(which).title for which in ("email", "role")}
    assert {problem.map for problem in report.problems} <= titles
    assert told(check(db, schema)) == expected  # looking changed nothing

    repaired = check(db, schema, repair=True)
    assert repaired.ok
    assert set(repaired.repaired) == {problem.map for problem in report.problems}
    assert check(db, schema).ok
    with db.begin(write=True) as txn:
        before = [dict(schema.by_email.select(txn)), {key: set(value) for key, value in schema.by_role.select(txn)}]
        schema.people.rebuild_indexes(txn)
        assert before == [dict(schema.by_email.select(txn)), {k: set(v) for k, v in schema.by_role.select(txn)}]


def test_a_repair_says_what_it_did(db: zlmdb.Database, schema: People) -> None:
    planted(db, (ENTRY["email of 7"], oid(8)), (raw(EMAIL, b"x"), oid(1)), (ENTRY["role of 7"], None))
    report = check(db, schema, repair=True)
    email, role = (schema.people.index(name).title for name in ("email", "role"))
    assert report.repaired == {email: (1, 1), role: (0, 1)}
    assert f"{email}: repaired, 1 entries deleted, 1 written" in str(report)


def test_two_rows_with_one_unique_key_are_reported_and_stay(db: zlmdb.Database, schema: People) -> None:
    planted(db, (raw(TABLE, oid(90)), cbor2.dumps({"email": "e7"})))
    before = contents(db)
    for repair in (False, True):
        report = check(db, schema, repair=repair)
        assert told(report) == [("conflict", EMAIL, 90)]
        assert report.repaired == {}
    assert contents(db) == before


def test_two_rows_with_one_unique_key_and_no_entry_are_a_conflict_of_which_one_is_indexed(
    db: zlmdb.Database, schema: People
) -> None:
    for present in (None, oid(99)):
        planted(db, (raw(TABLE, oid(90)), cbor2.dumps({"email": "e7"})), (ENTRY["email of 7"], present))
        first = ("missing entry", EMAIL, 7) if present is None else ("wrong owner", EMAIL, "e7")
        assert told(check(db, schema)) == [first, ("conflict", EMAIL, 90)]
    assert told(check(db, schema, repair=True)) == [("conflict", EMAIL, 90)]
    with db.begin() as txn:
        assert schema.by_email[txn, "e7"] == 7


def test_what_is_known_of_an_unreadable_row_is_kept(db: zlmdb.Database, schema: People) -> None:
    planted(db, (raw(TABLE, oid(7)), b"\xff"), (raw(TABLE, oid(90)), cbor2.dumps({"email": "e7"})))
    planted(db, (raw(EMAIL, b"x"), oid(99)))
    report = check(db, schema, repair=True)
    assert told(report) == [("undecodable value", TABLE, 7), ("conflict", EMAIL, 90)]
    assert report.repaired == {schema.people.index("email").title: (1, 0)}
    stored = contents(db)
    assert (stored[raw(TABLE, oid(7))], stored[ENTRY["email of 7"]], stored[ENTRY["role of 7"]]) == (
        b"\xff",
        oid(7),
        b"",
    )


@pytest.mark.parametrize(
    "value",
    [{"email": None}, {}, 5, {"email": 5}, {"email": "x" * 3000}, {"email": "a", "role": 5}],
    ids=["null", "no field", "no map", "a number", "too long", "a number in the other"],
)
def test_a_row_of_which_no_entry_can_be_made_is_told_and_left(
    db: zlmdb.Database, schema: People, value: object
) -> None:
    planted(db, (raw(TABLE, oid(90)), cbor2.dumps(value)))
    report = check(db, schema, repair=True)
    assert {problem.kind for problem in report.problems} <= {"unindexable", "missing entry"}
    assert {problem.key for problem in report.problems} == {90}
    assert "unindexable" in {problem.kind for problem in check(db, schema).problems}
    assert contents(db)[raw(TABLE, oid(90))] == cbor2.dumps(value)


def test_an_owner_that_the_table_cannot_be_asked_for_is_told_and_left(db: zlmdb.Database) -> None:
    table, index = zlmdb.MapTimestampCbor(1), zlmdb.MapStringTimestamp(2)
    table.attach_index("name", index, lambda row: row)
    before_1970 = b"\xff" * 8
    planted(db, (raw(1, before_1970), cbor2.dumps("old")), (raw(2, b"old"), before_1970))
    report = check(db, table, repair=True)
    assert [problem.kind for problem in report.problems] == ["unindexable", "unindexable"]
    assert contents(db)[raw(2, b"old")] == before_1970


def test_a_repair_is_all_or_nothing(db: zlmdb.Database, schema: People, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(db, (ENTRY["email of 7"], None), (ENTRY["role of 7"], None))
    before = contents(db)
    put, written = zlmdb.Transaction.put, []

    def failing(txn: zlmdb.Transaction, *args: Any) -> bool:
        written.append(args)
        if len(written) == 2:
            raise errors.DiskFull("no room")
        return put(txn, *args)

    monkeypatch.setattr(zlmdb.Transaction, "put", failing)
    with pytest.raises(errors.DiskFull):
        check(db, schema, repair=True)
    assert contents(db) == before
