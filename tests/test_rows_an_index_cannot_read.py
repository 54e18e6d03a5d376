# SPDX-License-Identifier: MIT
"""Rows that cannot be decoded, or that the function of an index cannot take, are deleted and replaced like others."""

from collections.abc import Callable
from typing import Any

import cbor2
import pytest

import zlmdb
from tests.damaged import EMAIL, ROLE, TABLE, People, contents, filled, oid, planted, raw
from zlmdb import errors
from zlmdb.orm.index import Index

BAD = {
    "no CBOR": b"\xff\xff",
    "from before the field existed": cbor2.dumps({"role": "r1"}),
    "a field of another type": cbor2.dumps({"email": 1, "role": "r1"}),
    "no map": b"\x01",
}
WAYS: dict[str, Callable[[zlmdb.Transaction, zlmdb.MapOidCbor[Any]], Any]] = {
    "del": lambda txn, table: table.__delitem__((txn, 7)),
    "delete_many": lambda txn, table: table.delete_many(txn, [6, 7]),
    "put": lambda txn, table: table.__setitem__((txn, 7), {"email": "new", "role": "r2"}),
    "put of what it had": lambda txn, table: table.__setitem__((txn, 7), {"email": "e7", "role": "r1"}),
}


@pytest.fixture(params=BAD.values(), ids=BAD)
def schema(db: zlmdb.Database, request: pytest.FixtureRequest) -> People:
    schema = filled(db)
    planted(db, (raw(TABLE, oid(7)), request.param))
    return schema


@pytest.mark.parametrize("change", WAYS.values(), ids=WAYS)
def test_its_index_records_go_with_the_row(
    db: zlmdb.Database, schema: People, change: Callable[[zlmdb.Transaction, Any], Any]
) -> None:
    with db.begin(write=True) as txn:
        change(txn, schema.people)
    report = db.check(schema)
    assert report.ok, str(report)
    with db.begin() as txn:
        row = schema.people[txn, 7]
        assert schema.people.find(txn, "email", "e7") == (row if row and row["email"] == "e7" else None)
        assert (7 in schema.by_role[txn, "r1"]) == (row is not None and row["role"] == "r1")


def test_only_its_own_index_records_go(db: zlmdb.Database, schema: People) -> None:
    before = contents(db)
    with db.begin(write=True) as txn:
        del schema.people[txn, 7]
    gone = {raw(TABLE, oid(7)), raw(EMAIL, b"e7"), raw(ROLE, b"r1\0\1" + oid(7))}
    assert contents(db) == {key: data for key, data in before.items() if key not in gone}


def test_pop_and_replace_refuse_a_row_that_cannot_be_decoded_and_change_nothing(db: zlmdb.Database) -> None:
    schema = filled(db)
    planted(db, (raw(TABLE, oid(7)), b"\xff"))
    before = contents(db)
    with db.begin(write=True) as txn:
        with pytest.raises(errors.DecodeError):
            schema.people.pop((txn, 7))
        with pytest.raises(errors.DecodeError):
            schema.people.replace(txn, 7, {"email": "x"})
    assert contents(db) == before


def test_many_of_them_are_deleted_with_one_look_through_each_index(
    db: zlmdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = filled(db)
    bad = list(range(0, 40, 2))
    planted(db, *((raw(TABLE, oid(number)), b"\xff") for number in bad))
    looks: list[object] = []
    owned_by = Index.owned_by

    def counted(self: Index, txn: zlmdb.Transaction, rows: Any) -> list[bytes]:
        looks.append(self.name)
        return owned_by(self, txn, rows)

    monkeypatch.setattr(Index, "owned_by", counted)
    with db.begin(write=True) as txn:
        assert schema.people.delete_many(txn, range(30)) == 30
    assert sorted(map(str, looks)) == ["email", "role"]
    assert {problem.key for problem in db.check(schema).problems} == {30, 32, 34, 36, 38}  # those that are left


def test_the_key_of_a_row_that_cannot_be_read_is_taken(db: zlmdb.Database, schema: People) -> None:
    with db.begin(write=True) as txn:
        with pytest.raises(errors.UniqueViolation):
            schema.people[txn, 100] = {"email": "e7"}
        assert (txn, 100) not in schema.people
