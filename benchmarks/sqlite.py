# SPDX-License-Identifier: MIT
"""The standard library's sqlite3, with records as CBOR in a column of bytes and the indexed fields beside them."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import cbor2
import numpy as np

from benchmarks.contestant import Contestant, Stopwatch, consume, expect
from benchmarks.data import Data, Event, EventKey, User
from benchmarks.flat import Accessor, encoded

_SCHEMA: Final = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -262144;
    CREATE TABLE users (oid BLOB PRIMARY KEY, data BLOB) WITHOUT ROWID;
    CREATE TABLE indexed (oid BLOB PRIMARY KEY, email TEXT UNIQUE, name TEXT UNIQUE, data BLOB) WITHOUT ROWID;
    CREATE TABLE events (at INTEGER, oid BLOB, data BLOB, PRIMARY KEY (at, oid)) WITHOUT ROWID;
    CREATE TABLE flat (oid BLOB PRIMARY KEY, data BLOB) WITHOUT ROWID;
    CREATE TABLE arrays (id INTEGER PRIMARY KEY, data BLOB);
"""
_INSERT: Final = "INSERT OR REPLACE INTO users VALUES (?, ?)"
_INSERT_INDEXED: Final = "INSERT OR REPLACE INTO indexed VALUES (?, ?, ?, ?)"
_EVENTS: Final = "SELECT at, oid, data FROM events ORDER BY at"


