# SPDX-License-Identifier: MIT
"""Fields that other programs put into the catalogue's entries: passed over, and kept where an entry is written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cbor2
import pytest

import zlmdb
from tests.old_files import declared, make

OID = "7f3b4f9e-6a64-4f6d-9a31-0c6f3c1d2e4b"
ENTRY = {"oid": OID, "name": "Table", "tags": ["x"], "creator": "someone", "slot": 1, "colour": {"of": "red"}}
KEY = b"\0\0\0\1"


@zlmdb.table(OID)
class Table(zlmdb.MapStringString): ...


@zlmdb.table("2d0d6f0a-92b1-4d53-8f0f-4f1e7d6b9c55")
class NewTable(zlmdb.MapStringString): ...


def entry(db: zlmdb.Database, key: bytes = KEY) -> dict[str, Any]:
    with db.begin() as txn:
        found: dict[str, Any] = cbor2.loads(txn.get(key))
    return found


def others(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("tags", "creator", "colour")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        txn.put(KEY, cbor2.dumps(ENTRY))
        txn.put(b"\0\1key", b"value")
    return tmp_path / "db"


@pytest.mark.parametrize("readonly", [False, True])
def test_a_table_with_further_fields_can_be_used(path: Path, readonly: bool) -> None:
    with zlmdb.Database(path, readonly=readonly) as db:
        table = db.attach_table(Table)
        with db.begin() as txn:
            assert dict(table.select(txn)) == {"key": "value"}
        assert db.check(table).ok
        assert entry(db) == ENTRY


@pytest.mark.usefixtures("no_fixed_slots")
def test_a_new_table_leaves_the_entries_of_others_alone(path: Path) -> None:
    with zlmdb.Database(path) as db:
        assert db.attach_table(NewTable).slot == 2
        assert entry(db) == ENTRY
        assert set(entry(db, b"\0\0\0\2")) == {"oid", "name", "creator", "slot", "kind"}


def test_an_entry_that_is_written_anew_keeps_the_fields_of_others(tmp_path: Path) -> None:
    old = declared("MapOidTimestampOid")
    with zlmdb.Database(tmp_path / "db") as db:
        make(db, "MapOidTimestampOid", 1, [])
        with db.begin(write=True) as txn:
            txn.put(KEY, cbor2.dumps({**cbor2.loads(txn.get(KEY)), "tags": ["x"], "creator": "me", "colour": "red"}))
        table = db.attach_table(old)  # the slot is empty: from now on it has a kind
        found = entry(db)
        assert found["kind"] == table.kind
        assert others(found) == {"tags": ["x"], "creator": "me", "colour": "red"}
