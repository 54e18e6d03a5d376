# SPDX-License-Identifier: MIT
"""This package, and the existing `zlmdb` by the same public functions (FORMAT.md section 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.contestant import Contestant, Rollback, Stopwatch, consume, expect
from benchmarks.data import Data, User


class Maps(Contestant):
    """Works with the package that it is given."""

    def __init__(self, data: Data, directory: Path, zlmdb: Any) -> None:
        super().__init__(data, directory)
        self.zlmdb = zlmdb
        self.types = self.declare()
        self.fresh: Any = None
        self.filled = self._open(directory / "filled")
        self._insert(self.filled, self._attach(self.filled, "dicts"), data.dicts)
        self._insert(self.filled, self._attach_indexed(self.filled), data.users)
        self._insert(self.filled, self._attach(self.filled, "events"), data.events)

    def declare(self) -> dict[str, Any]:
        """Return the types of the maps by their names in this file."""
        raise NotImplementedError

    def close(self) -> None:
        for db in (self.filled, self.fresh):
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

    def _insert(self, db: Any, table: Any, items: list[tuple[Any, Any]]) -> None:
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
        seconds, found = self._read(self._attach(self.filled, "dicts"))
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
        events = self._attach(self.filled, "events")
        with self.filled.begin() as txn, Stopwatch() as watch:
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
        events = self._attach(self.filled, "events")
        with self.filled.begin() as txn, Stopwatch() as watch:
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

    def count(self) -> float:
        events = self._attach(self.filled, "events")
        with self.filled.begin() as txn, Stopwatch() as watch:
            number = events.count(txn)
        expect(number, self.data.records)
        return watch.seconds

    def truncate(self) -> float:
        events = self._attach(self.filled, "events")
        try:
            with self.filled.begin(write=True) as txn:
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
        zlmdb = self.zlmdb

        @zlmdb.table("6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a01")
        class Users(zlmdb.MapUuidCbor[User]): ...

        @zlmdb.table("6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a02")
        class Dicts(zlmdb.MapUuidCbor): ...

        @zlmdb.table("6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a03")
        class Events(zlmdb.MapTimestampUuidCbor): ...

        arrays = zlmdb.MapOidNumpy(1000)
        return {"users": Users, "dicts": Dicts, "events": Events, "arrays": arrays, **indexes(zlmdb)}


class Existing(Maps):
    """The existing `zlmdb`: functions for each record, pickles for arrays."""

    name = "existing"

    def declare(self) -> dict[str, Any]:
        zlmdb = self.zlmdb

        @zlmdb.table("6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a01", marshal=vars, parse=lambda plain: User(**plain))
        class Users(zlmdb.MapUuidCbor): ...

        @zlmdb.table("6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a02", marshal=_itself, parse=_itself)
        class Dicts(zlmdb.MapUuidCbor): ...

        @zlmdb.table("6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a03", marshal=_itself, parse=_itself)
        class Events(zlmdb.MapTimestampUuidCbor): ...

        arrays = zlmdb.MapOidPickle(1000)
        return {"users": Users, "dicts": Dicts, "events": Events, "arrays": arrays, **indexes(zlmdb)}


def indexes(zlmdb: Any) -> dict[str, Any]:
    """Declare the maps from e-mail and name to the user's key."""

    @zlmdb.table("6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a04")
    class ByEmail(zlmdb.MapStringUuid): ...

    @zlmdb.table("6e2a66a2-5a8c-4b1c-8a37-7c1a1e2f0a05")
    class ByName(zlmdb.MapStringUuid): ...

    return {"by_email": ByEmail, "by_name": ByName}


def _itself(value: Any) -> Any:
    return value
