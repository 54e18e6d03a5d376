# SPDX-License-Identifier: MIT
"""`put_many`, `delete_many` and `rebuild_index`: one statement, all or nothing, of any iterable, with writemap too."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import zlmdb
from zlmdb import errors

A, B, C = (UUID(int=number) for number in (1, 2, 3))
words = zlmdb.MapStringString(7)
numbers = zlmdb.MapOidOid(8)
tags = zlmdb.MapUuidUuidSet(9)


def people() -> tuple[zlmdb.Map[Any, Any], zlmdb.Map[Any, Any]]:
    table, index = zlmdb.MapOidCbor(10), zlmdb.MapStringOid(11)
    table.attach_index("name", index, lambda row: row["name"])
    return table, index


@pytest.fixture(params=[False, True], ids=["savepoints", "writemap"])
def either(request: pytest.FixtureRequest, tmp_path: Path, lib_version: str) -> Iterator[zlmdb.Database]:
    options = {"maxsize": 4 << 20, "writemap": True} if request.param else {}
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version, **options) as database:
        yield database


def test_many_indexed_records_are_put_deleted_and_indexed_anew(either: zlmdb.Database) -> None:
    table, index = people()
    with either.begin(write=True) as txn:
        assert table.put_many(txn, ((number, {"name": str(number)}) for number in range(20))) == 20
        assert table.delete_many(txn, iter([1, 2, 3, 99])) == 3
        assert table.rebuild_index(txn, "name") == (17, 17)
        assert table.rebuild_indexes(txn) == (17, 17)
    with either.begin() as txn:
        assert index[txn, "4"] == 4
        assert (table.count(txn), index.count(txn)) == (17, 17)


def test_many_sets_are_put_and_deleted(either: zlmdb.Database) -> None:
    with either.begin(write=True) as txn:
        assert tags.put_many(txn, [(A, {B}), (B, [C]), (C, ())]) == 3
        assert [set(found or ()) for found in tags.get_many(txn, [A, B, C])] == [{B}, {C}, set()]
        assert tags.delete_many(txn, [A, C]) == 1
        assert list(tags.select(txn, return_values=False)) == [B]


def failing_items() -> Iterator[tuple[str, str]]:
    yield "a", "1"
    raise ZeroDivisionError


BAD_ITEMS: list[Callable[[], Any]] = [
    failing_items,
    lambda: iter([("a", "1"), ("b", 5)]),
    lambda: [("a", "1"), "cd"],
    lambda: [("a", "1"), ("b", "2", "3")],
]


@pytest.mark.parametrize("bad", BAD_ITEMS)
def test_a_bad_item_leaves_nothing_and_a_usable_transaction(either: zlmdb.Database, bad: Callable[[], Any]) -> None:
    with either.begin(write=True) as txn:
        words[txn, "c"] = "3"
        with pytest.raises((errors.WrongType, ZeroDivisionError)):
            words.put_many(txn, bad())
    with either.begin() as txn:
        assert dict(words.select(txn)) == {"c": "3"}


def test_a_bad_key_leaves_all_records(either: zlmdb.Database) -> None:
    with either.begin(write=True) as txn:
        words[txn, "c"] = "3"
        with pytest.raises(errors.WrongType):
            words.delete_many(txn, ["c", 5])
    with either.begin() as txn:
        assert dict(words.select(txn)) == {"c": "3"}


def test_an_owner_in_the_way_undoes_all_of_the_statement(db: zlmdb.Database) -> None:
    table, index = people()
    with db.begin(write=True) as txn:
        table[txn, 1] = {"name": "joe"}
        with pytest.raises(errors.UniqueViolation):
            table.put_many(txn, [(2, {"name": "ann"}), (3, {"name": "joe"})])
        table[txn, 4] = {"name": "eve"}
    with db.begin() as txn:
        assert list(table.select(txn, return_values=False)) == [1, 4]
        assert list(index.select(txn)) == [("eve", 4), ("joe", 1)]


def test_with_writemap_an_owner_in_the_way_ends_the_transaction(tmp_path: Path, lib_version: str) -> None:
    table, index = people()
    path = tmp_path / "db"
    with zlmdb.Database(path, maxsize=1 << 20, writemap=True, lib_version=lib_version) as db:
        with db.begin(write=True) as txn:
            table[txn, 1] = {"name": "joe"}
        with pytest.raises(errors.TransactionPoisoned, match="joe"), db.begin(write=True) as txn:
            with pytest.raises(errors.UniqueViolation):
                table.put_many(txn, [(2, {"name": "ann"}), (3, {"name": "joe"})])
            uses: list[Callable[[], Any]] = [
                lambda: table[txn, 1],
                lambda: table.count(txn),
                lambda: next(table.select(txn)),
                lambda: table.truncate(txn),
                lambda: table.put_many(txn, [(4, {"name": "eve"})]),
            ]
            for use in uses:
                with pytest.raises(errors.TransactionPoisoned):
                    use()
        with db.begin(write=True) as txn:
            assert list(table.select(txn, return_values=False)) == [1]
            assert list(index.select(txn)) == [("joe", 1)]
            table[txn, 2] = {"name": "ann"}


def test_an_index_that_cannot_be_rebuilt_stays_as_it_was(either: zlmdb.Database) -> None:
    table, index = people()
    table.detach_index("name")
    with either.begin(write=True) as txn:
        table.put_many(txn, [(1, {"name": "joe"}), (2, {"name": "joe"})])
        index[txn, "old"] = 1
    table.attach_index("name", index, lambda row: row["name"])
    with pytest.raises(errors.UniqueViolation), either.begin(write=True) as txn:
        table.rebuild_index(txn, "name")
    with either.begin() as txn:
        assert list(index.select(txn)) == [("old", 1)]


def test_rebuilding_all_indexes_is_one_statement(db: zlmdb.Database) -> None:
    table, first = people()
    second = zlmdb.MapOidOid(12)
    table.attach_index("other", second, lambda row: row["age"])
    with db.begin(write=True) as txn:
        table[txn, 1] = {"name": "joe", "age": 1}
        table.detach_index("other")
        table[txn, 2] = {"name": "ann", "age": 1}
        first.truncate(txn)
        table.attach_index("other", second, lambda row: row["age"])
        with pytest.raises(errors.UniqueViolation):
            table.rebuild_indexes(txn)
        assert first.count(txn) == 0


def test_a_full_database_undoes_the_statement_and_leaves_the_transaction_usable(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20) as small:
        with small.begin(write=True) as txn:
            words[txn, "a"] = "1"
            with pytest.raises(errors.MapFull):
                words.put_many(txn, ((f"k{number}", "x" * 1000) for number in range(2000)))
            words[txn, "b"] = "2"
        with small.begin() as txn:
            assert dict(words.select(txn)) == {"a": "1", "b": "2"}


def peak_of(write: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        write()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_items_and_keys_are_read_as_they_are_written(db: zlmdb.Database) -> None:
    count = 5000
    with db.begin(write=True) as txn:
        assert peak_of(lambda: numbers.put_many(txn, ((number, number) for number in range(count)))) < count * 8
        assert numbers.count(txn) == count
        assert peak_of(lambda: numbers.delete_many(txn, range(count))) < count * 8
        assert numbers.count(txn) == 0


WRITES: dict[str, Callable[[Any], object]] = {
    "put_many": lambda txn: words.put_many(txn, []),
    "delete_many": lambda txn: words.delete_many(txn, []),
    "rebuild_indexes": lambda txn: words.rebuild_indexes(txn),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_statement_of_nothing_is_a_write_too(either: zlmdb.Database, write: Callable[[Any], object]) -> None:
    with either.begin() as txn, pytest.raises(errors.ReadonlyTransaction):
        write(txn)
    with pytest.raises(errors.TransactionFinished):
        write(either.begin(write=True))
    with either.begin(write=True) as txn:
        assert write(txn) in (0, (0, 0))
