# SPDX-License-Identifier: MIT
"""Whatever bytes a file holds, reading gives a value or a `DecodeError`, and `check` tells which records these are.

Pickles are left out: reading a changed one runs whatever it has become.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zlmdb
from tests.stored_maps import LISTED, fixed_maps
from zlmdb import errors
from zlmdb.orm.check import check
from zlmdb.orm.sets import SetMap

pytestmark = pytest.mark.slow

Records = dict[bytes, bytes]


class Stored:
    """A database filled with all kinds, the maps to read it with, and what is in the file."""

    def __init__(self, path: str, lib_version: str, maps: list[zlmdb.Map]) -> None:
        self.path = path
        self.lib_version = lib_version
        self.maps = maps
        self.records: Records = {}

    def open(self) -> zlmdb.Database:
        return zlmdb.Database(self.path, sync=False, lib_version=self.lib_version)


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def stored(request: pytest.FixtureRequest) -> Iterator[Stored]:
    with tempfile.TemporaryDirectory() as path:
        filled = fixed_maps()
        made = Stored(path, request.param, [map_ for map_, _ in filled])
        with made.open() as db:
            filled += [(db.attach_table(table), records) for table, records in LISTED]
            with db.begin(write=True) as txn:
                for map_, records in filled:
                    for key, value in records:
                        map_[txn, key] = value
            with db.begin() as txn:
                made.records.update((bytes(key), bytes(data)) for key, data in txn.cursor())
            assert check(db, *made.maps).ok
        yield made


# --- what is done to the records

PIECES = [b"\0", b"\xff", b"\0\1", b"\xff" * 8, b"\x80" + b"\0" * 7, b"\xd8\x1b", b"\xbb" + b"\xff" * 8, b"[" * 3000]
WAYS: dict[str, Callable[[bytes, int, bytes], bytes]] = {
    "flip": lambda data, place, piece: (
        data[: place % len(data)] + bytes((data[place % len(data)] ^ (piece[0] or 1),)) + data[place % len(data) + 1 :]
        if data
        else piece
    ),
    "cut": lambda data, place, _: data[: -place or None],
    "cut in front": lambda data, place, _: data[place:],
    "extend": lambda data, _, piece: data + piece,
    "extend in front": lambda data, _, piece: piece + data,
    "insert": lambda data, place, piece: data[:place] + piece + data[place:],
    "replace": lambda _data, _place, piece: piece,
}
REGIONS = {"anywhere": b"", "catalogue": b"\0\0", "rows": b"\0\x64", "unique": b"\0\x65", "sets": b"\0\x66"}


@dataclass
class Change:
    """One thing done to a record, chosen by number among those of a region."""

    region: str
    what: str
    way: str
    which: int
    other: int
    place: int
    piece: bytes

    def perform(self, records: Records) -> None:
        keys = sorted(key for key in records if key.startswith(REGIONS[self.region]))
        if not keys:
            return
        key, second = keys[self.which % len(keys)], sorted(records)[self.other % len(records)]
        if self.what == "swap":
            records[key], records[second] = records[second], records[key]
            return
        data, change = records.pop(key), WAYS[self.way]
        if self.what == "value":
            data = change(data, self.place, self.piece)
        elif self.what == "key":
            key = key[:2] + change(key[2:], self.place, self.piece)
        elif self.what == "slot":
            key = change(key, self.place % 3, self.piece)
        if self.what != "delete" and 0 < len(key) <= 511:
            records[key] = data


changes = st.builds(
    Change,
    st.sampled_from(["anywhere"] * 4 + list(REGIONS)),
    st.sampled_from(["value", "value", "key", "slot", "swap", "delete"]),
    st.sampled_from(list(WAYS)),
    st.integers(0, 200),
    st.integers(0, 200),
    st.integers(0, 60),
    st.sampled_from(PIECES) | st.binary(min_size=1, max_size=9),
)


# --- reading all of it


def tried(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Return what a function reads; None where it refuses the stored bytes."""
    try:
        return function(*args, **options)
    except errors.DecodeError:
        return None


def read_map(txn: zlmdb.Transaction, map_: zlmdb.Map) -> None:
    for reverse in (False, True):
        for keys, values in ((True, True), (True, False), (False, True), (False, False)):
            tried(lambda **how: list(map_.select(txn, **how)), reverse=reverse, return_keys=keys, return_values=values)
    bound = map_.bound(txn)
    for whole in (list, lambda each: list(reversed(each)), len, lambda each: [*each.values(), *each.items()]):
        tried(whole, bound)
    for raw in raws(txn, map_):
        key = tried(decoded_key, map_, raw)
        if key is not None and is_writable(map_, key):
            read_record(txn, map_, key)


def read_record(txn: zlmdb.Transaction, map_: zlmdb.Map, key: Any) -> None:
    tried(map_.__getitem__, (txn, key))
    tried(map_.bound(txn).get, key)
    assert (txn, key) in map_
    tried(lambda: list(map_.select(txn, from_key=key)))
    tried(lambda: list(map_.select(txn, to_key=key, reverse=True, limit=2)))
    tried(map_.count_range, txn, key, None)
    if isinstance(map_, SetMap):
        members = tried(list, map_[txn, key])
        assert members is None or all(member in map_[txn, key] for member in members)


