# SPDX-License-Identifier: MIT
"""What one writes without a mapper: py-lmdb with a named database for each table, cbor2, uuid and NumPy."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import cbor2
import lmdb
import numpy as np

from benchmarks.contestant import Contestant, Stopwatch, consume, expect
from benchmarks.data import Data, Event, EventKey, User, event_key
from benchmarks.flat import Accessor, encoded

_MAP_SIZE: Final = 1 << 36
_TABLES: Final = ("users", "events", "by_email", "by_name", "arrays", "flat")


class ByHand(Contestant):
    """py-lmdb and the codecs, called directly."""

    name = "by hand"

    def __init__(self, data: Data, directory: Path) -> None:
        super().__init__(data, directory)
        self.fresh: lmdb.Environment | None = None
        self.filled, self.tables = self._open(directory / "filled")
        self._insert_indexed(self.filled, self.tables)
        self._insert_events(self.filled, self.tables["events"], data.events)

    def close(self) -> None:
        for env in (self.filled, *(env for env, _ in self.databases.values())):
            env.close()
        if self.fresh is not None:
            self.fresh.close()

    def _open(self, path: Path) -> tuple[lmdb.Environment, dict[str, Any]]:
        env = lmdb.open(str(path), map_size=_MAP_SIZE, sync=False, max_dbs=len(_TABLES), lib_version=1)
        return env, {name: env.open_db(name.encode()) for name in _TABLES}

    def _empty(self) -> tuple[lmdb.Environment, dict[str, Any]]:
        if self.fresh is not None:
            self.fresh.close()
        self.fresh, tables = self._open(self.empty())
        return self.fresh, tables

    def _insert_events(self, env: lmdb.Environment, table: Any, items: Iterable[tuple[EventKey, Event]]) -> None:
        with env.begin(write=True, db=table) as txn:
            for key, event in items:
                txn.put(event_key(key), cbor2.dumps(event))

    def _insert_indexed(self, env: lmdb.Environment, tables: dict[str, Any]) -> None:
        users, by_email, by_name = tables["users"], tables["by_email"], tables["by_name"]
        with env.begin(write=True) as txn:
            put, dumps = txn.put, cbor2.dumps
            for oid, user in self.data.users:
                key = oid.bytes
                put(key, dumps(vars(user)), db=users)
                put(user.email.encode(), key, db=by_email)
                put(user.name.encode(), key, db=by_name)

    def bulk_insert(self) -> float:
        env, tables = self._empty()
        with Stopwatch() as watch, env.begin(write=True, db=tables["users"]) as txn:
            put, dumps = txn.put, cbor2.dumps
            for oid, user in self.data.users:
                put(oid.bytes, dumps(vars(user)))
        return watch.seconds

    def indexed_insert(self) -> float:
        env, tables = self._empty()
        with Stopwatch() as watch:
            self._insert_indexed(env, tables)
        return watch.seconds

    def read_dict(self) -> float:
        with self.filled.begin(db=self.tables["users"]) as txn, Stopwatch() as watch:
            get: Any = txn.get  # every key is there
            loads = cbor2.loads
            for oid, _ in self.data.reads:
                found = loads(get(oid.bytes))
        expect(found, vars(self.data.reads[-1][1]))
        return watch.seconds

    def read_object(self) -> float:
        with self.filled.begin(db=self.tables["users"]) as txn, Stopwatch() as watch:
            get: Any = txn.get  # every key is there
            loads = cbor2.loads
            for oid, _ in self.data.reads:
                found = User(**loads(get(oid.bytes)))
        expect(found, self.data.reads[-1][1])
        return watch.seconds

    def single_puts(self) -> float:
        env, tables = self._empty()
        users = tables["users"]
        with Stopwatch() as watch:
            for oid, user in self.data.puts:
                with env.begin(write=True, db=users) as txn:
                    txn.put(oid.bytes, cbor2.dumps(vars(user)))
        return watch.seconds

    def _key(self, raw: bytes) -> tuple[np.datetime64, uuid.UUID]:
        return np.datetime64(int.from_bytes(raw[:8], "big"), "ns"), uuid.UUID(bytes=raw[8:])

    def _scanned(self, rows: Iterator[Any]) -> Iterator[Any]:
        loads = cbor2.loads
        for key, value in rows:
            yield self._key(key), loads(value)

    def scan_keys(self) -> float:
        with self.filled.begin(db=self.tables["events"]) as txn, Stopwatch() as watch:
            last = consume(map(self._key, txn.cursor().iternext(True, False)))
        expect(last, self.data.events[-1][0])
        return watch.seconds

    def scan(self) -> float:
        with self.filled.begin(db=self.tables["events"]) as txn, Stopwatch() as watch:
            last = consume(self._scanned(txn.cursor().iternext(True, True)))
        expect(last, self.data.events[-1])
        return watch.seconds

    def scan_reverse(self) -> float:
        with self.filled.begin(db=self.tables["events"]) as txn, Stopwatch() as watch:
            last = consume(self._scanned(txn.cursor().iterprev(True, True)))
        expect(last, self.data.events[0])
        return watch.seconds

    def seek(self) -> float:
        with self.filled.begin(db=self.tables["events"]) as txn, Stopwatch() as watch:
            for start, _ in self.data.seeks:
                cursor = txn.cursor()
                cursor.set_range(event_key(start))
                found = list(self._scanned(islice(cursor.iternext(True, True), 10)))
        expect(found[-1], self.data.seeks[-1][1])
        return watch.seconds

    def lookup(self) -> float:
        users, by_email = self.tables["users"], self.tables["by_email"]
        with self.filled.begin() as txn, Stopwatch() as watch:
            get: Any = txn.get  # every key is there
            for _, user in self.data.lookups:
                found = User(**cbor2.loads(get(get(user.email.encode(), db=by_email), db=users)))
        expect(found, self.data.lookups[-1][1])
        return watch.seconds

    def flat_fields(self) -> float:
        env, tables = self.database("flat", self._insert_flat)
        with env.begin(db=tables["flat"]) as txn, Stopwatch() as watch:
            for data in txn.cursor().iternext(False, True):
                user = Accessor.get_root_as(data)
                found = user.name(), user.created()
        expect(found, (self.data.last_user.name.encode(), self.data.last_user.created))
        return watch.seconds

    def _insert_flat(self, database: tuple[lmdb.Environment, dict[str, Any]]) -> None:
        env, tables = database
        with env.begin(write=True, db=tables["flat"]) as txn:
            for oid, user in self.data.users:
                txn.put(oid.bytes, encoded(user))

    def count(self) -> float:
        def fill(database: tuple[lmdb.Environment, dict[str, Any]]) -> None:
            self._insert_events(database[0], database[1]["events"], self.data.many())

        env, tables = self.database("counted", fill)
        with env.begin() as txn, Stopwatch() as watch:
            number = txn.stat(tables["events"])["entries"]  # LMDB keeps count of each named database
        expect(number, self.data.counted)
        return watch.seconds

    def truncate(self) -> float:
        events = self.tables["events"]
        with self.filled.begin(write=True) as txn:
            with Stopwatch() as watch:
                number = txn.stat(events)["entries"]
                txn.drop(events, delete=False)
            txn.abort()
        expect(number, self.data.records)
        return watch.seconds

    def array_put(self) -> float:
        with Stopwatch() as watch, self.filled.begin(write=True, db=self.tables["arrays"]) as txn:
            for number, array in enumerate(self.data.arrays):
                txn.put(bytes([number]), array.tobytes())
        return watch.seconds

    def array_get(self) -> float:
        self.array_put()
        with self.filled.begin(db=self.tables["arrays"]) as txn, Stopwatch() as watch:
            get: Any = txn.get  # every key is there
            for number in range(len(self.data.arrays)):
                found = np.frombuffer(get(bytes([number]))).copy()
        expect(found[-1], self.data.arrays[-1][-1])
        return watch.seconds
