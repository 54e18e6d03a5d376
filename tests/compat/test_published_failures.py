# SPDX-License-Identifier: MIT
"""What the published package writes oddly, and what it cannot read: so that the list stays true, it is run.

Source: FORMAT.md sections 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from tests.codec_samples import B16, B20, B32, C20, TS, U, V
from tests.compat import program, samples
from tests.compat.conftest import Published
from tests.compat.wire import said

ZERO, EPOCH, NAT = UUID(int=0), np.datetime64(0, "ns"), np.datetime64("NaT", "ns")
BEFORE = np.datetime64(-1, "ns")
FLAT = [1, "a", b"b"]


@dataclass(frozen=True)
class Case:
    """The published package stores ``written``; ``call`` gives ``published`` there, and ``ours`` with ours."""

    why: str
    map: str
    written: list[tuple[Any, Any]]
    call: tuple[Any, ...]
    published: Any
    ours: Any

    @property
    def label(self) -> str:
        return f"{self.map} {self.why}"


def error(name: str) -> dict[str, str]:
    return {"error": name}


def gave(value: Any) -> dict[str, Any]:
    return {"gave": value}


def stored(why: str, map_: str, written: tuple[Any, Any], read: tuple[Any, Any]) -> Case:
    """Return the case of a record that reads back as another one, in both programs alike."""
    return Case(why, map_, [written], ("scan",), gave([read]), gave([read]))


def unreadable(why: str, map_: str, row: tuple[Any, Any], name: str) -> Case:
    """Return the case of a record over which the published ``select`` fails, and ours does not."""
    return Case(why, map_, [row], ("scan",), error(name), gave([row]))


CASES = [
    # --- records that it cannot read in part or at all
    unreadable("never decodes", "MapOidTimestampOid", ((1, TS), 1), "error"),
    unreadable("never decodes", "MapOidTimestampFlatBuffers", ((1, TS), FLAT), "error"),
    unreadable("never decodes", "MapOidTimestampStringOid", ((1, TS, "ab"), 1), "error"),
    unreadable("never decodes", "MapUuidTimestampUuidFlatBuffers", ((U, TS, V), FLAT), "AssertionError"),
    unreadable("an empty string", "MapOidStringOid", ((1, ""), 1), "AssertionError"),
    unreadable("an empty string", "MapTimestampStringCbor", ((TS, ""), 1), "AssertionError"),
    unreadable("an empty string", "MapUuidUuidStringUuid", ((U, V, ""), U), "AssertionError"),
    unreadable("an empty string", "MapStringTimestampCbor", (("", TS), 1), "AssertionError"),
    unreadable("before 1970", "MapOidTimestampOid", ((1, BEFORE), 1), "error"),
    Case(
        "takes eight bytes for the string",
        "MapStringOidOid",
        [(("abcdefghi", 1), 1)],
        ("scan",),
        gave([(("abcdefgh", 1), 1)]),
        gave([(("abcdefghi", 1), 1)]),
    ),
    Case(
        "gives bytes",
        "MapStringStringUuid",
        [(("a", "é"), U)],
        ("scan",),
        gave([((b"a", "é".encode()), U)]),
        gave([(("a", "é"), U)]),
    ),
    Case(
        "gives the number in a tuple",
        "MapUuidBytes20Uint8FlatBuffers",
        [((U, B20, 7), FLAT)],
        ("scan",),
        gave([((U, B20, (7,)), FLAT)]),
        gave([((U, B20, 7), FLAT)]),
    ),
    Case(
        "gives the number in a tuple",
        "MapUuidBytes20Uint8UuidFlatBuffers",
        [((U, B20, 7, V), FLAT)],
        ("scan",),
        gave([((U, B20, (7,), V), FLAT)]),
        gave([((U, B20, 7, V), FLAT)]),
    ),
    Case(
        "gives the number in a tuple",
        "MapUuidBytes20Bytes20Uint8UuidFlatBuffers",
        [((U, B20, C20, 7, V), FLAT)],
        ("scan",),
        gave([((U, B20, C20, (7,), V), FLAT)]),
        gave([((U, B20, C20, 7, V), FLAT)]),
    ),
    Case(
        "gives the number in a tuple",
        "MapUint16UuidTimestampFlatBuffers",
        [((258, U, TS), FLAT)],
        ("scan",),
        gave([(((258,), U, TS), FLAT)]),
        gave([((258, U, TS), FLAT)]),
    ),
    Case("stores an empty set", "MapOidOidSet", [(1, set())], ("get", 1), gave(None), gave(set())),
    Case("cuts a set", "MapOidOidSet", [(1, set(range(9)))], ("get", 1), gave({0, 1}), gave(set(range(9)))),
    Case(
        "cuts a set",
        "MapUuidUuidSet",
        [(U, {UUID(int=number) for number in range(17)})],
        ("get", U),
        gave({UUID(int=0), UUID(int=1)}),
        gave({UUID(int=number) for number in range(17)}),
    ),
    # ours keeps one record for each member: an empty set is none
    Case("has an empty set", "MapUuidUuidSet", [(U, set())], ("has", U), gave(True), gave(False)),
    Case("reads no empty text", "MapUuidString", [(U, "")], ("get", U), gave(None), gave("")),
    Case("selects bytes for an empty text", "MapOidString", [(1, "")], ("scan",), gave([(1, b"")]), gave([(1, "")])),
    Case(
        "sorts by the lower byte",
        "MapUint16UuidTimestampFlatBuffers",
        [((1, U, TS), FLAT), ((256, U, TS), FLAT)],
        ("scan",),
        gave([(((256,), U, TS), FLAT), (((1,), U, TS), FLAT)]),
        gave([((1, U, TS), FLAT), ((256, U, TS), FLAT)]),
    ),
    Case(
        "mixes strings",
        "MapStringTimestampCbor",
        [(("a", TS), 1), (("a\x10", TS), 2), (("b", TS), 3)],
        ("scan",),
        gave([(("a\x10", TS), 2), (("a", TS), 1), (("b", TS), 3)]),
        gave([(("a", TS), 1), (("a\x10", TS), 2), (("b", TS), 3)]),
    ),
    # --- records that read back as others, here as there
    stored("None", "MapUuidUuidCbor", ((None, V), 1), ((ZERO, V), 1)),
    stored("None", "MapUuidUuidUuidUuid", ((U, None, V), U), ((U, ZERO, V), U)),
    stored("None", "MapUuidUuidUuidUuidUuid", ((U, V, None, V), U), ((U, V, ZERO, V), U)),
    stored("None", "MapTimestampUuidCbor", ((None, None), 1), ((EPOCH, ZERO), 1)),
    stored("None", "MapTimestampUuidStringFlatBuffers", ((TS, None, "a"), FLAT), ((TS, ZERO, "a"), FLAT)),
    stored("None", "MapTimestampBytes32FlatBuffers", ((None, None), FLAT), ((EPOCH, bytes(32)), FLAT)),
    stored("None", "MapUint64TimestampUuid", ((None, None), U), ((0, EPOCH), U)),
    stored("None", "MapUuidTimestampUuid", ((None, None), U), ((ZERO, EPOCH), U)),
    stored("None", "MapUuidStringUuid", ((None, "a"), U), ((ZERO, "a"), U)),
    stored("None", "MapBytes20TimestampUuid", ((None, TS), U), ((bytes(20), TS), U)),
    stored("no bytes", "MapBytes16TimestampUuid", ((b"", TS), U), ((bytes(16), TS), U)),
    stored("None", "MapBytes16TimestampUuidFlatBuffers", ((None, TS, U), FLAT), ((bytes(16), TS, U), FLAT)),
    stored("None as value", "MapUuidUuid", (U, None), (U, ZERO)),
    stored("None as value", "MapBytes32Timestamp", (B32, None), (B32, EPOCH)),
    stored("None as value", "MapBytes20Bytes16", (B20, None), (B20, bytes(16))),
    stored("None as value", "MapBytes20Bytes20", (B20, None), (B20, bytes(20))),
    stored("None as value", "MapBytes32Bytes32", (B32, None), (B32, bytes(32))),
    stored("None as value", "MapBytes20Bytes20Timestamp", (B20, (None, TS)), (B20, (bytes(20), TS))),
    stored("before 1970", "MapTimestampUuidCbor", ((BEFORE, U), 1), ((BEFORE, U), 1)),
    stored("before 1970", "MapTimestampFlatBuffers", (BEFORE, FLAT), (BEFORE, FLAT)),
    stored("before 1970 as value", "MapBytes32Timestamp", (B32, BEFORE), (B32, BEFORE)),
    stored("no time", "MapUuidTimestampCbor", ((U, NAT), 1), ((U, NAT), 1)),
    stored("seconds", "MapTimestampUuidCbor", ((TS.astype("M8[s]"), U), 1), ((np.datetime64(1700000000, "ns"), U), 1)),
    stored("large numbers", "MapOidStringOid", ((2**64 - 1, "a"), 1), ((2**64 - 1, "a"), 1)),
    Case("None as value", "MapUuidString", [(U, None)], ("get", U), gave(None), gave("")),
]
REFUSED = [
    ("MapUuidBytes32FlatBuffers", (U, B32), FLAT, "AttributeError"),
    ("MapBytes20StringFlatBuffers", (B20, ""), FLAT, "AssertionError"),
    ("MapBytes32StringFlatBuffers", (B32, ""), FLAT, "AssertionError"),
    ("MapOidOid", 2**53 + 1, 1, "AssertionError"),
    ("MapBytes20Uuid", B16, U, "AssertionError"),
]
TABLES = [
    *(samples.table(case.map, label=case.label) for case in CASES),
    *(samples.table(name, label=f"{name} refused") for name, *_ in REFUSED),
]
PUTS = [("put", case.label, *row) for case in CASES for row in case.written]


@pytest.fixture(scope="module")
def file(published: Published, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """The published package's file, and what its calls gave."""
    path = tmp_path_factory.mktemp("odd") / "db"
    calls = [
        *PUTS,
        *((case.call[0], case.label, *case.call[1:]) for case in CASES),
        *(("put", f"{name} refused", key, value) for name, key, value, _ in REFUSED),
    ]
    return path, published(path, tables=TABLES, calls=calls)


