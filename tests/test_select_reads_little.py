# SPDX-License-Identifier: MIT
"""A selection reads ahead a few records, and no more than a few bytes of values beyond the one asked for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb.storage import scan

blobs = zlmdb.MapOidBytes(7)
LARGE = 1 << 20
AHEAD = 256 << 10  # bytes read ahead that are few


def fill(db: zlmdb.Database, sizes: list[int]) -> None:
    with db.begin(write=True) as txn:
        blobs.put_many(txn, ((number, bytes(size)) for number, size in enumerate(sizes)))


def peak_of(read: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("reverse", [False, True])
def test_the_first_of_large_values_is_read_alone(db: zlmdb.Database, reverse: bool) -> None:
    fill(db, [LARGE] * 20)
    with db.begin() as txn:
        assert peak_of(lambda: next(blobs.select(txn, reverse=reverse))) < LARGE + AHEAD


def test_after_small_values_one_large_one_is_read_at_a_time(db: zlmdb.Database) -> None:
    small = 1000
    fill(db, [10] * small + [LARGE] * 20)
    with db.begin() as txn:

        def read() -> None:
            records = blobs.select(txn)
            for _ in range(small + 5):
                next(records)

        assert peak_of(read) < 3 * LARGE + AHEAD  # that of the last chunk, that of this one, and the value itself


def test_small_records_come_in_chunks_that_grow(db: zlmdb.Database) -> None:
    fill(db, [10] * 2000)
    with db.begin() as txn:
        assert [len(keys) for keys, _ in scan(txn, b"\0\7", b"\0\10")] == [16, 32, 64, 128, 256, 512, 512, 480]
        keys = [len(keys) for keys, _ in scan(txn, b"\0\7", b"\0\10", values=False)]
        assert keys == [16, 32, 64, 128, 256, 512, 512, 480]


@given(
    sizes=st.lists(st.sampled_from([0, 10, 2000, 40_000]), max_size=80),
    limit=st.none() | st.integers(0, 90),
    reverse=st.booleans(),
    bounds=st.tuples(st.none() | st.integers(0, 80), st.none() | st.integers(0, 80)),
)
def test_every_record_of_a_range_comes_once_whatever_the_sizes(
    sizes: list[int], limit: int | None, reverse: bool, bounds: tuple[int | None, int | None]
) -> None:
    low, high = bounds
    with zlmdb.Database() as db:
        fill(db, sizes)
        expected = [
            (number, size)
            for number, size in enumerate(sizes)
            if (low is None or number >= low) and (high is None or number < high)
        ]
        with db.begin() as txn:
            found = blobs.select(txn, low, high, reverse=reverse, limit=limit)
            assert [(key, len(value)) for key, value in found] == expected[:: -1 if reverse else 1][:limit]
