# SPDX-License-Identifier: MIT
"""What an open database says whose file was removed, replaced or damaged, and of a place that takes no files."""

from __future__ import annotations

import shutil
from pathlib import Path

import lmdb
import pytest

import zlmdb
from zlmdb import errors
from zlmdb.storage import faults

words = zlmdb.MapStringString(7)


def test_statistics_tell_the_size_of_the_file(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        words.put_many(txn, ((str(number), "x" * 100) for number in range(1000)))
    assert db.stats()["current_size"] == (Path(db.dbpath) / "data.mdb").stat().st_size


def test_statistics_outlive_the_name_of_the_file(tmp_path: Path, lib_version: str) -> None:
    path = tmp_path / "db"
    with zlmdb.Database(path, lib_version=lib_version) as db:
        with db.begin(write=True) as txn:
            words.put_many(txn, ((str(number), "x" * 100) for number in range(1000)))
        size = db.stats()["current_size"]
        shutil.rmtree(path)
        assert db.stats(include_slots=True)["current_size"] == size
        path.mkdir()
        (path / "data.mdb").write_bytes(b"another file")
        assert db.stats()["current_size"] == size


@pytest.mark.parametrize("kind", [lmdb.CorruptedError, lmdb.PageNotFoundError])
def test_damage_is_reported_with_what_to_do(kind: type[lmdb.Error]) -> None:
    fault = faults.translate(kind("what LMDB says"), "/some/db", used=0, limit=0)
    assert isinstance(fault, errors.StorageFailure)
    assert "restore it from a backup" in str(fault)
    assert fault.expected


def test_a_zeroed_page_is_reported_with_what_to_do(tmp_path: Path, lib_version: str) -> None:
    path = tmp_path / "db"
    with zlmdb.Database(path, lib_version=lib_version) as db:
        with db.begin(write=True) as txn:
            words.put_many(txn, ((f"{number:05}", "x" * 100) for number in range(2000)))
        page = db.stats()["page_size"]
    data = bytearray((path / "data.mdb").read_bytes())
    data[2 * page : 3 * page] = bytes(page)  # the first leaf
    (path / "data.mdb").write_bytes(data)
    told = pytest.raises(errors.StorageFailure, match=r"damaged.*restore it from a backup")
    with zlmdb.Database(path, readonly=True) as db, db.begin() as txn, told:
        words[txn, "00000"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")
def test_a_file_system_that_takes_no_directories_denies_access() -> None:
    with pytest.raises(errors.AccessDenied, match="/proc/zlmdb-none"):
        zlmdb.Database("/proc/zlmdb-none")


def test_a_parent_directory_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(errors.DatabaseMissing, match="create"):
        zlmdb.Database(tmp_path / "none" / "db")
