# SPDX-License-Identifier: MIT
"""Both programs write to one file in turn: records, indexes and the catalogue stay right for either."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import zlmdb
from tests.compat import program, samples
from tests.compat.conftest import Published
from tests.compat.ways import way_of
from tests.compat.wire import said

Row = dict[str, Any]
Model = dict[Any, Row]

BY_EMAIL = {"label": "ByEmail", "fields": ["email"]}
BY_PHONE = {"label": "ByPhone", "fields": ["phone"], "nullable": True}
BY_TIME = {"label": "BySessionAndTime", "fields": ["session", "since"], "times": ["since"]}
PEOPLE = [
    samples.table("MapStringUuid", label="ByEmail"),
    samples.table("MapUuidCbor", label="People", indexes=[BY_EMAIL, BY_PHONE, BY_TIME]),
    samples.table("MapStringUuid", label="ByPhone"),
    samples.table("MapUint64TimestampUuid", label="BySessionAndTime"),
]
SQUEEZED = [
    samples.table("MapUuidJson", 1, "Squeezed", indexes=[{"label": "SqueezedByEmail", "fields": ["email"]}]),
    samples.table("MapStringUuid", label="SqueezedByEmail"),
]
TABLES = [*PEOPLE, *SQUEEZED]
INDEXES = {"People": [BY_EMAIL, BY_PHONE, BY_TIME], "Squeezed": [{"label": "SqueezedByEmail", "fields": ["email"]}]}


def ours(path: Path, **request: Any) -> Any:
    return program.run({"path": path, **request})


def expected_index(index: dict[str, Any], model: Model) -> list[Any]:
    """Return the records of an index, made anew from the rows."""
    found = {}
    for key, row in model.items():
        times = index.get("times", ())
        parts = [np.datetime64(row[name], "ns") if name in times else row[name] for name in index["fields"]]
        if None not in parts:
            found[parts[0] if len(parts) == 1 else tuple(parts)] = key
    return sorted(found.items())


class Turns:
    """A model of the tables with indexes, and random changes that either program may make of them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.model: dict[str, Model] = {label: {} for label in INDEXES}

    def row(self) -> Row:
        number = self.random.getrandbits(50)
        phone = None if self.random.random() < 0.3 else f"+{number}"
        return {"email": f"é{number}@example.com", "phone": phone, "session": number, "since": number << 10}

    def change(self, label: str) -> list[Any]:
        """Make up a call that adds, changes or deletes a row, and do the same to the model."""
        model, dice = self.model[label], self.random.random()
        if dice < 0.5 or not model:
            key, row = UUID(int=self.random.getrandbits(128)), self.row()
        else:
            key = self.random.choice(sorted(model))
            row = self.row() if dice < 0.65 else {**model[key], "phone": self.row()["phone"]}
        # with None for an index the published package cannot delete a row
        if dice > 0.85 and model.get(key, {}).get("phone") is not None:
            del model[key]
            return ["delete", label, key]
        model[key] = row
        return ["put", label, key, row]

    def changes(self, number: int) -> list[Any]:
        return [self.change(self.random.choice([*INDEXES])) for _ in range(number)]

    def reads(self) -> list[tuple[list[Any], Any]]:
        """Return calls that read all, and what each must give."""
        found: list[tuple[list[Any], Any]] = []
        for label, model in self.model.items():
            found.append((["scan", label], sorted(model.items(), key=lambda item: item[0])))
            found += [(["scan", index["label"]], expected_index(index, model)) for index in INDEXES[label]]
        return found


