# SPDX-License-Identifier: MIT
"""Maps: single records, many records, and the mapping within a transaction."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import attrs
import numpy as np
import pytest

import zlmdb
from zlmdb import errors


@dataclass
class User:
    oid: UUID
    name: str
    age: int = 0


@attrs.define
class Point:
    x: int
    y: int


class Old:
    """As programs wrote them: nothing but functions to and from plain data."""

    def __init__(self, name: str) -> None:
        self.name = name

    def marshal(self) -> dict:
        return {"name": self.name}

    @staticmethod
    def parse(data: dict) -> "Old":
        return Old(data["name"])


words = zlmdb.MapStringString(50)


def test_a_missing_key_reads_as_none_and_deleting_it_is_silent(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        assert words[txn, "none"] is None
        assert (txn, "none") not in words
        del words[txn, "none"]


def test_defaults_are_honoured(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        assert words.get((txn, "a")) is None
        assert words.get((txn, "a"), "d") == "d"
        assert words.pop((txn, "a"), "d") == "d"
        assert words.setdefault((txn, "a"), "set") == "set"
        assert words.setdefault((txn, "a"), "again") == "set"
        assert words.get((txn, "a"), "d") == words.pop((txn, "a")) == "set"


def test_falsy_keys_and_values_are_ordinary(db: zlmdb.Database) -> None:
    plain = zlmdb.MapOidCbor(51)
    with db.begin(write=True) as txn:
        words[txn, ""] = ""
        assert words[txn, ""] == ""
        assert list(words.select(txn)) == [("", "")]
        for key, value in enumerate((0, "", b"", [], {}, False)):
            plain[txn, key] = value
            assert plain[txn, key] == value
            assert (txn, key) in plain


def test_records_of_dataclasses_attrs_and_plain_classes_need_nothing(db: zlmdb.Database) -> None:
    user, point = User(uuid4(), "joe", 5), Point(1, 2)
    users, points, olds = zlmdb.MapUuidCbor[User](1), zlmdb.MapOidJson[Point](2), zlmdb.MapOidCbor[Old](3)
    with db.begin(write=True) as txn:
        users[txn, user.oid], points[txn, 0], olds[txn, 0] = user, point, Old("x")
        assert users[txn, user.oid] == user
        assert points[txn, 0] == point
        assert olds[txn, 0].name == "x"


def test_functions_may_be_given_in_the_published_order(db: zlmdb.Database) -> None:
    table = zlmdb.MapOidJson(1, None, lambda old: old.marshal(), Old.parse)
    with db.begin(write=True) as txn:
        table[txn, 1] = Old("x")
        assert table[txn, 1].name == "x"


def test_insert_refuses_a_key_that_is_taken(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        words.insert(txn, "a", "1")
        with pytest.raises(errors.KeyExists):
            words.insert(txn, "a", "2")
        assert words[txn, "a"] == "1"


def test_replace_needs_a_record_and_the_expected_value(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        with pytest.raises(errors.RecordMissing):
            words.replace(txn, "a", "1")
        words[txn, "a"] = "1"
        assert words.replace(txn, "a", "2") == "1"
        with pytest.raises(errors.RecordChanged):
            words.replace(txn, "a", "3", expected="1")
        assert words.replace(txn, "a", "3", expected="2") == "2"
        assert words[txn, "a"] == "3"


class Plain:
    """A record class that knows no ``==``."""

    def __init__(self, number: float) -> None:
        self.number = number

    def marshal(self) -> dict[str, float]:
        return {"number": self.number}

    @staticmethod
    def parse(plain: dict[str, float]) -> "Plain":
        return Plain(plain["number"])


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        (zlmdb.MapOidCbor(7, marshal=Plain.marshal, unmarshal=Plain.parse), Plain(1), Plain(2)),
        (zlmdb.MapOidCbor(7), {"x": float("nan")}, {"x": 1.0}),
        (zlmdb.MapOidNumpy(7), np.array([1.0, 2.0]), np.array([2.0])),
    ],
    ids=["no ==", "NaN", "array"],
)
def test_a_value_just_read_is_the_expected_one(db: zlmdb.Database, table: Any, old: Any, new: Any) -> None:
    with db.begin(write=True) as txn:
        table[txn, 1] = old
        before = txn.get(table.raw_key(1))
        with pytest.raises(errors.RecordChanged):
            table.replace(txn, 1, old, expected=new)
        assert txn.get(table.raw_key(1)) == before
        table.replace(txn, 1, new, expected=table[txn, 1])
        assert txn.get(table.raw_key(1)) != before


def test_what_is_done_to_the_expected_value_later_changes_nothing(db: zlmdb.Database) -> None:
    table, expected = zlmdb.MapOidCbor(7), {"v": 1}
    plan = table.plan_replace(1, "new", db.max_key_size, expected=expected)
    expected["v"] = 2
    with db.begin(write=True) as txn:
        table[txn, 1] = {"v": 2}
        with pytest.raises(errors.RecordChanged):
            plan(txn)
        table[txn, 1] = {"v": 1}
        assert plan(txn) == {"v": 1}


def test_pop_leaves_a_record_that_cannot_be_read(db: zlmdb.Database) -> None:
    table = zlmdb.MapOidCbor(7)
    with db.begin(write=True) as txn:
        txn.put(table.raw_key(1), b"\xff")
        with pytest.raises(errors.DecodeError):
            table.pop((txn, 1))
        assert (txn, 1) in table


def test_put_many_is_all_or_nothing(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        assert words.put_many(txn, [("a", "1"), ("b", "2")]) == 2
        with pytest.raises(errors.WrongType):
            words.put_many(txn, [("c", "3"), ("d", 4)])
        assert words.get_many(txn, ["b", "c", "a"]) == ["2", None, "1"]
        assert words.delete_many(txn, ["a", "x", "b"]) == 2
        assert words.count(txn) == 0


def test_a_bound_map_is_a_mutable_mapping(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        mapping = words.bound(txn)
        assert isinstance(mapping, MutableMapping)
        mapping.update({"b": "2", "a": "1"}, c="3")
        assert list(mapping) == ["a", "b", "c"]
        assert list(reversed(mapping)) == ["c", "b", "a"]
        assert dict(mapping.items()) == {"a": "1", "b": "2", "c": "3"}
        assert list(mapping.values()) == ["1", "2", "3"]
        assert mapping == {"a": "1", "b": "2", "c": "3"}
        assert (len(mapping), "a" in mapping, "x" in mapping) == (3, True, False)
        assert (mapping.pop("a"), mapping.pop("a", "d"), mapping.get("a", "d")) == ("1", "d", "d")
        assert mapping.setdefault("z", "9") == "9"
        assert mapping.popitem() == ("b", "2")
        for faulty in (lambda: mapping["a"], lambda: mapping.pop("a"), lambda: mapping.__delitem__("a")):
            with pytest.raises(KeyError) as caught:
                faulty()
            assert isinstance(caught.value, errors.RecordMissing)
            assert "'a'" in str(caught.value)
        mapping.clear()
        assert not mapping


def test_len_iter_and_truth_of_an_unbound_map_raise(db: zlmdb.Database) -> None:
    for use in (len, iter, bool):
        with pytest.raises(NotImplementedError):
            use(words)


def test_fresh_keys_are_made_by_kind() -> None:
    assert isinstance(zlmdb.MapUuidCbor(1).new_key(), UUID)
    assert 0 <= zlmdb.MapOidCbor(1).new_key() <= 2**53
    assert len(zlmdb.MapBytes20Cbor(1).new_key()) == 20


def test_a_compressed_table_reads_back(db: zlmdb.Database) -> None:
    text = "again and " * 100
    table = zlmdb.MapStringString(1, compress="zlib")
    with db.begin(write=True) as txn:
        table[txn, "a"] = text
        assert table[txn, "a"] == text
        assert len(txn.get(b"\0\1a")) < 100
        assert list(table.select(txn)) == [("a", text)]


@pytest.mark.parametrize("name", ["MapUuidCbor", "MapTimestampUuidFlatBuffers", "MapUint16StringCbor", "MapBytesUuid"])
def test_the_name_is_the_type(name: str) -> None:
    made = getattr(zlmdb, name)
    assert issubclass(made, zlmdb.Map)
    assert made is getattr(zlmdb, name)
    assert made.__name__ == name


@pytest.mark.parametrize("name", ["MapUuid", "MapFooCbor", "MapUuidCborx", "Mapping", "nothing"])
def test_other_names_are_attribute_errors(name: str) -> None:
    with pytest.raises(AttributeError):
        getattr(zlmdb, name)


def test_pickle_is_used_only_when_asked_for_by_name(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn, pytest.raises(errors.EncodeError):
        zlmdb.MapOidCbor(1)[txn, 1] = object()
    with db.begin(write=True) as txn:
        zlmdb.MapOidPickle(2)[txn, 1] = {1, 2}
        assert zlmdb.MapOidPickle(2)[txn, 1] == {1, 2}


def test_large_and_many_values_are_kept(tmp_path: Path, lib_version: str) -> None:
    table = zlmdb.MapOidBytes(1)
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version, sync=False) as db:
        with db.begin(write=True) as txn:
            table[txn, 1] = b"x" * (16 << 20)
            table[txn, 2] = b""
        with db.begin() as txn:
            assert table[txn, 1] == b"x" * (16 << 20)
            assert table[txn, 2] == b""


def test_two_records_declared_for_an_untyped_map_come_back_as_their_classes(db: zlmdb.Database) -> None:
    @zlmdb.table("0c7f7a52-9c8e-4c0b-a3a9-6f2d8b7e0001")
    class Company:
        oid: UUID
        name: str

    @zlmdb.table("0c7f7a52-9c8e-4c0b-a3a9-6f2d8b7e0002")
    class Person:
        oid: UUID
        name: str

    table, text = zlmdb.MapUuidCbor(1), zlmdb.MapUuidJson(2)
    company, person = Company(oid=uuid4(), name="c"), Person(oid=uuid4(), name="p")
    with db.begin(write=True) as txn:
        for record in (company, person):
            table[txn, record.oid] = text[txn, record.oid] = record
            assert table[txn, record.oid] == text[txn, record.oid] == record
        assert type(table[txn, company.oid]) is Company
