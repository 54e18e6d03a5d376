# SPDX-License-Identifier: MIT
"""This package, and the existing `zlmdb` by the same public functions (FORMAT.md section 5)."""

from __future__ import annotations

import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.contestant import Contestant, Rollback, Stopwatch, consume, expect
from benchmarks.data import Data, User
from benchmarks.flat import SCHEMA, Accessor, build

_ARRAY: Final = np.ndarray[tuple[int], np.dtype[np.float64]]


class Maps(Contestant):
    """Works with the package that it is given."""

    def __init__(self, data: Data, directory: Path, zlmdb: Any) -> None:
        super().__init__(data, directory)
        self.zlmdb = zlmdb
        self.types = self.declare()
        self.fresh: Any = None
        # the same records in the same files as raw LMDB: a larger tree takes longer to search
        self.filled = self._open(directory / "users")
        self.filled_events = self._open(directory / "events")
        self._insert(self.filled, self._attach_indexed(self.filled), data.users)
        self._insert(self.filled_events, self._attach(self.filled_events, "events"), data.events)

    def declare(self) -> dict[str, Any]:
        """Return the types of the maps by their names in this file."""
        raise NotImplementedError

    def close(self) -> None:
        for db in (self.filled, self.filled_events, self.fresh, *self.databases.values()):
            if db is not None:
                db.__exit__(None, None, None)

    def _open(self, path: Path) -> Any:
        return self.zlmdb.Database(str(path), maxsize=1 << 36, sync=False)

    def _empty(self) -> Any:
        if self.fresh is not None:
            self.fresh.__exit__(None, None, None)
        self.fresh = self._open(self.empty())
        return self.fresh

    def _attach(self, db: Any, name: str) -> Any:
        return db.attach_table(self.types[name])

    def _attach_indexed(self, db: Any) -> Any:
        users = self._attach(db, "users")
        users.attach_index("by_email", self._attach(db, "by_email"), lambda user: user.email)
        users.attach_index("by_name", self._attach(db, "by_name"), lambda user: user.name)
        return users

    def _insert(self, db: Any, table: Any, items: Iterable[tuple[Any, Any]]) -> None:
        with db.begin(write=True) as txn:
            for key, value in items:
                table[txn, key] = value

    def bulk_insert(self) -> float:
        db = self._empty()
        users = self._attach(db, "users")
        with Stopwatch() as watch:
            self._insert(db, users, self.data.users)
        return watch.seconds

    def indexed_insert(self) -> float:
        db = self._empty()
        users = self._attach_indexed(db)
        with Stopwatch() as watch:
            self._insert(db, users, self.data.users)
        return watch.seconds

    def _read(self, table: Any) -> tuple[float, Any]:
        with self.filled.begin() as txn, Stopwatch() as watch:
            for oid, _ in self.data.reads:
                found = table[txn, oid]
        return watch.seconds, found

    def read_dict(self) -> float:
        seconds, found = self._read(self.types["dicts"](self._attach(self.filled, "users")._slot))
        expect(found, vars(self.data.reads[-1][1]))
        return seconds

    def read_object(self) -> float:
        seconds, found = self._read(self._attach(self.filled, "users"))
        expect(found, self.data.reads[-1][1])
        return seconds

    def single_puts(self) -> float:
        db = self._empty()
        users = self._attach(db, "users")
        with Stopwatch() as watch:
            for oid, user in self.data.puts:
                with db.begin(write=True) as txn:
                    users[txn, oid] = user
        return watch.seconds

    def _scan(self, expected: Any, **options: Any) -> float:
        events = self._attach(self.filled_events, "events")
        with self.filled_events.begin() as txn, Stopwatch() as watch:
            last = consume(events.select(txn, **options))
        expect(last, expected)
        return watch.seconds

    def scan_keys(self) -> float:
        return self._scan(self.data.events[-1][0], return_values=False)

    def scan(self) -> float:
        return self._scan(self.data.events[-1])

    def scan_reverse(self) -> float:
        return self._scan(self.data.events[0], reverse=True)

    def seek(self) -> float:
        events = self._attach(self.filled_events, "events")
        with self.filled_events.begin() as txn, Stopwatch() as watch:
            for start, _ in self.data.seeks:
                found = list(events.select(txn, from_key=start, limit=10))
        expect(found[-1], self.data.seeks[-1][1])
        return watch.seconds

    def lookup(self) -> float:
        users, by_email = self._attach(self.filled, "users"), self._attach(self.filled, "by_email")
        with self.filled.begin() as txn, Stopwatch() as watch:
            for _, user in self.data.lookups:
                found = users[txn, by_email[txn, user.email]]
        expect(found, self.data.lookups[-1][1])
        return watch.seconds

    def _flat(self) -> tuple[Any, Any]:
        """Return the database of flat users, and the table."""
        db = self.database("flat", lambda db: self._insert(db, self._attach(db, "flat"), self.data.users))
        return db, self._attach(db, "flat")

    def count(self) -> float:
        db = self.database("counted", lambda db: self._insert(db, self._attach(db, "events"), self.data.many()))
        events = self._attach(db, "events")
        with db.begin() as txn, Stopwatch() as watch:
            number = events.count(txn)
        expect(number, self.data.counted)
        return watch.seconds

    def truncate(self) -> float:
        events = self._attach(self.filled_events, "events")
        try:
            with self.filled_events.begin(write=True) as txn:
                with Stopwatch() as watch:
                    number = events.truncate(txn)
                raise Rollback
        except Rollback:
            expect(number, self.data.records)
        return watch.seconds

    def array_put(self) -> float:
        items = list(enumerate(self.data.arrays))
        with Stopwatch() as watch:
            self._insert(self.filled, self.types["arrays"], items)
        return watch.seconds

    def array_get(self) -> float:
        self.array_put()
        arrays = self.types["arrays"]
        with self.filled.begin() as txn, Stopwatch() as watch:
            for number in range(len(self.data.arrays)):
                found = arrays[txn, number]
        expect(found[-1], self.data.arrays[-1][-1])
        return watch.seconds