class Sqlite(Contestant):
    """One prepared statement for each operation; the journal is a WAL, and nothing is synced."""

    name = "sqlite3"

    def __init__(self, data: Data, directory: Path) -> None:
        super().__init__(data, directory)
        self.fresh: sqlite3.Connection | None = None
        self.filled = self._open(directory)
        self._insert(self.filled)
        self._insert_indexed(self.filled)
        self._insert_events(self.filled, data.events)

    def close(self) -> None:
        for connection in (self.filled, *self.databases.values()):
            connection.close()
        if self.fresh is not None:
            self.fresh.close()

    def _open(self, path: Path) -> sqlite3.Connection:
        path.mkdir(exist_ok=True)
        connection = sqlite3.connect(path / "data.sqlite", isolation_level=None)
        connection.executescript(_SCHEMA)
        return connection

    def _empty(self) -> sqlite3.Connection:
        if self.fresh is not None:
            self.fresh.close()
        self.fresh = self._open(self.empty())
        return self.fresh

    def _within(self, connection: sqlite3.Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        connection.execute("BEGIN")
        connection.executemany(statement, rows)
        connection.execute("COMMIT")

    def _insert(self, connection: sqlite3.Connection) -> None:
        self._within(connection, _INSERT, ((oid.bytes, cbor2.dumps(vars(user))) for oid, user in self.data.users))

    def _insert_indexed(self, connection: sqlite3.Connection) -> None:
        rows = ((oid.bytes, user.email, user.name, cbor2.dumps(vars(user))) for oid, user in self.data.users)
        self._within(connection, _INSERT_INDEXED, rows)

    def _insert_events(self, connection: sqlite3.Connection, events: Iterable[tuple[EventKey, Event]]) -> None:
        rows = ((_ns(at), oid.bytes, cbor2.dumps(event)) for (at, oid), event in events)
        self._within(connection, "INSERT INTO events VALUES (?, ?, ?)", rows)

    def bulk_insert(self) -> float:
        connection = self._empty()
        with Stopwatch() as watch:
            self._insert(connection)
        return watch.seconds

    def indexed_insert(self) -> float:
        connection = self._empty()
        with Stopwatch() as watch:
            self._insert_indexed(connection)
        return watch.seconds

    def read_dict(self) -> float:
        execute = self.filled.execute
        with Stopwatch() as watch:
            for oid, _ in self.data.reads:
                found = cbor2.loads(execute("SELECT data FROM users WHERE oid = ?", (oid.bytes,)).fetchone()[0])
        expect(found, vars(self.data.reads[-1][1]))
        return watch.seconds

    def read_object(self) -> float:
        execute = self.filled.execute
        with Stopwatch() as watch:
            for oid, _ in self.data.reads:
                data = execute("SELECT data FROM users WHERE oid = ?", (oid.bytes,)).fetchone()[0]
                found = User(**cbor2.loads(data))
        expect(found, self.data.reads[-1][1])
        return watch.seconds

    def single_puts(self) -> float:
        connection = self._empty()
        with Stopwatch() as watch:
            for oid, user in self.data.puts:  # a statement of its own is a transaction
                connection.execute(_INSERT, (oid.bytes, cbor2.dumps(vars(user))))
        return watch.seconds

    def scan_keys(self) -> float:
        with Stopwatch() as watch:
            last = consume(_key(at, oid) for at, oid in self.filled.execute("SELECT at, oid FROM events ORDER BY at"))
        expect(last, self.data.events[-1][0])
        return watch.seconds

    def scan(self) -> float:
        with Stopwatch() as watch:
            last = consume(_scanned(self.filled.execute(_EVENTS)))
        expect(last, self.data.events[-1])
        return watch.seconds

    def scan_reverse(self) -> float:
        with Stopwatch() as watch:
            last = consume(_scanned(self.filled.execute(f"{_EVENTS} DESC")))
        expect(last, self.data.events[0])
        return watch.seconds

    def seek(self) -> float:
        statement = "SELECT at, oid, data FROM events WHERE (at, oid) >= (?, ?) ORDER BY at, oid LIMIT 10"
        with Stopwatch() as watch:
            for (at, oid), _ in self.data.seeks:
                found = list(_scanned(self.filled.execute(statement, (_ns(at), oid.bytes))))
        expect(found[-1], self.data.seeks[-1][1])
        return watch.seconds

    def lookup(self) -> float:
        execute = self.filled.execute
        with Stopwatch() as watch:
            for _, user in self.data.lookups:
                data = execute("SELECT data FROM indexed WHERE email = ?", (user.email,)).fetchone()[0]
                found = User(**cbor2.loads(data))
        expect(found, self.data.lookups[-1][1])
        return watch.seconds

    def flat_fields(self) -> float:
        rows = ((oid.bytes, encoded(user)) for oid, user in self.data.users)
        connection = self.database("flat", lambda db: self._within(db, "INSERT INTO flat VALUES (?, ?)", rows))
        with Stopwatch() as watch:
            for (data,) in connection.execute("SELECT data FROM flat ORDER BY oid"):
                user = Accessor.get_root_as(data)
                found = user.name(), user.created()
        expect(found, (self.data.last_user.name.encode(), self.data.last_user.created))
        return watch.seconds

    def count(self) -> float:
        connection = self.database("counted", lambda db: self._insert_events(db, self.data.many()))
        with Stopwatch() as watch:
            number = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        expect(number, self.data.counted)
        return watch.seconds

    def truncate(self) -> float:
        self.filled.execute("BEGIN")
        with Stopwatch() as watch:
            number = self.filled.execute("DELETE FROM events").rowcount
        self.filled.execute("ROLLBACK")
        expect(number, self.data.records)
        return watch.seconds

    def array_put(self) -> float:
        with Stopwatch() as watch:
            rows = ((number, array.tobytes()) for number, array in enumerate(self.data.arrays))
            self._within(self.filled, "INSERT OR REPLACE INTO arrays VALUES (?, ?)", rows)
        return watch.seconds

    def array_get(self) -> float:
        self.array_put()
        with Stopwatch() as watch:
            for number in range(len(self.data.arrays)):
                data = self.filled.execute("SELECT data FROM arrays WHERE id = ?", (number,)).fetchone()[0]
                found = np.frombuffer(data).copy()
        expect(found[-1], self.data.arrays[-1][-1])
        return watch.seconds


def _ns(at: np.datetime64) -> int:
    return int(at.astype(int))


def _key(at: int, oid: bytes) -> EventKey:
    return np.datetime64(at, "ns"), uuid.UUID(bytes=oid)


def _scanned(rows: Iterable[Any]) -> Iterator[Any]:
    loads = cbor2.loads
    for at, oid, data in rows:
        yield _key(at, oid), loads(data)
