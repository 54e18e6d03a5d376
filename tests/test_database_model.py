# SPDX-License-Identifier: MIT
"""A whole database does what dictionaries do: tables, indexes, sets, transactions, savepoints, handles, reopening."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import zlmdb
from zlmdb import errors
from zlmdb.orm.check import check
from zlmdb.orm.sets import SetMap

pytestmark = pytest.mark.slow

FIELDS = {"email": (False, True), "phone": (True, True), "role": (False, False), "team": (True, False)}
"""Indexed field of a person: nullable, unique."""


def declared(name: str, base: Any, **options: Any) -> type[zlmdb.Map]:
    made: type[zlmdb.Map] = type(name, (base,), {})
    return zlmdb.table(uuid5(UUID(int=7), name), **options)(made)


texts = st.sampled_from(["", "a", "ab", "b", "a\0", "a\0b", "é"])
numbers = st.integers(0, 6)
uuids = st.integers(0, 5).map(lambda number: UUID(int=number << 120 | number))
people = st.fixed_dictionaries(
    {"email": st.none() | texts | st.just(5), "role": texts}, optional={"phone": st.none() | texts, "team": texts}
)
documents = st.none() | texts | numbers | st.lists(numbers, max_size=3) | st.just({}) | st.just({"a": [1, {"b": None}]})

TABLES: dict[str, tuple[type[zlmdb.Map], Any, Any]] = {
    "people": (declared("People", zlmdb.MapOidCbor), numbers, people),
    "words": (declared("Words", zlmdb.MapStringString), texts, texts),
    "pairs": (declared("Pairs", zlmdb.MapStringOidOid), st.tuples(texts, numbers), numbers),
    "packed": (declared("Packed", zlmdb.MapUuidJson, compress="zlib"), uuids, documents),
    "times": (
        declared("Times", zlmdb.MapTimestampCbor),
        st.integers(0, 5).map(lambda number: np.datetime64(number << 40, "ns")),
        documents,
    ),
    "groups": (declared("Groups", zlmdb.MapOidOidSet), numbers, st.sets(numbers, max_size=4)),
    "tags": (declared("Tags", zlmdb.MapStringUuidSet), texts, st.sets(uuids, max_size=3)),
}
"""Map class, keys and values of each table."""
INDEXES = {name: declared(f"By{name}", zlmdb.MapStringOid) for name in FIELDS}
SETS = ("groups", "tags")

Contents = dict[str, dict[Any, Any]]


@dataclass
class Frame:
    """A transaction or savepoint: what to go back to."""

    context: Any
    contents: Contents
    attached: dict[str, zlmdb.Map] = field(default_factory=dict)


class DatabaseModel(RuleBasedStateMachine):
    """``contents`` is what the running transaction sees, ``committed`` what all others see."""

    def __init__(self, lib_version: str) -> None:
        super().__init__()
        self.lib_version = lib_version
        self.directory = tempfile.TemporaryDirectory()
        self.contents: Contents = {}
        self.committed: Contents = {}
        self.maps: dict[str, zlmdb.Map] = {}
        self.slots: dict[str, int] = {}
        self.frames: list[Frame] = []
        self.txn: Any = None

    @initialize()
    def open(self) -> None:
        self.handles = [zlmdb.Database(self.directory.name, sync=False, lib_version=self.lib_version) for _ in range(2)]

    def teardown(self) -> None:
        while self.frames:
            self.leave(commit=True)
        assert check(self.handles[0], *self.maps.values()).ok
        for handle in self.handles:
            handle.close()
        self.directory.cleanup()

    # --- tables

    @precondition(lambda self: len(self.maps) < len(TABLES))
    @rule(data=st.data(), which=st.integers(0, 1))
    def attach(self, data: Any, which: int) -> None:
        name = data.draw(st.sampled_from([name for name in TABLES if name not in self.maps]))
        self.maps[name] = self.attached(name, self.handles[which])
        self.contents[name] = {}
        if self.frames:
            self.frames[-1].attached[name] = self.maps[name]
        else:
            self.kept({name: self.maps[name]})

    @staticmethod
    def attached(name: str, db: zlmdb.Database) -> zlmdb.Map:
        made = db.attach_table(TABLES[name][0])
        if name == "people":
            for of, (nullable, unique) in FIELDS.items():
                index = db.attach_table(INDEXES[of])
                made.attach_index(of, index, lambda row, of=of: row.get(of), nullable, unique)
        return made

    def kept(self, maps: dict[str, zlmdb.Map]) -> None:
        for name, map_ in maps.items():
            assert map_.is_attached
            assert map_.slot == self.slots.setdefault(name, map_.slot)
            self.committed.setdefault(name, {})

    @precondition(lambda self: not self.frames)
    @rule()
    def reopen(self) -> None:
        for handle in self.handles:
            handle.close()
        self.open()
        self.maps = {name: self.attached(name, self.handles[0]) for name in self.maps}
        self.kept(self.maps)

    # --- transactions

    @precondition(lambda self: not self.frames)
    @rule(which=st.integers(0, 1))
    def begin(self, which: int) -> None:
        self.txn = self.handles[which].begin(write=True)
        self.enter(self.txn)

    @precondition(lambda self: 0 < len(self.frames) < 4)
    @rule()
    def savepoint(self) -> None:
        self.enter(self.txn.savepoint())

    def enter(self, context: Any) -> None:
        context.__enter__()
        self.frames.append(Frame(context, {name: dict(rows) for name, rows in self.contents.items()}))

    @precondition(lambda self: self.frames)
    @rule()
    def commit(self) -> None:
        self.leave(commit=True)

    @precondition(lambda self: self.frames)
    @rule()
    def roll_back(self) -> None:
        self.leave(commit=False)

    def leave(self, *, commit: bool) -> None:
        frame = self.frames.pop()
        error = None if commit else InterruptedError("rolled back")
        frame.context.__exit__(type(error) if error else None, error, None)
        if not commit:
            self.contents = frame.contents
            for name, map_ in frame.attached.items():
                assert not map_.is_attached
                del self.maps[name]
        elif self.frames:
            self.frames[-1].attached |= frame.attached
        else:
            self.kept(frame.attached)
        if not self.frames:
            self.txn = None
            self.committed = {name: dict(rows) for name, rows in self.contents.items()}

    # --- statements on tables

    def drawn(self, data: Any, *, sets: bool) -> tuple[str, zlmdb.Map, dict[Any, Any]]:
        name = data.draw(st.sampled_from([name for name in self.maps if (name in SETS) == sets]))
        return name, self.maps[name], self.contents[name]

    def fits(self, name: str, rows: dict[Any, Any], key: Any, row: Any) -> bool:
        """Tell whether a row may be stored among these rows."""
        if name != "people":
            return True
        others = [other for at, other in rows.items() if at != key]
        return isinstance(row["email"], str) and not any(
            row.get(of) is not None and row[of] == other.get(of) for other in others for of in ("email", "phone")
        )

    writable_tables = precondition(lambda self: self.frames and set(self.maps) - set(SETS))

    @writable_tables
    @rule(data=st.data(), how=st.sampled_from(["put", "put", "insert", "replace", "setdefault", "expected"]))
    def store(self, data: Any, how: str) -> None:
        name, map_, rows = self.drawn(data, sets=False)
        key, value = data.draw(TABLES[name][1]), data.draw(TABLES[name][2])
        allowed = self.fits(name, rows, key, value)
        if how == "setdefault" and key in rows:
            assert map_.setdefault((self.txn, key), value) == rows[key]
            return
        if how == "expected":
            expected = data.draw(TABLES[name][2])
            allowed = allowed and key in rows and rows[key] == expected
        elif how in {"insert", "replace"}:
            allowed = allowed and (key in rows) == (how == "replace")
        try:
            if how == "put":
                map_[self.txn, key] = value
            elif how == "setdefault":
                assert map_.setdefault((self.txn, key), value) == value
            elif how == "expected":
                assert map_.replace(self.txn, key, value, expected=expected) == rows[key]
            else:
                getattr(map_, how)(self.txn, key, value)
        except errors.DataError:
            assert not allowed
        else:
            assert allowed
            rows[key] = value

    @writable_tables
    @rule(data=st.data())
    def store_many(self, data: Any) -> None:
        name, map_, rows = self.drawn(data, sets=False)
        items = data.draw(st.lists(st.tuples(*TABLES[name][1:]), max_size=4))
        after, allowed = dict(rows), True
        for key, value in items:
            allowed = allowed and self.fits(name, after, key, value)
            after[key] = value
        try:
            assert map_.put_many(self.txn, items) == len(items)
        except errors.DataError:
            assert not allowed
        else:
            assert allowed
            self.contents[name] = after

    @writable_tables
    @rule(data=st.data(), how=st.sampled_from(["delete", "pop", "bound", "many", "truncate", "rebuild"]))
    def remove(self, data: Any, how: str) -> None:
        name, map_, rows = self.drawn(data, sets=False)
        if how == "truncate":
            present = [of for row in rows.values() for of in map_.indexes() if row.get(of) is not None]
            assert map_.truncate(self.txn) == len(rows) + len(present)
            rows.clear()
        elif how == "rebuild":
            deleted, inserted = map_.rebuild_indexes(self.txn)
            assert deleted == inserted
        else:
            self.remove_keys(map_, rows, how, data.draw(st.lists(TABLES[name][1], min_size=1, max_size=3)))

    def remove_keys(self, map_: zlmdb.Map, rows: dict[Any, Any], how: str, keys: list[Any]) -> None:
        key = keys[0]
        if how == "many":
            assert map_.delete_many(self.txn, keys) == len(rows.keys() & set(keys))
            for each in keys:
                rows.pop(each, None)
        elif how == "pop":
            assert map_.pop((self.txn, key), "none") == rows.pop(key, "none")
        elif how == "delete":
            del map_[self.txn, key]
            rows.pop(key, None)
        else:
            bound, present = map_.bound(self.txn), key in rows
            with suppress(KeyError):
                del bound[key]
                assert present
            rows.pop(key, None)

    # --- statements on sets

    @precondition(lambda self: self.frames and set(self.maps) & set(SETS))
    @rule(
        data=st.data(),
        how=st.sampled_from(["add", "discard", "update", "assign", "delete", "clear", "pop", "truncate"]),
    )
    def change_set(self, data: Any, how: str) -> None:
        name, map_, rows = self.drawn(data, sets=True)
        key, members = data.draw(TABLES[name][1]), data.draw(TABLES[name][2])
        live, before = map_[self.txn, key], rows.get(key, set())
        after = before
        if how == "assign":
            map_[self.txn, key] = after = members
        elif how == "delete":
            del map_[self.txn, key]
            after = set()
        elif how == "pop":
            assert map_.pop((self.txn, key), "none") == (before or "none")
            after = set()
        elif how == "truncate":
            assert map_.truncate(self.txn) == sum(map(len, rows.values()))
            rows.clear()
            return
        elif how in {"clear", "update"}:
            getattr(live, how)(*([members] if how == "update" else []))
            after = before | members if how == "update" else set()
        else:
            for member in members:
                getattr(live, how)(member)
            after = before | members if how == "add" else before - members
        rows.pop(key, None)
        if after:
            rows[key] = after

    # --- what always holds

    @invariant()
    def the_running_transaction_sees_what_it_wrote(self) -> None:
        if self.txn is not None:
            for name, map_ in self.maps.items():
                compare(self.txn, map_, self.contents[name])

    @invariant()
    def all_others_see_what_was_committed(self) -> None:
        if self.slots:
            with self.handles[1].begin() as txn:
                for name, map_ in self.maps.items():
                    if name in self.committed:
                        compare(txn, map_, self.committed[name])

    @invariant()
    def no_two_tables_share_a_slot(self) -> None:
        all_maps = [each for map_ in self.maps.values() for each in (map_, *indexes(map_).values())]
        assert len({map_.slot for map_ in all_maps}) == len(all_maps)


def indexes(map_: zlmdb.Map) -> dict[str, zlmdb.Map]:
    return {name: map_.index(name).map for name in map_.indexes()}


def compare(txn: zlmdb.Transaction, map_: zlmdb.Map, rows: dict[Any, Any]) -> None:
    """Compare a table and its indexes with the rows they should hold."""
    expected = sorted(rows.items())
    found = [(key, set(value) if isinstance(map_, SetMap) else value) for key, value in map_.select(txn)]
    assert found == expected
    keys = [key for key, _ in expected]
    assert list(map_.select(txn, reverse=True, return_values=False)) == keys[::-1]
    assert map_.count(txn) == len(map_.bound(txn)) == len(rows)
    if keys:
        middle = keys[len(keys) // 2]
        at = keys.index(middle)
        assert list(map_.select(txn, from_key=middle, return_values=False)) == keys[at:]
        assert list(map_.select(txn, to_key=middle, return_values=False, reverse=True)) == keys[:at][::-1]
        assert map_.count_range(txn, None, middle) == at
        assert (txn, middle) in map_
        assert map_.get((txn, middle)) == rows[middle]
    for name, index in indexes(map_).items():
        compare_index(txn, index, name, rows)


def compare_index(txn: zlmdb.Transaction, index: zlmdb.Map, name: str, rows: dict[Any, Any]) -> None:
    rebuilt: dict[Any, Any] = {}
    for key, row in rows.items():
        if row.get(name) is not None:
            rebuilt.setdefault(row[name], set()).add(key)
    stored = list(index.select(txn))
    assert [key for key, _ in stored] == sorted(rebuilt)
    owners = {key: set(owner) if isinstance(index, SetMap) else {owner} for key, owner in stored}
    assert owners == rebuilt


@pytest.mark.parametrize("lib_version", ["0.9", "1.0"])
def test_a_database_does_what_dictionaries_do(lib_version: str) -> None:
    run_state_machine_as_test(
        lambda: DatabaseModel(lib_version), settings=settings(max_examples=20, stateful_step_count=250)
    )
