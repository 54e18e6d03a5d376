# SPDX-License-Identifier: MIT
"""Large sets, tables and values, and many tables: what costs memory or time in their size, and what does not."""

from __future__ import annotations

import itertools
import tempfile
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import zlmdb

pytestmark = pytest.mark.slow

MILLION = 1_000_000
VALUE = b"v" * 32  # so that the table has some 50 MB
LARGE = 64 << 20

table = zlmdb.MapOidBytes(1)
sets = zlmdb.MapStringOidSet(2)


def peak(use: Callable[[], object]) -> int:
    """Return how many bytes of memory ``use`` took at its height."""
    tracemalloc.start()
    try:
        use()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def exhaust(rows: Iterator[Any]) -> None:
    deque(rows, maxlen=0)


# --- a million records


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def million(request: pytest.FixtureRequest) -> Iterator[zlmdb.Database]:
    """A table of a million even keys, and a set of a million members between two small ones."""
    with tempfile.TemporaryDirectory() as path, zlmdb.Database(path, sync=False, lib_version=request.param) as db:
        with db.begin(write=True) as txn:
            for key in range(0, 2 * MILLION, 2):
                table[txn, key] = VALUE
            sets[txn, "a"] = sets[txn, "c"] = {1}
            sets[txn, "b"] = set(range(MILLION))
        yield db


def test_adding_to_a_set_of_a_million_members_writes_one_record(million: zlmdb.Database) -> None:
    stats = zlmdb.TransactionStats()

    def add() -> None:
        with million.begin(write=True, stats=stats) as txn:
            sets[txn, "b"].add(MILLION)
            sets[txn, "b"].add(MILLION)  # is there already
            assert MILLION in sets[txn, "b"]

    assert peak(add) < 100_000
    assert (stats.puts, stats.dels) == (1, 0)
    assert stats.bytes == len(sets.raw_member("b", MILLION))
    stats.reset()
    with million.begin(write=True, stats=stats) as txn:
        sets[txn, "b"].discard(MILLION)
    assert (stats.puts, stats.dels, stats.bytes) == (0, 1, 0)


def test_a_set_of_a_million_members_is_read_as_it_goes(million: zlmdb.Database) -> None:
    with million.begin() as txn:
        live = sets[txn, "b"]
        assert len(live) == MILLION
        assert peak(lambda: list(itertools.islice(live, 10_000))) < 1_500_000
        assert sum(live) == sum(range(MILLION))
        assert list(sets.select(txn, return_values=False)) == ["a", "b", "c"]


def test_a_scan_of_a_million_records_takes_no_memory(million: zlmdb.Database) -> None:
    with million.begin() as txn:
        # of a part that has 10 MB: the watch on memory makes it five times as slow
        assert peak(lambda: exhaust(table.select(txn, limit=200_000))) < 1_000_000
        assert peak(lambda: exhaust(table.select(txn, reverse=True, limit=100_000))) < 1_000_000
        assert peak(lambda: table.count(txn)) < 1_000_000


def test_a_million_records_come_in_order_both_ways(million: zlmdb.Database) -> None:
    with million.begin() as txn:
        assert all(map(int.__eq__, table.select(txn, return_values=False), itertools.count(0, 2)))
        downwards = table.select(txn, return_values=False, reverse=True)
        assert all(map(int.__eq__, downwards, itertools.count(2 * MILLION - 2, -2)))
        assert table.count(txn) == MILLION
        assert table.count_range(txn, 1, 2 * MILLION - 1) == MILLION - 1


def test_a_place_among_a_million_records_is_sought_and_not_walked_to(million: zlmdb.Database) -> None:
    with million.begin() as txn:
        middle = MILLION + 1  # no key
        assert next(table.select(txn, from_key=middle)) == (middle + 1, VALUE)
        assert next(table.select(txn, to_key=middle, reverse=True)) == (middle - 1, VALUE)
        assert [len(table.page(txn, from_key=middle, limit=2)), table[txn, middle]] == [2, None]
        assert peak(lambda: table.page(txn, from_key=middle, limit=2)) < 20_000


# --- large values