class Ours(Maps):
    """This package: declared records and NumPy values."""

    name = "ours"

    def declare(self) -> dict[str, Any]:
        from zlmdb.codecs.flatbuffers import load_fbs  # which the existing package has not

        zlmdb = self.zlmdb
        file = self.directory / "user.fbs"
        file.write_text(SCHEMA)
        return {
            "users": _table(zlmdb, 1, zlmdb.MapUuidCbor[User]),
            "dicts": zlmdb.MapUuidCbor,
            "events": _table(zlmdb, 3, zlmdb.MapTimestampUuidCbor),
            "flat": _table(zlmdb, 6, zlmdb.MapUuidFlatBuffers[load_fbs(file).FlatUser]),
            "arrays": zlmdb.MapOidNumpy[_ARRAY](1000),
            **_indexes(zlmdb),
        }

    def lookup(self) -> float:
        users = self._attach_indexed(self.filled)
        with self.filled.begin() as txn, Stopwatch() as watch:
            for _, user in self.data.lookups:
                found = users.find(txn, "by_email", user.email)
        expect(found, self.data.lookups[-1][1])
        return watch.seconds

    def flat_fields(self) -> float:
        db, table = self._flat()
        with db.begin() as txn, Stopwatch() as watch:
            for user in table.select(txn, return_keys=False):
                found = user.name, user.created
        expect(found, (self.data.last_user.name, self.data.last_user.created))
        return watch.seconds


class Existing(Maps):
    """The existing `zlmdb`: functions for each record, pickles for arrays."""

    name = "existing"

    def declare(self) -> dict[str, Any]:
        zlmdb = self.zlmdb
        plain = {"marshal": _itself, "parse": _itself}

        def dicts(slot: int) -> Any:
            return zlmdb.MapUuidCbor(slot, marshal=_itself, unmarshal=_itself)

        return {
            "users": _table(zlmdb, 1, zlmdb.MapUuidCbor, marshal=vars, parse=lambda plain: User(**plain)),
            "dicts": dicts,
            "events": _table(zlmdb, 3, zlmdb.MapTimestampUuidCbor, **plain),
            "flat": _table(zlmdb, 6, zlmdb.MapUuidFlatBuffers, build=build, cast=Accessor.get_root_as),
            "arrays": zlmdb.MapOidPickle(1000),
            **_indexes(zlmdb),
        }

    def flat_fields(self) -> float:
        db, table = self._flat()
        with db.begin() as txn, Stopwatch() as watch:
            for user in table.select(txn, return_keys=False):
                found = user.name(), user.created()
        expect(found, (self.data.last_user.name.encode(), self.data.last_user.created))
        return watch.seconds


def _table(zlmdb: Any, number: int, kind: Any, **functions: Any) -> Any:
    identity = f"6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a{number:02}"
    return zlmdb.table(identity, **functions)(types.new_class(f"Table{number}", (kind,)))


def _indexes(zlmdb: Any) -> dict[str, Any]:
    """Declare the maps from e-mail and name to the user's key."""
    return {"by_email": _table(zlmdb, 4, zlmdb.MapStringUuid), "by_name": _table(zlmdb, 5, zlmdb.MapStringUuid)}


def _itself(value: Any) -> Any:
    return value
