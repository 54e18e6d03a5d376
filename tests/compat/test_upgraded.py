# SPDX-License-Identifier: MIT
"""Tables that the published package keeps in a layout that does not sort: upgraded, refused, or read as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.compat import program, samples
from tests.compat.conftest import Published
from tests.compat.ways import way_of
from tests.compat.wire import said
from zlmdb import errors
from zlmdb.codecs import PUBLISHED_MAPS

UPGRADED = [name for name in PUBLISHED_MAPS if way_of(name).to_ours == "upgraded"]
SPECS = [samples.table(name) for name in UPGRADED]
ROWS = {name: samples.rows(name) for name in UPGRADED}


@pytest.fixture
def path(published: Published, tmp_path: Path, lib_version: str) -> Path:
    """A database that the published package has filled."""
    calls = [("put", name, *row) for name, rows in ROWS.items() for row in rows]
    given = published(tmp_path / "db", tables=SPECS, calls=calls, options={"lib_version": lib_version})
    assert {said(answer) for answer in given} == {said({"gave": None})}
    return tmp_path / "db"


def reads() -> list[Any]:
    gets = [("get", name, key) for name, rows in ROWS.items() for key, _ in rows]
    return [*gets, *(("scan", name) for name in UPGRADED), *(("count", name) for name in UPGRADED)]


def expected() -> str:
    gets = [value for rows in ROWS.values() for _, value in rows]
    return said([{"gave": it} for it in [*gets, *map(sorted, ROWS.values()), *map(len, ROWS.values())]])


def test_opened_read_only_they_read_in_order_and_the_file_is_left_alone(path: Path) -> None:
    before = (path / "data.mdb").read_bytes()
    given = program.run({"path": path, "tables": SPECS, "calls": reads(), "options": {"readonly": True}})
    assert said(given) == expected()
    assert (path / "data.mdb").read_bytes() == before


def test_where_upgrades_are_refused_the_file_is_left_alone(path: Path) -> None:
    before = (path / "data.mdb").read_bytes()
    for spec in SPECS:
        with zlmdb.Database(path, upgrade="refuse") as db, pytest.raises(errors.UpgradeNeeded):
            program.attached(db, [spec])
    assert (path / "data.mdb").read_bytes() == before


def test_upgraded_they_read_in_order_again_and_again_and_the_old_records_stay(path: Path) -> None:
    with zlmdb.Database(path) as db, db.begin() as txn:
        old = dict(txn.cursor())
    for _ in range(2):
        assert said(program.run({"path": path, "tables": SPECS, "calls": reads()})) == expected()
    with zlmdb.Database(path) as db:
        report = db.check(*program.attached(db, SPECS).values())
        assert report.ok, report
        with db.begin() as txn:
            now = dict(txn.cursor())
    kept = {key: data for key, data in old.items() if key[:2] != b"\0\0"}  # all but the catalogue
    assert {key: now.get(key) for key in kept} == kept


def test_upgraded_they_take_records_and_stay_in_order(path: Path) -> None:
    with zlmdb.Database(path) as db:
        maps = program.attached(db, SPECS)
        for name, rows in ROWS.items():
            with db.begin(write=True) as txn:
                del maps[name][txn, rows[0][0]]
                maps[name][txn, rows[1][0]] = rows[2][1]
                left = {**dict(rows[1:]), rows[1][0]: rows[2][1]}
                assert said(program.scanned(maps[name], txn)) == said(sorted(left.items(), key=lambda item: item[0]))
        assert db.check(*maps.values()).ok
