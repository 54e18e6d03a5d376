# SPDX-License-Identifier: MIT
"""The contestants on Twisted's reactor: this package, raw py-lmdb behind ``deferToThread``, by hand, and adbapi.

``python -m benchmarks.asynchronous_reactor DIRECTORY`` reads the name of a row from each line of its input, and
answers with a line of JSON.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import lmdb
from twisted.enterprise import adbapi
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from benchmarks.asynchronous_by_hand import ByHand
from benchmarks.asynchronous_calls import Calls, Encoded, Maps, Together, Turns, answering, filled, made
from benchmarks.data import Data
from benchmarks.lateness import lateness
from benchmarks.raw import MAP_SIZE
from zlmdb.twisted import open_database

_THREADS: Final = 10  # as many as the reactor's pool has
_PATIENCE: Final = 60.0  # seconds that a thread waits for others that write
_INSERT: Final = "INSERT OR REPLACE INTO users VALUES (?, ?)"


class Raw(Encoded):
    """One LMDB transaction for each call, on the reactor's pool of ten threads."""

    name = "raw"

    def __init__(self, data: Data, directory: Path, together: Together) -> None:
        super().__init__(data, directory, together)
        self.fast = filled(directory / "fast", self.items)
        self.durable = lmdb.open(str(directory / "durable"), map_size=MAP_SIZE, lib_version=1)

    async def close(self) -> None:
        self.fast.close()
        self.durable.close()

    def get(self, key: bytes) -> Deferred[Any]:
        return deferToThread(_read, self.fast, key)

    def put(self, item: tuple[bytes, bytes]) -> Deferred[Any]:
        return deferToThread(_write, self.fast, *item)

    def durable_put(self, item: tuple[bytes, bytes]) -> Deferred[Any]:
        return deferToThread(_write, self.durable, *item)


def _read(env: lmdb.Environment, key: bytes) -> Any:
    with env.begin() as txn:
        return txn.get(key)


def _write(env: lmdb.Environment, key: bytes, value: bytes) -> None:
    with env.begin(write=True) as txn:
        txn.put(key, value)


class Ours(Maps):
    """`zlmdb.twisted` with its defaults."""

    name = "ours"
    open_database = staticmethod(open_database)


class Adbapi(Encoded):
    """sqlite3 on Twisted's pool of connections, each in a thread of its own; the journal is a WAL."""

    name = "adbapi"

    def __init__(self, data: Data, directory: Path, together: Together) -> None:
        super().__init__(data, directory, together)
        self.found = [(self.found,)]
        self.fast = _pool(directory / "fast.sqlite", self.items, "OFF")
        self.durable = _pool(directory / "durable.sqlite", [], "FULL")

    async def close(self) -> None:
        self.fast.close()
        self.durable.close()

    def get(self, key: bytes) -> Deferred[Any]:
        found: Deferred[Any] = self.fast.runQuery("SELECT value FROM users WHERE key = ?", (key,))
        return found

    def put(self, item: tuple[bytes, bytes]) -> Deferred[Any]:
        done: Deferred[Any] = self.fast.runOperation(_INSERT, item)
        return done

    def durable_put(self, item: tuple[bytes, bytes]) -> Deferred[Any]:
        done: Deferred[Any] = self.durable.runOperation(_INSERT, item)
        return done


def _pool(file: Path, items: list[tuple[bytes, bytes]], synchronous: str) -> Any:
    """Return connections to a new database with these records."""
    with closing(sqlite3.connect(file)) as first:
        first.execute("PRAGMA journal_mode = WAL")
        first.execute("CREATE TABLE users (key BLOB PRIMARY KEY, value BLOB)")
        first.executemany(_INSERT, items)
        first.commit()

    def opened(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA synchronous = {synchronous}")

    make: Any = adbapi.ConnectionPool
    threads = {"cp_max": _THREADS, "cp_openfun": opened, "check_same_thread": False}
    return make("sqlite3", str(file), timeout=_PATIENCE, **threads)


async def _main(reactor: Any, directory: Path) -> None:
    answer, turns, data = answering(), Turns(), made()

    async def late(contestants: dict[str, Calls]) -> list[dict[str, Any]]:
        ours, raw = contestants["ours"], contestants["raw"]
        assert isinstance(ours, Ours)
        assert isinstance(raw, Raw)
        return await lateness(reactor, data, ours.db, raw.fast)

    try:
        await turns.prepare([Raw, Ours, ByHand, Adbapi], data, directory, _together)
        await turns.serve(lambda: deferToThread(sys.stdin.readline), answer, late)
    finally:
        await turns.close()


def _together(waiting: list[Deferred[Any]]) -> Deferred[list[Any]]:
    return gatherResults(waiting, consumeErrors=True)


if __name__ == "__main__":
    react(lambda reactor: ensureDeferred(_main(reactor, Path(sys.argv[1]))))
