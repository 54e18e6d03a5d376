# SPDX-License-Identifier: MIT
"""The asynchronous rows: this package's Deferreds against raw py-lmdb behind ``deferToThread``.

``python -m benchmarks.asynchronous ROUNDS DIRECTORY NAME …`` measures the rows of these names in a process of
its own, since a reactor runs only once, and prints one line of JSON.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import cbor2
import lmdb
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

import zlmdb
from benchmarks.contestant import Stopwatch, expect
from benchmarks.data import Data, User
from benchmarks.installing import ROOT
from benchmarks.lateness import lateness
from benchmarks.raw import MAP_SIZE
from benchmarks.rows import LATENESS
from zlmdb.twisted import AsyncMap, open_database

_RECORDS: Final = 5000
_CALLS: Final = 1000  # of each measurement, a multiple of what runs at the same time
_DURABLE_CALLS: Final = 200
_CONCURRENT: Final = 100


class Calls:
    """Has a method for each row that returns when all calls of one measurement are done."""

    data: Data
    reads: list[Any]
    puts: list[Any]

    def get(self, key: Any) -> Deferred[Any]:
        """Begin to read one record."""
        raise NotImplementedError

    def put(self, item: Any) -> Deferred[Any]:
        """Begin to write one record in a database that is not synced."""
        raise NotImplementedError

    def durable_put(self, item: Any) -> Deferred[Any]:
        """Begin to write one record in a database that is synced."""
        raise NotImplementedError

    async def async_read(self) -> None:
        for key in self.reads:
            await self.get(key)

    async def async_read_100(self) -> None:
        await _concurrently(self.get, self.reads)

    async def async_write(self) -> None:
        for item in self.puts:
            await self.put(item)

    async def async_write_100(self) -> None:
        await _concurrently(self.put, self.puts)

    async def async_durable_100(self) -> None:
        await _concurrently(self.durable_put, self.puts[:_DURABLE_CALLS])


async def _concurrently(function: Callable[[Any], Deferred[Any]], arguments: list[Any]) -> None:
    for start in range(0, len(arguments), _CONCURRENT):
        await gatherResults([function(argument) for argument in arguments[start : start + _CONCURRENT]])


class Raw(Calls):
    """One LMDB transaction for each call, on the reactor's pool of ten threads."""

    def __init__(self, data: Data, directory: Path) -> None:
        self.data = data
        items = [(b"\0\1" + oid.bytes, cbor2.dumps(vars(user))) for oid, user in data.users]
        self.puts, self.reads = items[:_CALLS], [key for key, _ in items[:_CALLS]]
        self.fast = lmdb.open(str(directory / "raw"), map_size=MAP_SIZE, sync=False, lib_version=1)
        self.durable = lmdb.open(str(directory / "raw_durable"), map_size=MAP_SIZE, lib_version=1)
        with self.fast.begin(write=True) as txn:
            for key, value in items:
                txn.put(key, value)

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


class Ours(Calls):
    """`zlmdb.twisted` with its defaults; objects go in and come out."""

    def __init__(self, data: Data, fast: AsyncMap[Any, User], durable: AsyncMap[Any, User]) -> None:
        self.data = data
        self.puts, self.reads = data.users[:_CALLS], [oid for oid, _ in data.users[:_CALLS]]
        self.fast, self.durable = fast, durable

    def get(self, key: Any) -> Deferred[Any]:
        return self.fast.get(key)

    def put(self, item: tuple[Any, User]) -> Deferred[Any]:
        return self.fast.put(*item)

    def durable_put(self, item: tuple[Any, User]) -> Deferred[Any]:
        return self.durable.put(*item)


async def _measure(contestants: dict[str, Calls], row: str, rounds: int) -> list[dict[str, float]]:
    """Return the seconds of each contestant in each round."""
    measured = []
    for _ in range(rounds):
        times = {}
        for name, contestant in contestants.items():
            work: Callable[[], Awaitable[None]] = getattr(contestant, row)
            with Stopwatch() as watch:
                await work()
            times[name] = watch.seconds
        measured.append(times)
    return measured


async def _main(rounds: int, directory: Path, names: list[str]) -> None:
    data = Data(_RECORDS, 0)
    users = zlmdb.MapUuidCbor[User](1)
    fast = await open_database(directory / "ours", sync=False)
    durable = await open_database(directory / "ours_durable")
    await fast.map(users).put_many(data.users)
    raw = Raw(data, directory)
    ours = Ours(data, fast.map(users), durable.map(users))
    expect(await ours.get(ours.reads[-1]), data.users[_CALLS - 1][1])
    gc.freeze()  # what lives on is not to be looked through again and again
    rows = {row: await _measure({"raw": raw, "ours": ours}, row, rounds) for row in names if row != LATENESS}
    late = await lateness(reactor, data, fast, raw.fast) if LATENESS in names else []
    await fast.close()
    await durable.close()
    print(json.dumps({"rows": rows, "lateness": late}))


def run(names: list[str], rounds: int, directory: Path) -> dict[str, Any]:
    """Measure the rows of these names in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.asynchronous", str(rounds), str(directory), *names]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    react(lambda _: ensureDeferred(_main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])))
