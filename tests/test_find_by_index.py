# SPDX-License-Identifier: MIT
"""`Map.find`: from the key of a unique index to the record, in one step."""

from pathlib import Path
from typing import Any

import pytest

import zlmdb
from zlmdb import errors


class People(zlmdb.Schema):
    def __init__(self) -> None:
        self.people = zlmdb.MapUint64Cbor(1)
        self.by_email = zlmdb.MapStringUint64(2)
        self.by_role = zlmdb.MapStringUint64(3)
        self.by_serial = zlmdb.MapUint64Cbor(4)
        self.people.attach_index("email", self.by_email, lambda row: row["email"])
        self.people.attach_index("role", self.by_role, lambda row: row["role"], unique=False)
        # the owner's key is not stored as the key itself is
        self.people.attach_index("serial", self.by_serial, lambda row: row.get("serial"), nullable=True)


ADA = {"email": "ada@example.com", "role": "admin", "serial": 7}


@pytest.fixture(params=[False, True], ids=["bytes", "buffers"])
def found(request: Any, tmp_path: Path) -> Any:
    schema = People()
    with zlmdb.Database(str(tmp_path)) as db:
        with db.begin(write=True) as txn:
            schema.people[txn, 1] = ADA
            schema.people[txn, 0] = {"email": "", "role": "user"}
        with db.begin(buffers=request.param) as txn:
            yield lambda name, key: schema.people.find(txn, name, key)


def test_a_record_is_found_by_each_unique_index(found: Any) -> None:
    assert found("email", "ada@example.com") == ADA
    assert found("email", "") == {"email": "", "role": "user"}
    assert found("serial", 7) == ADA


def test_nothing_is_none(found: Any) -> None:
    assert found("email", "nobody") is None
    assert found("serial", 0) is None


def test_an_index_that_is_not_unique_or_not_there_is_refused(found: Any) -> None:
    with pytest.raises(errors.SchemaError, match="several owners"):
        found("role", "admin")
    with pytest.raises(errors.SchemaError, match="no index of this name"):
        found("phone", "1")


def test_a_key_of_another_type_is_refused(found: Any) -> None:
    with pytest.raises(errors.WrongType, match="String"):
        found("email", 1)


def test_an_index_record_whose_owner_is_gone_finds_nothing(tmp_path: Path) -> None:
    schema = People()
    with zlmdb.Database(str(tmp_path)) as db, db.begin(write=True) as txn:
        schema.people[txn, 1] = ADA
        zlmdb.MapUint64Cbor(1).__delitem__((txn, 1))  # by a map that knows of no index
        assert schema.by_email[txn, ADA["email"]] == 1
        assert schema.people.find(txn, "email", ADA["email"]) is None


def test_a_finished_transaction_is_refused(tmp_path: Path) -> None:
    schema = People()
    with zlmdb.Database(str(tmp_path)) as db:
        with db.begin() as txn:
            pass
        with pytest.raises(errors.TransactionFinished):
            schema.people.find(txn, "email", "x")
