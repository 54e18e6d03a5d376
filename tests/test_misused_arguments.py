# SPDX-License-Identifier: MIT
"""Arguments that cannot be meant are refused with errors of this package, and change nothing."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import zlmdb
from zlmdb import errors
from zlmdb.codecs import key_codec, value_codec
from zlmdb.storage.copying import convert

words = zlmdb.MapStringString(7)
numbers = zlmdb.MapOidCbor(8)
tags = zlmdb.MapUuidUuidSet(9)


def contents(db: zlmdb.Database) -> dict[str, str]:
    with db.begin() as txn:
        return dict(words.select(txn))


# --- maps

NOT_A_TRANSACTION: dict[str, Callable[[Any], object]] = {
    "insert": lambda txn: words.insert(txn, "a", "1"),
    "replace": lambda txn: words.replace(txn, "a", "1"),
    "get_many": lambda txn: words.get_many(txn, []),
    "get_many of sets": lambda txn: tags.get_many(txn, [UUID(int=1)]),
    "put_many": lambda txn: words.put_many(txn, [("a", "1")]),
    "put_many of nothing": lambda txn: words.put_many(txn, []),
    "delete_many": lambda txn: words.delete_many(txn, ["a"]),
    "delete_many of nothing": lambda txn: words.delete_many(txn, []),
    "rebuild_indexes": lambda txn: words.rebuild_indexes(txn),
    "truncate": lambda txn: words.truncate(txn),
}


@pytest.mark.parametrize("txn", [None, 5, "txn", zlmdb.Database])
@pytest.mark.parametrize("use", NOT_A_TRANSACTION.values(), ids=NOT_A_TRANSACTION)
def test_what_is_no_transaction_is_refused(use: Callable[[Any], object], txn: object) -> None:
    with pytest.raises(errors.WrongType, match="not a transaction"):
        use(txn)


@pytest.mark.parametrize("many", [5, None, "abc", b"abc", len], ids=repr)
def test_what_are_not_many_is_refused(db: zlmdb.Database, many: Any) -> None:
    with db.begin(write=True) as txn:
        words[txn, "a"] = "1"
        for use in (words.get_many, words.put_many, words.delete_many, tags.get_many):
            with pytest.raises(errors.WrongType, match="iterable"):
                use(txn, many)
    assert contents(db) == {"a": "1"}


@pytest.mark.parametrize("item", [5, None, "ab", b"ab", (), ("a",), ("a", "b", "c")], ids=repr)
def test_what_is_no_record_of_many_is_refused(db: zlmdb.Database, item: Any) -> None:
    with db.begin(write=True) as txn, pytest.raises(errors.WrongType, match=r"\(key, value\)"):
        words.put_many(txn, [("a", "1"), item])
    assert contents(db) == {}


def test_records_of_many_may_be_any_pairs(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        assert words.put_many(txn, [["a", "1"], iter("b2"), ("c", "3")]) == 3
    assert contents(db) == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize("names", [5, b"x", "x", [5], ["x", None], np.zeros(2)], ids=repr)
def test_what_are_no_names_of_columns_is_refused(db: zlmdb.Database, names: Any) -> None:
    with db.begin(write=True) as txn:
        numbers[txn, 1] = {"x": 1}
        with pytest.raises(errors.ConfigError, match="list of names"):
            numbers.arrays(txn, fields=names)
        with pytest.raises(errors.ConfigError, match="list of names"):
            numbers.arrays(txn, key_names=names)


@pytest.mark.parametrize("names", [("x",), {"x": 1}, np.array(["x"])], ids=repr)
def test_names_of_columns_may_be_any_texts(db: zlmdb.Database, names: Any) -> None:
    with db.begin(write=True) as txn:
        numbers[txn, 1] = {"x": 1, "y": 2}
        assert set(numbers.arrays(txn, fields=names)) == {"key", "x"}


def test_raw_records_are_of_bytes(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        uses: list[Callable[[Any], object]] = [
            txn.get,
            txn.delete,
            lambda raw: txn.put(raw, b"x"),
            lambda raw: txn.put(b"\0\7a", raw),
        ]
        for use in uses:
            for raw in ("text", 5):
                with pytest.raises(errors.WrongType, match="bytes"):
                    use(raw)
        for use in (txn.get, txn.delete):
            with pytest.raises(errors.StorageFailure, match="raw key has a size"):
                use(b"")
        words[txn, "a"] = "1"
    assert contents(db) == {"a": "1"}


def test_a_map_takes_codecs_alone_as_codecs() -> None:
    for wrong in ({"key": "x", "value": value_codec("Cbor")}, {"key": key_codec("Oid"), "value": "Cbor"}):
        with pytest.raises(errors.TableDeclaration, match="Codec"):
            zlmdb.Map(11, **wrong)


@pytest.mark.parametrize("name", [None, 5, b"Uuid", [], UUID])
def test_what_is_no_name_of_a_kind_is_refused(name: Any) -> None:
    for codec in (key_codec, value_codec):
        with pytest.raises(errors.TableDeclaration, match="not the name"):
            codec(name)


def test_an_index_needs_a_name_a_map_and_a_function() -> None:
    table, index = zlmdb.MapOidCbor(12), zlmdb.MapStringOid(13)
    for arguments in (([], index, str), (None, index, str), ("a", None, str), ("a", {}, str), ("a", index, "name")):
        with pytest.raises(errors.TableDeclaration, match="cannot be attached"):
            table.attach_index(*arguments)
    assert table.indexes() == []
    assert not index.is_index()
    with pytest.raises(errors.SchemaError, match="no index of this name"):
        table.index([])


# --- schemas


def test_an_annotation_that_cannot_be_resolved_is_named(db: zlmdb.Database) -> None:
    class Careless(zlmdb.Schema):
        users: Missing  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(errors.TableDeclaration, match=r"Careless.*'Missing'"):
        db.attach(Careless)


async def coroutine(self: Any, db: zlmdb.Database) -> None: ...


def generator(self: Any, db: zlmdb.Database) -> Iterator[None]:
    yield


async def asynchronous_generator(self: Any, db: zlmdb.Database) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("attach", [coroutine, generator, asynchronous_generator])
def test_what_would_attach_nothing_is_refused(db: zlmdb.Database, attach: Callable[..., object]) -> None:
    with pytest.raises(errors.TableDeclaration, match="cannot wait"):
        type("Late", (zlmdb.Schema,), {"attach": attach})
    with pytest.raises(errors.TableDeclaration, match="cannot wait"):
        db.attach(type("Plain", (), {"attach": attach})())


# --- databases


@pytest.mark.parametrize("path", [[], 0, False, b"", (), {}])
def test_what_is_empty_and_no_path_makes_no_temporary_database(path: Any) -> None:
    with pytest.raises(errors.ConfigError, match="not a path"):
        zlmdb.Database(path)


@pytest.mark.parametrize("path", [None, b"copy", 5, "", "a\0b"])
def test_copies_and_removals_need_a_path(db: zlmdb.Database, tmp_path: Path, path: Any) -> None:
    uses: list[Callable[[], object]] = [
        lambda: db.backup(path),
        lambda: zlmdb.Database.scratch(path),
        lambda: convert(path, tmp_path / "converted"),
        lambda: convert(db.dbpath, path),
    ]
    for use in uses:
        with pytest.raises(errors.ConfigError, match="not a path"):
            use()
    assert sorted(tmp_path.iterdir()) == [tmp_path / "db"]


@pytest.mark.parametrize("maxsize", [1 << 62, 1 << 70])
def test_more_address_space_than_there_is_is_refused_before_anything_is_made(tmp_path: Path, maxsize: int) -> None:
    with pytest.raises(errors.ConfigError, match="address space"):
        zlmdb.Database(tmp_path / "db", maxsize=maxsize)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("retries", [None, -1, 1.5, "3", True])
def test_retries_are_a_number(db: zlmdb.Database, retries: Any) -> None:
    with pytest.raises(errors.ConfigError, match="retries"):
        db.run(words.count, retries=retries)


@pytest.mark.parametrize("stats", ["x", 0, {}])
@pytest.mark.parametrize("write", [False, True])
def test_only_transaction_stats_count(db: zlmdb.Database, stats: Any, write: bool) -> None:
    with pytest.raises(errors.ConfigError, match="TransactionStats"):
        db.begin(write=write, stats=stats)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_handle_is_not_copied(db: zlmdb.Database, duplicate: Callable[[Any], object]) -> None:
    with pytest.raises(errors.WrongType, match="open the database again"):
        duplicate(db)
    assert db.is_open


@pytest.mark.parametrize("name", ["readonly", "lock", "sync", "writemap", "create"])
def test_an_option_that_is_neither_true_nor_false_is_refused(tmp_path: Path, name: str) -> None:
    options: Any = {name: "no"}
    with pytest.raises(errors.ConfigError, match=name):
        zlmdb.Database(tmp_path / "db", **options)
    assert not (tmp_path / "db").exists()


def test_what_is_no_schema_is_refused() -> None:
    from zlmdb.codecs.flatbuffers import load_fbs

    given: Any = 5
    with pytest.raises(errors.ConfigError, match="not a schema"):
        load_fbs(given)
