# SPDX-License-Identifier: MIT
"""``python -m benchmarks.soak``: events written, read and deleted for a long time at a part of the capacity.

Memory, file size and lateness of the loop are printed now and then; they are to stay flat. Exits 1 if the file or the
memory still grows after the first quarter.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import LoopingCall, deferLater, react

import zlmdb
from benchmarks.data import Data
from zlmdb.twisted import AsyncDatabase, AsyncMap, open_database
from zlmdb.workers.stats import Histogram

_KEPT: Final = 100_000  # events that stay in the file
_SWEEP: Final = 1000  # events deleted at once
_TICK: Final = 0.01  # seconds between two portions of events
_OUTSTANDING: Final = 10_000  # events that may be on their way
_MEASURED: Final = 10  # seconds in which the capacity is found
_ANY: Final = 1e6  # events per second, which are more than can be written
_GROWTH: Final = 1.1  # of memory and file, from the first quarter to the end
_COLUMNS: Final = ("minute", "events/s", "RSS anon", "file", "pending", "commit p99", "loop late p99", "read p99")


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one time: bytes, seconds, records."""

    minute: float
    rate: float
    memory: int
    file: int
    pending: int
    commit: float
    lateness: float
    read: float


class Soak:
    """Writes events at a rate, deletes the oldest, reads some of them back, and takes samples."""

    def __init__(self, reactor: Any, db: AsyncDatabase, path: Path, data: Data) -> None:
        self.reactor = reactor
        self.db = db
        self.file = path / "data.mdb"
        self.events = [event for _, event in data.events]
        self.table: AsyncMap[int, Any] = db.map(zlmdb.MapUint64Cbor(1))
        self.next = self.oldest = 0
        self.reads: list[float] = []
        self.before = db.stats()
        self.failed = 0
        self.outstanding = 0
        self.held_back = 0

    async def capacity(self) -> float:
        """Return how many events per second are written, in the way they will be, if there are always more."""
        ticking, began, first = self.start(_ANY), time.perf_counter(), self.next
        await deferLater(self.reactor, _MEASURED, lambda: None)
        ticking.stop()
        await self.db.flushed()
        self.held_back, self.before = 0, self.db.stats()
        return (self.next - first) / (time.perf_counter() - began)

    def _put(self) -> Deferred[None]:
        number, self.next = self.next, self.next + 1
        return self.table.put(number, self.events[number % len(self.events)])

    async def _sweep(self) -> None:
        while self.next - self.oldest > _KEPT + _SWEEP:
            old, self.oldest = self.oldest, self.oldest + _SWEEP
            await self.table.delete_many(range(old, old + _SWEEP))

    def start(self, rate: float) -> LoopingCall:
        """Begin to write so many events per second; stop the call that is returned to end it.

        A source that honours backpressure: events that come while too many are not committed yet are held back.
        """
        last, credit = time.perf_counter(), 0.0

        def tick() -> None:
            nonlocal last, credit
            now = time.perf_counter()
            last, credit = now, credit + (now - last) * rate
            due, credit = int(credit), credit % 1
            room = max(0, _OUTSTANDING - self.outstanding)
            self.held_back += max(0, due - room)
            for _ in range(min(due, room)):
                self.outstanding += 1
                self._put().addErrback(self._note_failure).addBoth(self._done)
            ensureDeferred(self._sweep())
            ensureDeferred(self._read())

        ticking = LoopingCall(tick)
        ticking.clock = self.reactor
        ticking.start(_TICK).addErrback(self._note_failure)
        return ticking

    async def _read(self) -> None:
        number = max(self.oldest, self.next - 5000)
        began = time.perf_counter()
        await self.table.get(number)
        self.reads.append(time.perf_counter() - began)

    def _done(self, _result: Any) -> None:
        self.outstanding -= 1

    def _note_failure(self, _failure: Any) -> None:
        self.failed += 1

    def sample(self, minute: float, rate: float) -> Sample:
        """Take a sample."""
        stats = self.db.stats()
        reads, self.reads = sorted(self.reads), []
        return Sample(
            minute,
            rate,
            anonymous_memory(),
            self.file.stat().st_size,
            stats.pending_records,
            _p99(stats.commit_seconds, self.before.commit_seconds),
            _p99(stats.lateness_seconds, self.before.lateness_seconds),
            reads[int(len(reads) * 0.99)] if reads else 0.0,
        )


def _p99(now: Histogram, before: Histogram) -> float:
    """Return the 99th percentile of what was counted since ``before``."""
    counts = [count - earlier for count, earlier in zip(now.counts, before.counts, strict=True)]
    return Histogram(now.bounds, counts, now.largest).quantile(0.99)


def anonymous_memory() -> int:
    """Return the bytes of this process's memory that no file holds (Linux: RssAnon of proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not say how much memory a process has")


def grown(samples: list[Sample]) -> list[str]:
    """Say what grew from the first quarter to the end."""
    first, last = samples[len(samples) // 4], samples[-1]
    return [
        f"{name} grew from {getattr(first, name):,} to {getattr(last, name):,} bytes"
        for name in ("memory", "file")
        if getattr(last, name) > getattr(first, name) * _GROWTH
    ]


def _row(sample: Sample) -> tuple[str, ...]:
    mib, ms = 1 << 20, 1000
    return (
        f"{sample.minute:.1f}",
        f"{sample.rate:,.0f}",
        f"{sample.memory / mib:.1f} MiB",
        f"{sample.file / mib:.1f} MiB",
        str(sample.pending),
        f"<= {sample.commit * ms:.2g} ms",
        f"<= {sample.lateness * ms:.2g} ms",
        f"{sample.read * ms:.2g} ms",
    )


async def soak(reactor: Any, options: argparse.Namespace, directory: str, console: Console) -> list[Sample]:
    """Run for the minutes that were asked for; return the samples."""
    samples: list[Sample] = []
    async with open_database(directory, reactor=reactor, max_pending=20_000) as db:
        work = Soak(reactor, db, Path(directory), Data(10_000, counted=1))
        capacity = await work.capacity()
        rate = capacity * options.part
        console.print(f"capacity {capacity:,.0f} durable events/s; running at {options.part:.0%} of it")
        ticking, began = work.start(rate), time.perf_counter()
        interval = options.minutes * 60 / options.samples
        for number in range(options.samples):
            before, at = work.next, time.perf_counter()
            await deferLater(reactor, max(0.0, began + interval * (number + 1) - at), lambda: None)
            now = time.perf_counter()
            samples.append(work.sample((now - began) / 60, (work.next - before) / (now - at)))
            console.print("  ".join(_row(samples[-1])))
        ticking.stop()
        await db.flushed()
        console.print(f"{work.next:,} events written, {work.held_back:,} held back because too many were on their way")
        if work.failed:
            raise RuntimeError(f"{work.failed} operations failed")
    return samples


def main() -> None:
    """Run, print, and exit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--part", type=float, default=0.8, help="of the capacity, which is measured at the beginning")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--directory", help="where the database is to be; by default the temporary directory")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)  # a log has 80 columns, too few

    async def run(reactor: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="zlmdb-soak-", dir=options.directory) as directory:
            samples = await soak(reactor, options, directory, console)
        table = Table(*_COLUMNS, title="Soak")
        for sample in samples:
            table.add_row(*_row(sample))
        console.print(table)
        if problems := grown(samples):
            console.print("; ".join(problems))
            sys.exit(1)

    react(lambda reactor: ensureDeferred(run(reactor)))


if __name__ == "__main__":
    main()