PATTERN = bytes(range(256)) * (LARGE // 256)


@pytest.mark.parametrize(("kind", "compress"), [("Bytes", None), ("Bytes", "zlib"), ("Cbor", None), ("Numpy", None)])
def test_a_value_of_64_mib_comes_back(tmp_path: Path, lib_version: str, kind: str, compress: str | None) -> None:
    large: zlmdb.Map = getattr(zlmdb, f"MapOid{kind}")(1, compress=compress)
    value = {"Bytes": PATTERN, "Cbor": {"blob": PATTERN}, "Numpy": np.frombuffer(PATTERN, "<i8").reshape(1 << 13, -1)}[
        kind
    ]

    def is_value(found: Any) -> bool:
        return np.array_equal(found, value) if kind == "Numpy" else found == value

    with zlmdb.Database(tmp_path / "db", lib_version=lib_version, sync=False) as db:
        with db.begin(write=True) as txn:
            large[txn, 2] = value
        for buffers in (False, True):
            with db.begin(buffers=buffers) as txn:
                assert is_value(large[txn, 2])
                assert [key for key, found in large.select(txn) if is_value(found)] == [2]


def test_a_view_of_a_large_value_is_no_copy(tmp_path: Path, lib_version: str) -> None:
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version, sync=False) as db:
        with db.begin(write=True) as txn:
            table[txn, 1] = PATTERN

        def read() -> None:
            with db.begin(buffers=True) as txn:
                view = table[txn, 1]
                assert (len(view), view[LARGE - 1]) == (LARGE, 255)

        assert peak(read) < 100_000


@pytest.mark.parametrize("compress", [None, "zlib"])
def test_empty_and_small_values_stand_beside_large_ones(tmp_path: Path, lib_version: str, compress: str | None) -> None:
    mixed = zlmdb.MapOidBytes(1, compress=compress)
    values = [b"", b"x", bytes(5 << 20), b"", bytes(2 << 20), b"y"]
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version, sync=False) as db:
        with db.begin(write=True) as txn:
            mixed.put_many(txn, enumerate(values))
        with db.begin() as txn:
            assert list(mixed.select(txn, return_keys=False)) == values
            assert list(mixed.select(txn, return_keys=False, reverse=True)) == values[::-1]


# --- many tables

KINDS = [zlmdb.MapOidCbor, zlmdb.MapStringString, zlmdb.MapUuidUuid, zlmdb.MapOidOidSet]


def rows(number: int) -> dict[Any, Any]:
    """Return the records of a table: their values tell which one it is."""
    kind = number % len(KINDS)
    keys = (range(number + 1), map(str, range(9)), [UUID(int=number), UUID(int=2**128 - 1)], range(2))[kind]
    return {key: ({"table": number}, f"table {number}", UUID(int=number), {number, number + 1})[kind] for key in keys}


@pytest.mark.usefixtures("no_fixed_slots")
def test_sixty_tables_keep_their_own_records(tmp_path: Path, lib_version: str) -> None:
    classes = [
        zlmdb.table(UUID(int=6000 + number))(type(f"Table{number}", (KINDS[number % len(KINDS)],), {}))
        for number in range(60)
    ]
    slots = []
    for round_ in range(3):
        with zlmdb.Database(tmp_path / "db", lib_version=lib_version, sync=False) as db:
            attached = [db.attach_table(cls) for cls in (classes if round_ != 1 else classes[::-1])]
            maps = attached if round_ != 1 else attached[::-1]
            slots.append([map_.slot for map_ in maps])
            if round_ == 0:
                with db.begin(write=True) as txn:
                    for number, map_ in enumerate(maps):
                        for key, value in rows(number).items():
                            map_[txn, key] = value
            with db.begin() as txn:
                for number, map_ in enumerate(maps):
                    assert dict(map_.select(txn)) == rows(number)
    assert slots == [list(range(1, 61))] * 3


def test_the_last_slot_is_a_slot_like_others(tmp_path: Path, lib_version: str) -> None:
    class Last(zlmdb.Schema):
        def attach(self, db: zlmdb.Database) -> None:
            self.last, self.sets = zlmdb.MapBytesString(65535), zlmdb.MapBytes16OidSet(65534)

    keys = [b"", b"\0", b"\xff" * 9, b"\xff" * 400]
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version, sync=False) as db:
        schema = db.attach(Last)
        last, members = schema.last, schema.sets
        with db.begin(write=True) as txn:
            for key in keys:
                last[txn, key] = "value"
            members[txn, b"\xff" * 16].update({1, 2**53})
    with zlmdb.Database(tmp_path / "db") as db:
        assert db.attach(Last).last.slot == 65535
        for options in ({}, {"write": True}, {"buffers": True}):
            with db.begin(**options) as txn:
                assert list(last.select(txn, return_values=False)) == keys
                assert list(last.select(txn, return_values=False, reverse=True)) == keys[::-1]
                assert last.count(txn, b"\xff") == 2
                assert list(members[txn, b"\xff" * 16]) == [1, 2**53]
                assert list(members.select(txn, reverse=True, return_values=False)) == [b"\xff" * 16]
        with db.begin(write=True) as txn:
            assert members.truncate(txn) == 2
            assert last.truncate(txn) == 4
