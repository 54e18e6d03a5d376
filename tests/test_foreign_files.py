# SPDX-License-Identifier: MIT
"""Files of other programs, newer ones, and damaged ones: a clear error, and not a byte of them is changed.

What is refused before LMDB sees it is tested in test_environment.py; files of the published package in tests/compat.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cbor2
import lmdb
import pytest

import zlmdb
from zlmdb import errors

OID = "7f3b4f9e-6a64-4f6d-9a31-0c6f3c1d2e4b"
ANOTHER = "2d0d6f0a-92b1-4d53-8f0f-4f1e7d6b9c55"
PAGE = 4096


@zlmdb.table(OID)
class Table(zlmdb.MapStringString): ...


@zlmdb.table(ANOTHER)
class NewTable(zlmdb.MapStringString): ...


def filled(path: Path, lib_version: str | None = None) -> Path:
    with zlmdb.Database(path, lib_version=lib_version) as db:
        table = db.attach_table(Table)
        with db.begin(write=True) as txn:
            table.put_many(txn, [(str(number), "x" * 50) for number in range(3000)])
    return path / "data.mdb"


def entered(path: Path, key: bytes, data: bytes) -> Path:
    """Write a record as another program would."""
    with lmdb.open(str(path), lib_version=1) as environment, environment.begin(write=True) as txn:
        txn.put(key, data)
    return path / "data.mdb"


def refused(data: Path, error: type[Exception], use: Callable[[zlmdb.Database], Any]) -> Exception:
    """Return the error of ``use``, both read-only and not; the file must be as it was."""
    before = data.read_bytes()
    for readonly in (True, False):
        with pytest.raises(error) as caught, zlmdb.Database(data.parent, readonly=readonly) as db:
            use(db)
        assert data.read_bytes() == before
    return caught.value


def entry(**changes: object) -> bytes:
    fields = {"oid": OID, "name": "Table", "creator": "unknown", "slot": 1, **changes}
    return cbor2.dumps({name: value for name, value in fields.items() if value != "gone"})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"world",
        b"\xff\xff",
        cbor2.dumps([1, 2]),
        cbor2.dumps(None),
        entry(oid="gone"),
        entry(slot="gone"),
        entry(oid="no uuid"),
        entry(oid=7),
        entry(slot=2),
        entry(slot="1"),
        entry()[:-1],
    ],
)
@pytest.mark.parametrize("table", [Table, NewTable], ids=["table in it", "new table"])
def test_a_catalogue_that_is_none_is_refused_and_left_alone(tmp_path: Path, data: bytes, table: type) -> None:
    file = entered(tmp_path / "db", b"\0\0\0\1", data)
    error = refused(file, errors.DecodeError, lambda db: db.attach_table(table))
    assert isinstance(error, errors.DecodeError)
    assert error.expected == "a CBOR map with oid, name and slot"
    assert "not a zlmdb database" in str(error.next_step)


@pytest.mark.parametrize("newer", [{"kind": "String:9/String"}, {"kind": ["String"]}, {"version": 2}])
def test_an_entry_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path, newer: dict[str, Any]) -> None:
    file = entered(tmp_path / "db", b"\0\0\0\1", entry(**newer))
    entered(tmp_path / "db", b"\0\1key", b"in a form unknown here")
    for table in (Table, NewTable):
        error = refused(file, errors.SchemaTooNew, lambda db, table=table: db.attach_table(table))
        assert isinstance(error, errors.SchemaTooNew)
        assert str(next(iter(newer))) in str(error)
        assert "newer version" in str(error.next_step)


@pytest.mark.parametrize("kind", ["String/String+zlib", "String/Video", "Uuid/String"])
def test_a_table_of_another_kind_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    file = entered(tmp_path / "db", b"\0\0\0\1", entry(kind=kind))
    entered(tmp_path / "db", b"\0\1key", b"in another form")
    error = refused(file, errors.SlotConflict, lambda db: db.attach_table(Table))
    assert isinstance(error, errors.SlotConflict)
    assert (error.got, error.expected) == ("String/String", kind)


def test_fields_of_existing_catalogues_are_kept(tmp_path: Path) -> None:
    stored = entry(description="words", tags=["a"])
    file = entered(tmp_path / "db", b"\0\0\0\1", stored)
    before = file.read_bytes()
    with zlmdb.Database(tmp_path / "db") as db:
        assert db.attach_table(Table).slot == 1
    assert file.read_bytes() == before
    with zlmdb.Database(tmp_path / "db") as db:
        assert db.attach_table(NewTable).slot != 1
        with db.begin() as txn:
            assert bytes(txn.get(b"\0\0\0\1") or b"") == stored


def test_a_file_of_a_32_bit_machine_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(struct.pack("=12xII", 0xBEEFC0DE, 1) + bytes(8172))
    error = refused(tmp_path / "data.mdb", errors.FormatMismatch, lambda db: None)
    assert "data version 1 at byte 12" in str(error)
    assert "64-bit" in str(error)


@pytest.mark.parametrize("page", [0, 1])
def test_a_torn_meta_page_is_refused_and_left_alone(tmp_path: Path, lib_version: str, page: int) -> None:
    data = filled(tmp_path / "db", lib_version)
    content = bytearray(data.read_bytes())
    content[page * PAGE : page * PAGE + 512] = bytes(512)  # a sector that was not written
    data.write_bytes(content)
    error = refused(data, errors.NotADatabase, lambda db: None)
    assert isinstance(error, lmdb.InvalidError)


def test_pages_that_were_not_written_are_refused_and_left_alone(tmp_path: Path, lib_version: str) -> None:
    data = filled(tmp_path / "db", lib_version)
    content = data.read_bytes()
    data.write_bytes(content[: 2 * PAGE] + bytes(len(content) - 2 * PAGE))
    error = refused(data, errors.DatabaseError, lambda db: db.attach_table(Table))
    assert "CORRUPTED" in str(error)


@pytest.mark.parametrize("engine", [0, 1])
def test_a_file_with_named_databases_is_refused_and_left_alone(tmp_path: Path, engine: int) -> None:
    with lmdb.open(str(tmp_path / "db"), max_dbs=2, lib_version=engine) as environment:
        users = environment.open_db(b"users")
        with environment.begin(write=True, db=users) as txn:
            txn.put(b"alice", b"1")
    data = tmp_path / "db" / "data.mdb"
    before = data.read_bytes()
    with suppress(errors.ZlmdbError), zlmdb.Database(tmp_path / "db") as db:
        db.attach_table(Table)
    assert data.read_bytes() == before
    refused(data, errors.NotADatabase, lambda db: db.attach_table(Table))