@pytest.mark.parametrize("first", ["published", "ours"])
def test_indexed_tables_that_both_write_in_turn_agree_with_a_model(
    published: Published, tmp_path: Path, lib_version: str, first: str
) -> None:
    turns, path = Turns(samples.SEED), tmp_path / "db"
    programs: list[Any] = [published, ours] if first == "published" else [ours, published]
    for turn in range(6):
        changes, reads = turns.changes(40), turns.reads()
        given = programs[turn % 2](
            path,
            tables=TABLES,
            calls=[*changes, *(call for call, _ in reads)],
            options={"lib_version": lib_version},
        )
        assert {said(answer) for answer in given[: len(changes)]} == {said({"gave": None})}
        assert said(given[len(changes) :]) == said([{"gave": answer} for _, answer in reads])
    with zlmdb.Database(path) as db:
        assert db.lib_version == lib_version
        report = db.check(*program.attached(db, TABLES).values())
        assert report.ok, report
    assert sum(len(model) for model in turns.model.values()) > 50


def test_every_shared_kind_is_written_in_turn(published: Published, tmp_path: Path, lib_version: str) -> None:
    shared = {label: entry for label, entry in samples.manifest().items() if way_of(entry[0]["map"]).to_ours == "yes"}
    shared = {label: entry for label, entry in shared.items() if entry[0]["compress"] != 2}
    specs = [spec for spec, _ in shared.values()]
    half: dict[str, list[Any]] = {label: rows[::2] for label, (_, rows) in shared.items()}
    rest: dict[str, list[Any]] = {label: rows[1::2] for label, (_, rows) in shared.items()}
    puts = [("put", label, *row) for label, rows in half.items() for row in rows]
    published(tmp_path / "db", tables=specs, calls=puts, options={"lib_version": lib_version})
    calls: list[Any] = []
    for label, rows in rest.items():
        calls += [("put", label, *row) for row in rows]
        calls += [("put", label, half[label][0][0], rows[0][1]), ("delete", label, half[label][1][0])]
    ours(tmp_path / "db", tables=specs, calls=calls)
    calls = []
    for label, rows in rest.items():
        calls += [("delete", label, rows[0][0]), ("put", label, rows[1][0], half[label][0][1])]
        calls += [("put", label, *half[label][1])]
    published(tmp_path / "db", tables=specs, calls=calls)
    with zlmdb.Database(tmp_path / "db") as db:
        maps = program.attached(db, specs)
        assert db.check(*maps.values()).ok
        with db.begin() as txn:
            for label, map_ in maps.items():
                expected = dict([*half[label], *rest[label]])
                expected[half[label][0][0]] = rest[label][0][1]
                del expected[rest[label][0][0]]
                expected[rest[label][1][0]] = half[label][0][1]
                assert said(program.scanned(map_, txn)) == said(sorted(expected.items(), key=lambda item: item[0]))


def test_tables_that_either_adds_get_slots_of_their_own(
    published: Published, tmp_path: Path, lib_version: str, no_fixed_slots: None
) -> None:
    tables = [samples.table("MapStringCbor", label=f"Table{n}", doc=f"doc {n}\n  more") for n in range(6)]
    for number, table in enumerate(tables):
        program_ = ours if number % 2 else published
        calls = [("put", table["label"], "key", number)]
        program_(tmp_path / "db", tables=[table], calls=calls, options={"lib_version": lib_version})
    reads = [("scan", table["label"]) for table in tables]
    expected = said([{"gave": [("key", number)]} for number in range(6)])
    assert said(ours(tmp_path / "db", tables=tables, calls=reads)) == expected
    assert said(published(tmp_path / "db", tables=tables, calls=reads)) == expected
    with zlmdb.Database(tmp_path / "db") as db:
        slots = db.stats(include_slots=True)["slots"]
    assert [(slot["slot"], slot["oid"]) for slot in slots] == [(n + 1, table["oid"]) for n, table in enumerate(tables)]
    assert [slot["description"] for slot in slots] == [table["doc"] for table in tables]


