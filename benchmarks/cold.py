# SPDX-License-Identifier: MIT
"""``python -m benchmarks.cold``: how late the loop is while records are read that are not in memory, or are large.

The file is made larger than what is read, dropped from the page cache, and opened again; then records at random are
read one after the other, while a call each millisecond notes how late it comes.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import LoopingCall, deferLater, react

import zlmdb
from zlmdb.twisted import AsyncMap, open_database

_INTERVAL: Final = 0.001  # seconds
_READS: Final = 2000
_LARGE: Final = 64 << 20  # bytes
_RECORDS = zlmdb.MapUint64Bytes(1)
_LARGE_VALUES = zlmdb.MapUint64Bytes(2)


def fill(path: str, records: int) -> None:
    """Write records of 2000 bytes, and four of 64 MiB."""
    with zlmdb.Database(path) as db:
        for start in range(0, records, 10_000):
            with db.begin(write=True) as txn:
                _RECORDS.put_many(txn, ((key, os.urandom(2000)) for key in range(start, start + 10_000)))
        with db.begin(write=True) as txn:
            _LARGE_VALUES.put_many(txn, ((key, bytes([key]) * _LARGE) for key in range(4)))


def drop(path: str) -> None:
    """Drop the file from the page cache; nobody may have it open."""
    with (Path(path) / "data.mdb").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def noted(reactor: Any, work: Callable[[], Awaitable[None]]) -> tuple[float, float, float]:
    """Return the seconds that ``work`` took, and how late the loop was meanwhile: p99 and most."""
    late: list[float] = []
    previous = time.perf_counter()

    def note() -> None:
        nonlocal previous
        now = time.perf_counter()
        late.append(max(0.0, now - previous - _INTERVAL))
        previous = now

    ticking = LoopingCall(note)
    ticking.start(_INTERVAL, now=False)
    began = time.perf_counter()
    await work()
    seconds = time.perf_counter() - began
    await deferLater(reactor, 0.01, lambda: None)
    ticking.stop()
    late.sort()
    return seconds, late[int(len(late) * 0.99)], late[-1]


async def measure(reactor: Any, path: str, records: int) -> list[tuple[str, float, float, float]]:
    """Return a row for each way of reading."""
    keys = random.Random(1).sample(range(records), _READS)
    rows = []

    async def nothing(_: AsyncMap[int, bytes]) -> None:
        await deferLater(reactor, 0.5, lambda: None)

    async def single(map_: AsyncMap[int, bytes]) -> None:
        for key in keys:
            await map_.get(key)
            await deferLater(reactor, 0, lambda: None)

    async def scan(map_: AsyncMap[int, bytes]) -> None:
        await map_.select(limit=50_000)

    async def large(map_: AsyncMap[int, bytes]) -> None:
        for key in range(4):
            await map_.get(key)

    for title, reads, table, work in (
        ("nothing", "inline", _RECORDS, nothing),
        ("cold records, inline", "inline", _RECORDS, single),
        ("cold records, reads='thread'", "thread", _RECORDS, single),
        ("a cold scan of 50,000", "inline", _RECORDS, scan),
        ("cold values of 64 MiB", "inline", _LARGE_VALUES, large),
        ("the same, warm", "inline", _LARGE_VALUES, large),
    ):
        if "warm" not in title:
            drop(path)
        async with open_database(path, reactor=reactor, reads=reads, readonly=True) as db:  # type: ignore[arg-type]
            map_ = db.map(table)
            rows.append((title, *await noted(reactor, lambda map_=map_, work=work: work(map_))))  # type: ignore[misc]
    return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="of 2000 bytes; at least 10,000")
    parser.add_argument("--directory", help="on a disk; by default the temporary directory")
    options = parser.parse_args()

    async def run(reactor: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="zlmdb-cold-", dir=options.directory) as path:
            fill(path, options.records)
            rows = await measure(reactor, path, options.records)
        table = Table("what is read", "took", "loop late p99", "loop late max", title="Reads that take long")
        for title, *seconds in rows:
            table.add_row(title, *(f"{value * 1000:.3g} ms" for value in seconds))
        Console().print(table)

    react(lambda reactor: ensureDeferred(run(reactor)))


if __name__ == "__main__":
    main()
