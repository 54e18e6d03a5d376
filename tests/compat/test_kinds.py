# SPDX-License-Identifier: MIT
"""Each published kind of table, in both formats: written by one program, read by the other, compared with the values.

What is expected of each kind says `tests.compat.ways`.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.compat import program, samples
from tests.compat.conftest import Published
from tests.compat.samples import Manifest
from tests.compat.ways import as_published_selects, way_of
from tests.compat.wire import said
from zlmdb.codecs import PUBLISHED_MAPS

MANIFEST = samples.manifest()
if importlib.util.find_spec("snappy") is None:  # optional with either package
    MANIFEST = {label: entry for label, entry in MANIFEST.items() if entry[0]["compress"] != 2}
SPECS = [spec for spec, _ in MANIFEST.values()]


def puts(manifest: Manifest) -> list[Any]:
    return [("put", label, *row) for label, (_, rows) in manifest.items() for row in rows]


def reads(label: str, rows: list[tuple[Any, Any]]) -> list[Any]:
    return [*(("get", label, key) for key, _ in rows), ("count", label), ("scan", label)]


def outcomes(calls: list[Any], given: list[Any]) -> dict[str, set[str]]:
    """Return the errors by table."""
    found: dict[str, set[str]] = {}
    for (_, label, *_), answer in zip(calls, given, strict=True):
        found.setdefault(label, set()).update([answer["error"]] if "error" in answer else [])
    return {label: errors for label, errors in found.items() if errors}


def texts(rows: Any) -> list[str]:
    return [said(row) for row in rows]


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def lib_version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def published_file(
    published: Published, lib_version: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, set[str]]]:
    """All tables as the published package writes them, and the errors that it had."""
    path = tmp_path_factory.mktemp("published") / "db"
    calls = puts(MANIFEST)
    given = published(path, tables=SPECS, calls=calls, options={"lib_version": lib_version})
    return path, outcomes(calls, given)


@pytest.fixture(scope="module")
def read_by_published(
    published: Published, lib_version: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Any]]:
    """What the published package gives for the reads of all tables that we wrote."""
    path = tmp_path_factory.mktemp("ours") / "db"
    given = program.run(
        {"path": path, "tables": SPECS, "calls": puts(MANIFEST), "options": {"lib_version": lib_version}}
    )
    assert {said(answer) for answer in given} == {said({"gave": None})}
    calls = [call for label, (_, rows) in MANIFEST.items() for call in reads(label, rows)]
    answers: dict[str, list[Any]] = {}
    for (_, label, *_), answer in zip(calls, published(path, tables=SPECS, calls=calls), strict=True):
        answers.setdefault(label, []).append(answer)
    return answers


def test_the_published_package_is_the_one_that_runs(published: Published) -> None:
    about = published(None)
    assert about["version"] == "26.10.1"
    assert Path(about["file"]) != Path(zlmdb.__file__)
    assert "site-packages" in about["file"]


def test_the_samples_hold_every_published_map_and_every_compression() -> None:
    manifest = samples.manifest()
    assert {spec["map"] for spec, _ in manifest.values()} == PUBLISHED_MAPS.keys()
    assert {spec["compress"] for spec, _ in manifest.values()} == {None, 1, 2}
    assert all(len(rows) > samples.RANDOM_ROWS for _, rows in manifest.values())
    assert texts(rows for _, rows in manifest.values()) == texts(rows for _, rows in samples.manifest().values())


def test_the_published_package_writes_all_but_what_it_cannot(published_file: tuple[Path, dict[str, set[str]]]) -> None:
    refused = {label for label, (spec, _) in MANIFEST.items() if way_of(spec["map"]).to_ours == "nothing"}
    assert published_file[1] == {label: {"AttributeError"} for label in refused}


@pytest.mark.parametrize("label", MANIFEST)
def test_ours_reads_what_the_published_package_wrote(
    published_file: tuple[Path, dict[str, set[str]]], tmp_path: Path, label: str
) -> None:
    shutil.copytree(published_file[0], tmp_path / "db")
    spec, rows = MANIFEST[label]
    if way_of(spec["map"]).to_ours == "nothing":
        rows = []
    *values, count, scan = program.run({"path": tmp_path / "db", "tables": [spec], "calls": reads(label, rows)})
    assert texts(values) == texts({"gave": value} for _, value in rows)
    assert count["gave"] == len(rows)
    assert texts(scan["gave"]) == texts(sorted(rows))  # and so in the order of the keys


def test_ours_finds_nothing_wrong_in_what_the_published_package_wrote(
    published_file: tuple[Path, dict[str, set[str]]], tmp_path: Path
) -> None:
    shutil.copytree(published_file[0], tmp_path / "db")
    with zlmdb.Database(tmp_path / "db") as db:
        maps = program.attached(db, SPECS)
        report = db.check(*maps.values())
        assert report.ok, report
        assert db.stats()["num_slots"] >= len(SPECS)


def test_the_same_records_are_the_same_bytes(published_file: tuple[Path, dict[str, set[str]]], tmp_path: Path) -> None:
    shutil.copytree(published_file[0], tmp_path / "db")
    shared = {label: entry for label, entry in MANIFEST.items() if way_of(entry[0]["map"]).to_ours == "yes"}
    with zlmdb.Database(tmp_path / "db") as db:
        maps = program.attached(db, [spec for spec, _ in shared.values()])
        with db.begin(write=True) as txn:
            before = dict(txn.cursor())
            program.answers(maps, txn, puts(shared))
            after = dict(txn.cursor())
    assert before == after


@pytest.mark.parametrize("label", MANIFEST)
def test_the_published_package_reads_what_ours_wrote_as_far_as_it_can(
    read_by_published: dict[str, list[Any]], label: str
) -> None:
    spec, rows = MANIFEST[label]
    name, way = spec["map"], way_of(spec["map"]).to_published
    *values, count, scan = read_by_published[label]
    by_key = texts(values) == texts({"gave": value} for _, value in rows)
    selected = [(as_published_selects(name, key), value) for key, value in sorted(rows)]
    by_select = said(scan) == said({"gave": selected})
    assert (by_key, by_select) == {
        "yes": (True, True),
        "parts differ": (True, True),
        "by key": (True, False),
        "by select": (False, True),
        "no": (False, False),
    }[way]
    if way != "no":
        assert count["gave"] == len(rows)