def test_maps_at_fixed_slots_are_shared_without_a_catalogue(published: Published, tmp_path: Path) -> None:
    tables = [{**samples.table("MapStringString", label="Fixed"), "slot": 60001}]
    tables += [{**samples.table("MapUuidJson", 1, label="Squeezed"), "slot": 60002}]
    document = {"a": [1, None]}
    calls = [("put", "Fixed", "a", "there"), ("put", "Squeezed", UUID(int=1), document)]
    published(tmp_path / "db", tables=tables, calls=calls)
    reads = [("get", "Fixed", "a"), ("get", "Fixed", "b"), ("get", "Squeezed", UUID(int=1))]
    given = ours(tmp_path / "db", tables=tables, calls=[("put", "Fixed", "b", "here"), *reads])
    assert given[1:] == [{"gave": "there"}, {"gave": "here"}, {"gave": document}]
    assert published(tmp_path / "db", tables=tables, calls=reads) == given[1:]


def test_a_key_as_long_as_the_format_allows_goes_both_ways(
    published: Published, tmp_path: Path, lib_version: str
) -> None:
    table = samples.table("MapStringOid")
    longest = {"0.9": 509, "1.0": 1976}[lib_version]
    calls = [("put", table["label"], "k" * length, length) for length in (longest, longest + 1)]
    reads = [("scan", table["label"])]
    request = {"tables": [table], "calls": calls + reads, "options": {"lib_version": lib_version}}
    expected = {"gave": [("k" * longest, longest)]}
    assert published(tmp_path / "a", **request) == [{"gave": None}, {"error": "BadValsizeError"}, expected]
    assert ours(tmp_path / "b", **request) == [{"gave": None}, {"error": "KeyTooLong"}, expected]
    assert ours(tmp_path / "a", tables=[table], calls=reads) == [expected]
    assert published(tmp_path / "b", tables=[table], calls=reads) == [expected]


def test_rows_that_took_another_ones_index_entry_there_are_found_and_refused_here(
    published: Published, tmp_path: Path
) -> None:
    row = Turns(1).row()
    twice = [("put", "People", UUID(int=number), {**row, "phone": None, "session": number}) for number in (1, 2)]
    assert published(tmp_path / "db", tables=PEOPLE, calls=twice) == [{"gave": None}] * 2
    with zlmdb.Database(tmp_path / "db") as db:
        report = db.check(*program.attached(db, PEOPLE).values())
        assert [(problem.kind, problem.key) for problem in report.problems] == [("conflict", UUID(int=1))]
    third = [("put", "People", UUID(int=3), row), ("get", "People", UUID(int=3))]
    assert ours(tmp_path / "db", tables=PEOPLE, calls=third) == [{"error": "UniqueViolation"}, {"gave": None}]


def test_a_file_with_sets_and_new_kinds_of_ours_still_serves_the_published_package(
    published: Published, tmp_path: Path
) -> None:
    shared = samples.table("MapUuidCbor", label="Shared")
    with zlmdb.Database(tmp_path / "db") as db:
        maps = program.attached(
            db, [samples.table("MapUint16StringCbor"), shared, samples.table("MapStringUuid", label="ByRole")]
        )
        maps["Shared"].attach_index("role", maps["ByRole"], lambda row: row["role"], unique=False)
        with db.begin(write=True) as txn:
            maps["MapUint16StringCbor"][txn, (1, "a")] = "ours alone"
            maps["Shared"].put_many(txn, [(UUID(int=number), {"role": "user"}) for number in range(3)])
    calls = [("scan", "Shared"), ("put", "Shared", UUID(int=7), {"role": "guest"})]
    given = published(tmp_path / "db", tables=[shared, samples.table("MapOidOid", label="New")], calls=calls)
    assert given == [{"gave": [(UUID(int=number), {"role": "user"}) for number in range(3)]}, {"gave": None}]
    reads = [("scan", "MapUint16StringCbor"), ("get", "Shared", UUID(int=7))]
    tables = [samples.table("MapUint16StringCbor"), shared]
    assert ours(tmp_path / "db", tables=tables, calls=reads) == [
        {"gave": [((1, "a"), "ours alone")]},
        {"gave": {"role": "guest"}},
    ]
