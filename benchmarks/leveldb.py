# SPDX-License-Identifier: MIT
"""LevelDB by plyvel, with the codecs called directly; it takes part where it can be installed."""

from __future__ import annotations

import importlib
import sys
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import cbor2
import numpy as np

from benchmarks.contestant import Contestant, Stopwatch, consume, expect
from benchmarks.data import Data, User, event_key
from benchmarks.installing import PLYVEL

_USERS: Final = b"u"
_EMAILS: Final = b"m"
_NAMES: Final = b"n"


class LevelDb(Contestant):
    """One key space with a prefix for each table; a batch is what comes nearest to a transaction. Nothing is synced."""

    name = "plyvel"

    def __init__(self, data: Data, directory: Path) -> None:
        PLYVEL.install()
        sys.path.append(str(PLYVEL.folder))
        self.plyvel: Any = importlib.import_module("plyvel")
        super().__init__(data, directory)
        self.fresh: Any = None
        self.filled = self._open(directory / "filled")
        self._insert_indexed(self.filled)

    def close(self) -> None:
        for db in (self.filled, self.fresh, *self.databases.values()):
            if db is not None:
                db.close()

    def _open(self, path: Path) -> Any:
        return self.plyvel.DB(str(path), create_if_missing=True)

    def _empty(self) -> Any:
        if self.fresh is not None:
            self.fresh.close()
        self.fresh = self._open(self.empty())
        return self.fresh

    def _events(self) -> Any:
        return self.database("events", self._insert_events)

    def _insert_events(self, db: Any) -> None:
        with db.write_batch() as batch:
            for key, event in self.data.events:
                batch.put(event_key(key), cbor2.dumps(event))

    def _insert_indexed(self, db: Any) -> None:
        with db.write_batch(transaction=True) as batch:
            put, dumps = batch.put, cbor2.dumps
            for oid, user in self.data.users:
                key = oid.bytes
                put(_USERS + key, dumps(vars(user)))
                put(_EMAILS + user.email.encode(), key)
                put(_NAMES + user.name.encode(), key)

    def bulk_insert(self) -> float:
        db = self._empty()
        with Stopwatch() as watch, db.write_batch(transaction=True) as batch:
            put, dumps = batch.put, cbor2.dumps
            for oid, user in self.data.users:
                put(_USERS + oid.bytes, dumps(vars(user)))
        return watch.seconds

    def indexed_insert(self) -> float:
        db = self._empty()
        with Stopwatch() as watch:
            self._insert_indexed(db)
        return watch.seconds

    def read_dict(self) -> float:
        get, loads = self.filled.get, cbor2.loads
        with Stopwatch() as watch:
            for oid, _ in self.data.reads:
                found = loads(get(_USERS + oid.bytes))
        expect(found, vars(self.data.reads[-1][1]))
        return watch.seconds

    def read_object(self) -> float:
        get, loads = self.filled.get, cbor2.loads
        with Stopwatch() as watch:
            for oid, _ in self.data.reads:
                found = User(**loads(get(_USERS + oid.bytes)))
        expect(found, self.data.reads[-1][1])
        return watch.seconds

    def single_puts(self) -> float:
        put = self._empty().put
        with Stopwatch() as watch:
            for oid, user in self.data.puts:
                put(_USERS + oid.bytes, cbor2.dumps(vars(user)))
        return watch.seconds

    def scan_keys(self) -> float:
        db = self._events()
        with Stopwatch() as watch:
            last = consume(map(_key, db.iterator(include_value=False)))
        expect(last, self.data.events[-1][0])
        return watch.seconds

    def scan(self) -> float:
        db = self._events()
        with Stopwatch() as watch:
            last = consume(_decoded(db.iterator()))
        expect(last, self.data.events[-1])
        return watch.seconds

    def scan_reverse(self) -> float:
        db = self._events()
        with Stopwatch() as watch:
            last = consume(_decoded(db.iterator(reverse=True)))
        expect(last, self.data.events[0])
        return watch.seconds

    def seek(self) -> float:
        db = self._events()
        with Stopwatch() as watch:
            for start, _ in self.data.seeks:
                found = list(_decoded(islice(db.iterator(start=event_key(start)), 10)))
        expect(found[-1], self.data.seeks[-1][1])
        return watch.seconds

    def lookup(self) -> float:
        get = self.filled.get
        with Stopwatch() as watch:
            for _, user in self.data.lookups:
                found = User(**cbor2.loads(get(_USERS + get(_EMAILS + user.email.encode()))))
        expect(found, self.data.lookups[-1][1])
        return watch.seconds


def _key(raw: bytes) -> tuple[np.datetime64, uuid.UUID]:
    return np.datetime64(int.from_bytes(raw[:8], "big"), "ns"), uuid.UUID(bytes=raw[8:])


def _decoded(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[Any]:
    for key, value in rows:
        yield _key(key), cbor2.loads(value)
