# SPDX-License-Identifier: MIT
"""Raw py-lmdb, which all ratios refer to."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

import cbor2
import lmdb

from benchmarks.contestant import Contestant, Stopwatch, consume, expect
from benchmarks.data import Data, event_key
from benchmarks.flat import encoded

MAP_SIZE: Final = 1 << 36


class Raw(Contestant):
    """Raw py-lmdb: every key and value is made of bytes before the time is taken, with the slot's two bytes."""

    name = "raw"

    def __init__(self, data: Data, directory: Path) -> None:
        super().__init__(data, directory)
        users = [(oid.bytes, user, cbor2.dumps(vars(user))) for oid, user in data.users]
        self.users = [(b"\0\1" + key, value) for key, _, value in users]
        self.indexed = [
            (b"\0\1" + key, value, b"\0\3" + user.email.encode(), b"\0\4" + user.name.encode(), key)
            for key, user, value in users
        ]
        self.events = [(b"\0\2" + event_key(key), cbor2.dumps(event)) for key, event in data.events]
        self.arrays = [(b"\0\5" + bytes([number]), array.tobytes()) for number, array in enumerate(data.arrays)]
        self.reads = [b"\0\1" + oid.bytes for oid, _ in data.reads]
        self.lookups = [b"\0\3" + user.email.encode() for _, user in data.lookups]
        self.seeks = [b"\0\2" + event_key(start) for start, _ in data.seeks]
        self.fresh: lmdb.Environment | None = None
        # one environment for each table, since a whole scan of it needs no bounds then
        self.filled = self._open(directory / "users")
        self.filled_events = self._open(directory / "events")
        self._insert_indexed(self.filled)
        self._insert(self.filled_events, self.events)

    def close(self) -> None:
        for env in (self.filled, self.filled_events, self.fresh, *self.databases.values()):
            if env is not None:
                env.close()

    def _open(self, path: Path) -> lmdb.Environment:
        return lmdb.open(str(path), map_size=MAP_SIZE, sync=False, lib_version=1)

    def _empty(self) -> lmdb.Environment:
        if self.fresh is not None:
            self.fresh.close()
        self.fresh = self._open(self.empty())
        return self.fresh

    def _insert(self, env: lmdb.Environment, items: Iterable[tuple[bytes, bytes]]) -> None:
        with env.begin(write=True) as txn:
            put = txn.put
            for key, value in items:
                put(key, value)

    def _insert_indexed(self, env: lmdb.Environment) -> None:
        with env.begin(write=True) as txn:
            put = txn.put
            for key, value, email, name, oid in self.indexed:
                put(key, value)
                put(email, oid)
                put(name, oid)

    def bulk_insert(self) -> float:
        env = self._empty()
        with Stopwatch() as watch:
            self._insert(env, self.users)
        return watch.seconds

    def indexed_insert(self) -> float:
        env = self._empty()
        with Stopwatch() as watch:
            self._insert_indexed(env)
        return watch.seconds

    def read_dict(self) -> float:
        with self.filled.begin() as txn, Stopwatch() as watch:
            get = txn.get
            for key in self.reads:
                get(key)
        return watch.seconds

    read_object = read_dict

    def single_puts(self) -> float:
        env, items = self._empty(), self.users[: len(self.data.puts)]
        with Stopwatch() as watch:
            for key, value in items:
                with env.begin(write=True) as txn:
                    txn.put(key, value)
        return watch.seconds

    def scan_keys(self) -> float:
        with self.filled_events.begin() as txn, Stopwatch() as watch:
            last = consume(txn.cursor().iternext(True, False))
        expect(last, self.events[-1][0])
        return watch.seconds

    def scan(self) -> float:
        with self.filled_events.begin() as txn, Stopwatch() as watch:
            last = consume(txn.cursor().iternext(True, True))
        expect(last, self.events[-1])
        return watch.seconds

    def scan_reverse(self) -> float:
        with self.filled_events.begin() as txn, Stopwatch() as watch:
            last = consume(txn.cursor().iterprev(True, True))
        expect(last, self.events[0])
        return watch.seconds

    def seek(self) -> float:
        with self.filled_events.begin() as txn, Stopwatch() as watch:
            for key in self.seeks:
                cursor = txn.cursor()
                cursor.set_range(key)
                found = list(islice(cursor.iternext(True, True), 10))
        expect(len(found), 10)
        return watch.seconds

    def lookup(self) -> float:
        with self.filled.begin() as txn, Stopwatch() as watch:
            get = txn.get
            for email in self.lookups:
                get(b"\0\1" + get(email))  # type: ignore[operator]  # it is there
        return watch.seconds

    def flat_fields(self) -> float:
        """Walk through the values, of which nothing is read."""
        items = ((b"\0\6" + oid.bytes, encoded(user)) for oid, user in self.data.users)
        env = self.database("flat", lambda env: self._insert(env, items))
        with env.begin() as txn, Stopwatch() as watch:
            last = consume(txn.cursor().iternext(False, True))
        expect(last, encoded(self.data.last_user))
        return watch.seconds

    def count(self) -> float:
        items = ((b"\0\7" + event_key(key), cbor2.dumps(event)) for key, event in self.data.many())
        env = self.database("counted", lambda env: self._insert(env, items))
        with env.begin() as txn, Stopwatch() as watch:
            number = sum(1 for _ in txn.cursor().iternext(True, False))
        expect(number, self.data.counted)
        return watch.seconds

    def truncate(self) -> float:
        number = 0
        with self.filled_events.begin(write=True) as txn:
            with Stopwatch() as watch:
                cursor = txn.cursor()
                cursor.first()
                while cursor.delete():  # goes on to the next record
                    number += 1
            txn.abort()
        expect(number, self.data.records)
        return watch.seconds

    def array_put(self) -> float:
        with Stopwatch() as watch:
            self._insert(self.filled, self.arrays)
        return watch.seconds

    def array_get(self) -> float:
        self._insert(self.filled, self.arrays)
        with self.filled.begin() as txn, Stopwatch() as watch:
            for key, _ in self.arrays:
                found = txn.get(key)  # kept until the next is there, as the others do: memory freed at once is warm
        expect(found, self.arrays[-1][1])
        return watch.seconds