def test_it_writes_all_of_them(file: tuple[Path, list[Any]]) -> None:
    assert {said(answer) for answer in file[1][: len(PUTS)]} == {said(gave(None))}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_the_published_package_still_gives_this(file: tuple[Path, list[Any]], case: Case) -> None:
    assert said(file[1][len(PUTS) + CASES.index(case)]) == said(case.published)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_ours_reads_the_same_record_right(file: tuple[Path, list[Any]], case: Case) -> None:
    calls = [(case.call[0], case.label, *case.call[1:])]
    given = program.run({"path": file[0], "tables": [TABLES[CASES.index(case)]], "calls": calls})
    assert said(given) == said([case.ours])


@pytest.mark.parametrize("at", range(len(REFUSED)), ids=[name for name, *_ in REFUSED])
def test_the_published_package_still_refuses_this(file: tuple[Path, list[Any]], at: int) -> None:
    assert file[1][len(PUTS) + len(CASES) + at] == error(REFUSED[at][3])


def test_a_text_in_a_pair_may_not_hold_a_nul_with_ours_and_collides_there(published: Published, tmp_path: Path) -> None:
    spec = samples.table("MapStringStringUuid")
    calls = [("put", spec["label"], ("a\0b", "c"), U), ("get", spec["label"], ("a", "b\0c")), ("scan", spec["label"])]
    request = {"tables": [spec], "calls": calls}
    assert published(tmp_path / "db", **request) == [gave(None), gave(U), error("AssertionError")]
    assert program.run({"path": tmp_path / "db", **request}) == [
        error("WrongValue"),
        error("WrongValue"),
        error("DecodeError"),
    ]