def raws(txn: zlmdb.Transaction, map_: zlmdb.Map) -> list[bytes]:
    return [bytes(key) for key, _ in txn.cursor() if bytes(key[:2]) == map_.raw_prefix]


def decoded_key(map_: zlmdb.Map, raw: bytes) -> Any:
    return map_.split(raw)[0] if isinstance(map_, SetMap) else map_.key_codec.decode(raw[2:])


def is_writable(map_: zlmdb.Map, key: Any) -> bool:
    """Tell whether a key that was read can be given back: times before 1970 cannot."""
    try:
        map_.raw_key(key)
    except errors.WrongValue:
        return False
    return True


def write_over(db: zlmdb.Database, table: zlmdb.Map) -> None:
    """Try to write on each record of the indexed table: that is done, or refused for what is stored."""

    def one(txn: zlmdb.Transaction, write: Callable[..., Any], *args: Any) -> None:
        with suppress(errors.DataError), txn.savepoint():
            write(txn, *args)

    with pytest.raises(InterruptedError), db.begin(write=True) as txn:
        for raw in raws(txn, table):
            key = tried(decoded_key, table, raw)
            if key is not None:
                one(txn, table.replace, key, {"email": "e1", "role": "new"})
                one(txn, table.put_many, [(key, {"email": "fresh", "role": "a"})])
                one(txn, table.delete_many, [key])
        for name in table.indexes():
            one(txn, table.rebuild_index, name)
        one(txn, table.truncate)
        raise InterruptedError


# --- what should be found


def unreadable(txn: zlmdb.Transaction, map_: zlmdb.Map) -> set[tuple[int, bytes]]:
    """Return slot and raw key of the records that cannot be read one by one."""
    found = set()
    for raw in raws(txn, map_):
        data = txn.get(raw)
        try:
            if isinstance(map_, SetMap):
                map_.split(raw)
                assert not data
            else:
                map_.key_codec.decode(raw[2:])
                map_.from_raw(raw, data)
        except (errors.DecodeError, AssertionError):
            found.add((map_.slot, raw))
    return found


def disagrees(txn: zlmdb.Transaction, table: zlmdb.Map, name: str) -> bool:
    """Tell whether an index is not what a dictionary made from the readable rows says."""
    index = table.index(name)
    stored = {raw: bytes(txn.get(raw)) for raw in raws(txn, index.map)}
    for raw in raws(txn, table):
        row = tried(lambda raw=raw: (table.key_codec.decode(raw[2:]), table.from_raw(raw, txn.get(raw))))
        if row is None:
            continue
        try:
            entry = index.entry(index.table.raw_key(row[0]), *row)
        except errors.DataError:
            return True
        if entry is not None and stored.pop(entry[0], None) != entry[1]:
            return True
    silent = {raw for _, raw in unreadable(txn, table)}
    return not all(of_a_row(index, raw, data, silent) for raw, data in stored.items())


def of_a_row(index: Any, raw: bytes, data: bytes, rows: set[bytes]) -> bool:
    """Tell whether an index record names one of these rows."""
    try:
        owner = index.map.split(raw)[1] if isinstance(index.map, SetMap) else index.map.from_raw(raw, data)
        index.map.key_codec.decode(b"") if isinstance(index.map, SetMap) else index.map.key_codec.decode(raw[2:])
    except errors.DecodeError:
        return False
    return index.table.raw_key(owner) in rows and not (data and isinstance(index.map, SetMap))


@settings(max_examples=120)
@given(done=st.lists(changes, min_size=1, max_size=6))
def test_whatever_is_stored_is_read_or_refused_and_told_by_a_check(stored: Stored, done: list[Change]) -> None:
    records = dict(stored.records)
    for change in done:
        change.perform(records)
    write(stored, stored.records, records)
    try:
        with stored.open() as db:
            attached = attach(db)
            for buffers in (False, True):
                with db.begin(buffers=buffers) as txn:
                    for map_ in [*stored.maps, *attached]:
                        read_map(txn, map_)
            write_over(db, stored.maps[0])
            compare(db, [*stored.maps, *attached])
    finally:
        write(stored, records, stored.records)


def write(stored: Stored, before: Records, after: Records) -> None:
    with stored.open() as db, db.begin(write=True) as txn:
        for key in before.keys() - after.keys():
            txn.delete(key)
        for key, data in after.items():
            if before.get(key) != data:
                txn.put(key, data)


def attach(db: zlmdb.Database) -> list[zlmdb.Map]:
    made = []
    for table, _ in LISTED:
        with suppress(errors.DecodeError, errors.SchemaError):
            made.append(db.attach_table(table))
    return made


def compare(db: zlmdb.Database, maps: list[zlmdb.Map]) -> None:
    """Compare what a check finds with what reading one by one has found."""
    report = check(db, *maps)
    assert report.found == len(report.problems)
    with db.begin() as txn:
        for map_ in maps:
            told = [each.key for each in report.problems if (each.slot, each.kind[:6]) == (map_.slot, "undeco")]
            assert len(set(map(repr, told))) == len(unreadable(txn, map_)), map_.title
            for name in map_.indexes():
                slot = map_.index(name).map.slot
                assert any(each.slot == slot for each in report.problems) == disagrees(txn, map_, name), name
    repaired = check(db, *maps, repair=True)
    assert check(db, *maps).problems == repaired.problems
