# SPDX-License-Identifier: MIT
"""A selection that is not live reads ahead in a write transaction too, and finds the same records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors
from zlmdb.storage import scan

numbers = zlmdb.MapOidCbor(7)
beside = zlmdb.MapOidCbor(8)


def fill(txn: zlmdb.Transaction, count: int) -> None:
    numbers.put_many(txn, ((number, {"n": number}) for number in range(count)))


def test_it_comes_in_chunks_that_grow_where_a_live_one_goes_step_by_step(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        fill(txn, 100)
        bounds = (b"\0\7", b"\0\10")
        assert [len(keys) for keys, _ in scan(txn, *bounds, live=False)] == [16, 32, 52]
        assert [len(keys) for keys, _ in scan(txn, *bounds)] == [1] * 100


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_written_behind_what_was_read_ahead_is_seen(db: zlmdb.Database, reverse: bool) -> None:
    with db.begin(write=True) as txn:
        fill(txn, 100)
        found = numbers.select(txn, return_values=False, reverse=reverse, live=False)
        first = next(found)
        for number in range(100):
            beside[txn, number] = number  # other ranges may be written to at any time
        assert numbers.delete_many(txn, [50, 99 if reverse else 0]) == 2
        rest = list(found)
    expected = [number for number in range(100) if number not in (50, first)]
    assert (first, rest) == ((99, expected[::-1]) if reverse else (0, expected))


@given(
    keys=st.sets(st.integers(0, 300), max_size=120),
    low=st.integers(0, 300) | st.none(),
    high=st.integers(0, 300) | st.none(),
    reverse=st.booleans(),
    limit=st.integers(0, 130) | st.none(),
)
def test_it_finds_what_a_live_one_finds(
    keys: set[int], low: int | None, high: int | None, reverse: bool, limit: int | None
) -> None:
    with zlmdb.Database() as db, db.begin(write=True) as txn:
        for key in keys:
            numbers[txn, key] = key
        query: dict[str, Any] = {"from_key": low, "to_key": high, "reverse": reverse, "limit": limit}
        live = list(numbers.select(txn, **query))
        assert list(numbers.select(txn, **query, live=False)) == live
        expected = sorted(k for k in keys if (low is None or k >= low) and (high is None or k < high))
        assert [key for key, _ in live] == (expected[::-1] if reverse else expected)[:limit]


def test_a_damaged_record_is_named_after_all_before_it_came(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        fill(txn, 20)
        txn.put(numbers.raw_key(5), b"\xa1\x61")  # a map that ends in its first key
    with db.begin() as txn:
        found = numbers.select(txn)
        assert [key for key, _ in (next(found) for _ in range(5))] == [0, 1, 2, 3, 4]
        with pytest.raises(errors.DecodeError) as caught:
            next(found)
    assert (caught.value.key, caught.value.slot) == (5, 7)
    assert "CBOR" in str(caught.value)


def test_raw_records_are_deleted_by_many_keys(db: zlmdb.Database) -> None:
    stats = zlmdb.TransactionStats()
    with db.begin(write=True, stats=stats) as txn:
        fill(txn, 10)
        assert txn.delete_many(numbers.raw_key(number) for number in (3, 4, 4, 77)) == 2
        assert numbers.count(txn) == 8
        assert stats.tables[7].dels == 2
        with pytest.raises(errors.WrongType) as caught:
            txn.delete_many([numbers.raw_key(1), "no bytes"])  # type: ignore[list-item]
        assert caught.value.got == "no bytes"
    with db.begin() as txn, pytest.raises(errors.ReadonlyTransaction):
        txn.delete_many([numbers.raw_key(1)])
