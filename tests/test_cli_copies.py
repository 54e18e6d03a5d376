# SPDX-License-Identifier: MIT
"""``zlmdb check``, and the commands that copy: ``backup``, ``convert``, ``compact``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import zlmdb
from tests import old_files
from tests.children import Held, fill
from tests.cli_samples import (
    MODULE,
    ONE,
    OPEN,
    file_of,
    make,
    rows,
    run,
)
from zlmdb.storage import data_file


@pytest.fixture
def path(tmp_path: Path, lib_version: str, no_fixed_slots: None) -> str:
    """A database with a table of many a kind."""
    make(str(tmp_path / "db"), lib_version)
    return str(tmp_path / "db")


# --- check -------------------------------------------------------------------------------------------


def test_check_reads_every_table_whose_kind_is_known_and_names_the_others(path: str) -> None:
    told = run("check", path).stdout
    assert "no problems" in told
    assert "slot 500 (no name) not read: kind unknown" in told
    assert "no map of them was given" not in told
    report = json.loads(run("check", path, "--json").stdout)
    assert (report["ok"], report["found"], report["unread_slots"]) == (True, 0, [500])
    assert report["records"][f"{MODULE}.Documents (slot 3)"] == 1


def test_check_finds_damaged_keys_values_and_catalogue_entries(path: str) -> None:
    with zlmdb.Database(path) as db, db.begin(write=True) as txn:
        txn.put(b"\0\1" + b"\2" * 16, b"\xff\xff")
        txn.put(b"\0\1" + b"\4", b"\xf6")
        txn.put(b"\0\2nothing", b"")
        txn.put(b"\0\0\0\x63", b"no entry")
    before = file_of(path)
    report = json.loads(run("check", path, "--json", code=1).stdout)
    found = sorted(problem["kind"] for problem in report["problems"])
    assert found == ["catalogue", "undecodable key", "undecodable key", "undecodable value"]
    assert "more problems" in run("check", path, "--limit", 1, code=1).stdout
    assert file_of(path) == before


def test_check_of_damaged_pages_tells_them_and_reads_no_record(path: str) -> None:
    raw = bytearray(file_of(path))
    with zlmdb.Database(path, readonly=True) as db:
        size = db.stats()["page_size"]
    for page in range(2, len(raw) // size):
        raw[page * size : page * size + 64] = b"\xa5" * 64
    data_file(path).write_bytes(raw)
    assert "no record was read" in run("check", path, code=1).stdout
    assert json.loads(run("check", path, "--json", code=1).stdout)["pages"]


@pytest.mark.parametrize(("lib_version", "place", "byte"), [("1.0", 20522, 255), ("0.9", 12330, 1), ("0.9", 16403, 1)])
def test_check_survives_pages_that_end_the_process_that_opens_them(
    tmp_path: Path, lib_version: Any, place: int, byte: int
) -> None:
    path = str(tmp_path / "damaged")
    with zlmdb.Database(path, lib_version=lib_version) as db, db.begin(write=True) as txn:
        zlmdb.MapOidCbor(1).put_many(txn, [(number, {"x": "y" * 50}) for number in range(300)])
    raw = bytearray(file_of(path))
    raw[place] = byte
    data_file(path).write_bytes(raw)
    assert "problems in the pages of the file" in run("check", path, code=1).stdout


def test_check_with_a_schema_finds_what_indexes_lack_and_repairs_it_when_asked(path: str) -> None:
    reference = f"{MODULE}:Everything"
    run("check", path, "--schema", reference)
    with zlmdb.Database(path) as db, db.begin(write=True) as txn:
        txn.delete(index_entry(txn))
    before = file_of(path)
    assert "missing entry" in run("check", path, "--schema", reference, code=1).stdout
    run("check", path)
    assert file_of(path) == before
    report = json.loads(run("check", path, "--schema", reference, "--repair", "--json").stdout)
    assert (report["ok"], list(report["repaired"].values())) == (True, [[0, 1]])
    run("check", path, "--schema", reference)


def index_entry(txn: zlmdb.Transaction) -> bytes:
    cursor = txn.cursor()
    assert cursor.set_range(b"\0\2")
    return bytes(cursor.key())


def test_check_repairs_nothing_without_a_schema(path: str) -> None:
    assert "--repair needs --schema" in run("check", path, "--repair", code=2).stderr


@pytest.mark.parametrize("reference", ["nowhere:Nothing", "zlmdb:Nothing", "no module", "zlmdb.errors:ZlmdbError"])
def test_check_refuses_what_is_no_schema(path: str, reference: str) -> None:
    assert "error: " in run("check", path, "--schema", reference, code=1).stderr


# --- copies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--no-compact"]])
def test_backup_copies_a_database_that_another_process_has_open(path: str, tmp_path: Path, options: list[str]) -> None:
    with Held(OPEN, path) as other:
        assert other.said() == "open"
        told = json.loads(run("backup", path, tmp_path / "copy", "--json", *options).stdout)
        other.finish()
    assert told == {"target": str(tmp_path / "copy"), "bytes": data_file(tmp_path / "copy").stat().st_size}
    assert run("dump", tmp_path / "copy").stdout == run("dump", path).stdout


def test_convert_copies_to_the_other_format(path: str, tmp_path: Path, lib_version: str) -> None:
    other = {"0.9": "1.0", "1.0": "0.9"}[lib_version]
    told = json.loads(run("convert", path, tmp_path / "copy", "--to", other, "--json").stdout)
    assert (told["format"], told["records"]) == (other, len(rows(run("dump", path).stdout)) + 6)
    assert run("dump", tmp_path / "copy").stdout == run("dump", path).stdout
    assert f"lib_version: {other}\n" in run("info", tmp_path / "copy").stdout


@pytest.mark.parametrize("copy", [["backup"], ["convert", "--to", "0.9"]])
def test_a_copy_never_replaces_anything_and_needs_the_place_it_goes_to(
    path: str, tmp_path: Path, copy: list[str]
) -> None:
    name, *options = copy
    assert "stands here already" in run(name, path, path, *options, code=1).stderr
    assert "does not exist" in run(name, path, tmp_path / "missing" / "copy", *options, code=1).stderr
    assert "error: " in run(name, path, "/proc/copy", *options, code=1).stderr
    assert "error: there is no database" in run(name, tmp_path / "none", tmp_path / "copy", *options, code=1).stderr
    assert not (tmp_path / "copy").exists()


def test_compact_makes_the_file_smaller_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    fill(tmp_path / "db")
    words = zlmdb.MapStringString(1)
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        words.delete_many(txn, [f"{number:06}" for number in range(1900)])
    before = run("dump", tmp_path / "db").stdout
    told = json.loads(run("compact", tmp_path / "db", "--json").stdout)
    assert told["after"] < told["before"] // 4
    assert told["dropped"] == []
    assert run("dump", tmp_path / "db").stdout == before


@pytest.fixture
def upgraded(tmp_path: Path, no_fixed_slots: None) -> str:
    """A database with a table that has left its old layout, in slot 1."""
    where = str(tmp_path / "old")
    with zlmdb.Database(where) as db:
        old_files.make(db, "MapUuidUuidSet", 1, [(ONE, {ONE, UUID(int=2)})])
    assert [row["value"] for row in rows(run("dump", where, "--table", 1, "--kind", "MapUuidUuidSet").stdout)] == [
        [str(ONE), str(UUID(int=2))]
    ]
    with zlmdb.Database(where) as db:
        db.attach_table(old_files.declared("MapUuidUuidSet"))
    assert sorted(row["slot"] for row in rows(run("dump", where).stdout)) == [1, 2, 2]
    return where


def test_compact_drops_the_old_layouts_of_upgraded_tables_unless_they_are_to_be_kept(upgraded: str) -> None:
    run("compact", upgraded, "--old-layouts", "keep")
    assert sorted(row["slot"] for row in rows(run("dump", upgraded).stdout)) == [1, 2, 2]
    assert "1 old records deleted" in run("compact", upgraded).stdout
    assert sorted(row["slot"] for row in rows(run("dump", upgraded).stdout)) == [2, 2]
    assert json.loads(run("compact", upgraded, "--json").stdout)["dropped"] == []


def test_compact_keeps_an_old_layout_to_which_an_old_program_still_writes(upgraded: str) -> None:
    with zlmdb.Database(upgraded) as db, db.begin(write=True) as txn:
        old_files.store(txn, "MapUuidUuidSet", 1, [(UUID(int=9), {ONE})])
    before = file_of(upgraded)
    assert "changed after its upgrade" in run("compact", upgraded, code=1).stderr
    assert file_of(upgraded) == before
    told = json.loads(run("compact", upgraded, "--old-layouts", "force", "--json").stdout)
    assert [(each["slot"], each["records"]) for each in told["dropped"]] == [(1, 1)]


def test_compact_is_refused_while_the_database_is_open_elsewhere(path: str) -> None:
    with Held(OPEN, path) as other:
        assert other.said() == "open"
        assert "error: another process has the database open" in run("compact", path, code=1).stderr
        other.finish()
