# SPDX-License-Identifier: MIT
"""The short ways of reading and writing records say and do what the long ones do."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest

import zlmdb
from zlmdb import errors

documents = zlmdb.MapUuidCbor(7)
KEY = uuid.UUID(int=1)


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Renamed:
    x: int
    z: int = 0


points = zlmdb.MapUuidCbor[Point](9)
renamed = zlmdb.MapUuidCbor[Renamed](9)


@pytest.mark.parametrize("value", [{"a": 1}, None, "\u0600" * 20, [b"\xd8\x1b"], {"t": 1.5}, Point(1, 2)])
def test_a_bound_map_reads_what_the_map_reads(db: zlmdb.Database, value: Any) -> None:
    table = points if isinstance(value, Point) else documents
    with db.begin(write=True) as txn:
        table[txn, KEY] = value
    for buffers in (False, True):
        with db.begin(buffers=buffers) as txn:
            assert table.bound(txn)[KEY] == table[txn, KEY] == value


def test_a_bound_map_refuses_as_the_map_does(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        txn.put(documents.raw_key(KEY), b"\xa1")
        bound = documents.bound(txn)
        with pytest.raises(KeyError):
            bound[uuid.UUID(int=2)]
        for read in (lambda: bound[KEY], lambda: documents[txn, KEY]):
            with pytest.raises(errors.DecodeError) as caught:
                read()
            assert (caught.value.key, caught.value.slot) == (KEY, 7)
        wrong: Any = "no UUID"
        for read in (lambda: bound[wrong], lambda: documents[txn, wrong]):
            with pytest.raises(errors.WrongType):
                read()
    for read in (lambda: bound[KEY], lambda: documents[txn, KEY]):
        with pytest.raises(errors.TransactionFinished):
            read()


def test_a_bound_map_reads_what_a_savepoint_wrote_and_not_what_it_undid(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        bound = documents.bound(txn)
        bound[KEY] = 1
        with pytest.raises(ZeroDivisionError), txn.savepoint():
            bound[KEY] = 2
            assert bound[KEY] == 2
            raise ZeroDivisionError
        assert bound[KEY] == 1


def test_a_map_that_reads_in_its_own_way_does_so_when_it_is_bound(db: zlmdb.Database) -> None:
    class Doubled(zlmdb.MapUuidCbor):
        def get(self, item: Any, default: Any = None) -> Any:
            return 2 * super().get(item, default)

    with db.begin(write=True) as txn:
        table = Doubled(7)
        table[txn, KEY] = 4
        assert table.bound(txn)[KEY] == 8


def test_a_subclass_of_uuid_is_a_key(db: zlmdb.Database) -> None:
    class Named(uuid.UUID):
        pass

    with db.begin(write=True) as txn:
        documents[txn, Named(int=1)] = 1
        assert documents[txn, KEY] == documents[txn, Named(int=1)] == documents.bound(txn)[Named(int=1)] == 1


def test_a_record_with_as_many_fields_of_other_names_is_no_such_record(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        points[txn, KEY] = Point(1, 2)
        with pytest.raises(errors.DecodeError, match="fields that Renamed has not: 'y'"):
            renamed[txn, KEY]
        documents_there = zlmdb.MapUuidCbor(9)
        documents_there[txn, KEY] = {"x": 1}
        assert renamed[txn, KEY] == Renamed(1, 0)


def test_attributes_that_are_no_fields_are_not_stored_and_missing_ones_are_refused(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        point: Any = Point(1, 2)
        point.label = "not a field"
        points[txn, KEY] = point
        assert vars(points[txn, KEY]) == {"x": 1, "y": 2}
        del point.x
        with pytest.raises(errors.WrongValue, match="field of the Point is not set"):
            points[txn, KEY] = point
        del point.label
        point.other = 3
        with pytest.raises(errors.EncodeError):
            points[txn, KEY] = point
        assert vars(points[txn, KEY]) == {"x": 1, "y": 2}


def test_records_of_two_threads_do_not_mix() -> None:
    """The encoder of a thread is its own, also on the short way of records."""
    from concurrent.futures import ThreadPoolExecutor

    def encoded(number: int) -> set[bytes]:
        return {points.value_codec.encode(Point(number, number)) for _ in range(200)}

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(encoded, range(40)))
    assert all(len(each) == 1 for each in found)
    assert len(set().union(*found)) == 40
