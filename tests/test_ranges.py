# SPDX-License-Identifier: MIT
"""Ranges of a map: `select` equals a sorted list filtered in Python."""

import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors

numbers = zlmdb.MapOidOid(10)
words = zlmdb.MapStringOid(11)
pairs = zlmdb.MapUint16StringOid(12)
neighbours = (zlmdb.MapBytesOid(9), zlmdb.MapBytesOid(13), zlmdb.MapBytesOid(65535))

oids = st.integers(0, 40)
texts = st.text(alphabet="ab\0é", max_size=3)
keys_of = {"numbers": oids, "words": texts, "pairs": st.tuples(st.integers(0, 3), texts)}


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def database(request: pytest.FixtureRequest) -> Iterator[zlmdb.Database]:
    with tempfile.TemporaryDirectory() as path, zlmdb.Database(path, sync=False, lib_version=request.param) as db:
        with db.begin(write=True) as txn:
            for neighbour in neighbours:  # a range must not run over into the slots beside it
                for key in (b"", b"\0", b"\xff\xff"):
                    neighbour[txn, key] = 7
        yield db


def filled(db: zlmdb.Database, table, rows: dict) -> None:
    with db.begin(write=True) as txn:
        table.truncate(txn)
        table.put_many(txn, rows.items())


@pytest.mark.parametrize("name", keys_of)
@pytest.mark.parametrize("write", [False, True])
@given(data=st.data())
def test_select_equals_a_sorted_list_filtered_in_python(database, name: str, write: bool, data: st.DataObject) -> None:
    table, keys = globals()[name], keys_of[name]
    rows = data.draw(st.dictionaries(keys, st.integers(0, 99), max_size=60))
    low, high = data.draw(st.none() | keys), data.draw(st.none() | keys)
    reverse, limit = data.draw(st.booleans()), data.draw(st.none() | st.integers(0, 70))
    filled(database, table, rows)
    inside = sorted(key for key in rows if (low is None or key >= low) and (high is None or key < high))
    expected = (inside[::-1] if reverse else inside)[:limit]
    bounds = {"from_key": low, "to_key": high, "reverse": reverse, "limit": limit}
    with database.begin(write=write) as txn:
        assert list(table.select(txn, **bounds)) == [(key, rows[key]) for key in expected]
        assert list(table.select(txn, **bounds, return_values=False)) == expected
        assert list(table.select(txn, **bounds, return_keys=False)) == [rows[key] for key in expected]
        assert list(table.select(txn, **bounds, return_keys=False, return_values=False)) == [None] * len(expected)
        assert table.count_range(txn, low, high) == len(inside)
        assert table.count(txn) == len(rows)


@given(rows=st.dictionaries(texts, st.integers(0, 9), max_size=30), prefix=texts)
def test_a_prefix_of_a_text_selects_the_texts_that_begin_with_it(database, rows: dict, prefix: str) -> None:
    filled(database, words, rows)
    expected = sorted(key for key in rows if key.startswith(prefix))
    with database.begin() as txn:
        assert list(words.select(txn, prefix=prefix, return_values=False)) == expected
        assert list(words.select(txn, prefix=prefix, return_values=False, reverse=True)) == expected[::-1]
        assert words.count(txn, prefix) == len(expected)


@given(rows=st.dictionaries(keys_of["pairs"], st.integers(0, 9), max_size=40), first=st.integers(0, 3))
def test_a_leading_part_of_a_composite_key_is_a_prefix(database, rows: dict, first: int) -> None:
    filled(database, pairs, rows)
    with database.begin() as txn:
        expected = sorted(key for key in rows if key[0] == first)
        assert list(pairs.select(txn, prefix=(first,), return_values=False)) == expected


def test_more_records_than_a_chunk_come_out_complete_in_both_directions(database) -> None:
    rows = {key: key for key in range(3000)}
    filled(database, numbers, rows)
    with database.begin() as txn:
        for low, high in ((0, 3000), (15, 16), (15, 2031), (16, 2032), (0, 17)):
            expected = list(range(low, high))
            assert list(numbers.select(txn, low, high, return_values=False)) == expected
            assert list(numbers.select(txn, low, high, return_values=False, reverse=True)) == expected[::-1]
            assert numbers.count_range(txn, low, high) == len(expected)


def test_falsy_bounds_are_bounds(database) -> None:
    filled(database, numbers, {key: key for key in range(5)})
    filled(database, words, {"": 1, "a": 2})
    with database.begin() as txn:
        assert list(numbers.select(txn, to_key=0)) == []
        assert numbers.count(txn, prefix=0) == 1
        assert list(words.select(txn, to_key="")) == []
        assert list(words.select(txn, from_key="", return_values=False)) == ["", "a"]


def test_a_selection_is_an_iterator_that_next_understands(database) -> None:
    filled(database, numbers, {1: 1, 2: 2})
    with database.begin() as txn:
        rows = numbers.select(txn)
        assert next(rows) == (1, 1)
        assert list(rows) == [(2, 2)]


def test_records_may_be_deleted_and_added_while_a_write_transaction_selects(database) -> None:
    filled(database, numbers, {key: key for key in range(10)})
    with database.begin(write=True) as txn:
        seen = []
        for key in numbers.select(txn, return_values=False):
            seen.append(key)
            del numbers[txn, key]
            del numbers[txn, key + 1]
            if key < 20:
                numbers[txn, key + 30] = 0
        assert seen == [0, 2, 4, 6, 8, 30, 32, 34, 36, 38]


@pytest.mark.parametrize("limit", [-1, 1.5, "3", True])
def test_a_limit_that_is_no_number_of_records_is_refused(database, limit) -> None:
    with database.begin() as txn, pytest.raises(errors.ConfigError):
        numbers.select(txn, limit=limit)


def test_the_last_slot_can_be_scanned_counted_and_truncated(database) -> None:
    last = zlmdb.MapOidOid(65535)
    with database.begin(write=True) as txn:
        neighbours[2].truncate(txn)
        last[txn, 2**53] = 1
        assert list(last.select(txn)) == [(2**53, 1)]
        assert last.count(txn) == 1
        assert last.truncate(txn) == 1


def test_truncate_clears_this_table_only(database) -> None:
    filled(database, numbers, {1: 1})
    filled(database, words, {"a": 1})
    with database.begin(write=True) as txn:
        assert numbers.truncate(txn) == 1
        assert words.count(txn) == 1
        assert neighbours[0].count(txn) == neighbours[1].count(txn) == 3
