# SPDX-License-Identifier: MIT
"""``python -m benchmarks.history``: the event history with a million events, or ``--events 10000000``.

Appending has to stay as fast at the end as at the beginning, and pages, budgets and the sweep have to keep to their
targets. Ratios are to the same records written, read or deleted through LMDB and cbor2 by hand. Not synced; in
memory, where there is room.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

import cbor2
import lmdb

import zlmdb
from zlmdb_eventhistory import Event, EventHistory, Pattern, Subscription

_BATCH: Final = 1_000
_SLICE: Final = 4_000  # as the store does by default
_BY_HAND: Final = 100_000
_PAGES: Final = 500
_BUDGET: Final = 10_000
_SECOND: Final = 10**9
_START: Final = 1_700_000_000 * _SECOND
_STEP: Final = 20_000  # nanoseconds between events: 50,000 a second
_RARE: Final = "com.rare.event.only"
_TOPICS: Final = [
    f"com.site{site}.device{device}.{kind}" for site in range(5) for device in range(100) for kind in "ab"
]
_SENT: Final = Subscription("com.site3.device1", "prefix")
_KIND: Final = Pattern("com..device7.b", "wildcard")
_AGE: Final = Pattern("com.", "prefix", max_age_ns=100 * 86_400 * _SECOND)


@dataclass(frozen=True)
class Row:
    """A line of the report; ``met`` is None where there is no target."""

    what: str
    figure: str
    ratio: str = ""
    target: str = ""
    met: bool | None = None


def made(number: int, total: int, random: Random) -> Iterator[Event]:
    """Generate events with random publication ids, one of them rare, at a steady rate."""
    for position in range(number):
        rare = position == total // 2
        yield Event(
            publication=random.getrandbits(53),
            topic=_RARE if rare else random.choice(_TOPICS),
            time_ns=_START + position * _STEP,
            publisher=position % 1000,
            args=[position, 21.5],
            kwargs={"unit": "C"},
        )


def keys_by_hand(sequence: int, fields: dict[str, Any]) -> list[bytes]:
    """Return the keys of an event: its own, and those of six indexes."""
    own = sequence.to_bytes(8, "big")
    time_ns = fields["time_ns"].to_bytes(8, "big")
    return [
        b"\0" + own,
        b"\1" + fields["publication"].to_bytes(8, "big"),
        b"\2" + fields["topic"].encode() + b"\0\1" + own,
        b"\3" + fields["publisher"].to_bytes(8, "big") + own,
        b"\4" + time_ns + own,
        b"\5" + time_ns + own,
        b"\6" + own,
    ]


class Bench:
    """One history, filled and asked."""

    def __init__(self, path: Path, events: int) -> None:
        self.path = path
        self.number = events
        self.random = Random(1)
        self.rows: list[Row] = []
        self.db = zlmdb.Database(path / "db", sync=False)
        self.history = self.db.attach(EventHistory)
        self.now = _START
        self.history.clock = lambda: self.now

    # --- appending

    def append(self) -> None:
        """Fill the history in batches, and compare the rates of the first and the last tenth."""
        with self.db.begin(write=True) as txn:
            self.history.configure(txn, [_AGE, _KIND, Pattern("com.site1.", "prefix")])
        events, took = made(self.number, self.number, self.random), list[float]()
        for begin in range(0, self.number, _BATCH):
            batch = [event for _, event in zip(range(_BATCH), events, strict=False)]
            started = time.perf_counter()
            with self.db.begin(write=True) as txn:
                for event in batch:
                    self.history.append(txn, event)
            took.append((time.perf_counter() - started) / len(batch))
            self.now = _START + (begin + _BATCH) * _STEP
            self._dispatch([event for event in batch if event.topic.startswith(_SENT.uri)])
        tenth = max(len(took) // 10, 1)
        first, last = median(took[:tenth]), median(took[-tenth:])  # others use the machine too
        hand = self._by_hand()
        rate = f"{1 / median(took):,.0f} events/s"
        self.rows.append(Row("append, 1,000 in a transaction", rate, f"{hand / last:.2f}"))
        flat = first / last
        self.rows.append(Row("append: last tenth : first tenth", f"{flat:.2f}", "", ">= 0.8", flat >= 0.8))

    def _dispatch(self, events: Sequence[Event]) -> None:
        with self.db.begin(write=True) as txn:
            for event in events:
                self.history.dispatch(txn, event.publication, _SENT)

    def _by_hand(self) -> float:
        """Return the seconds that LMDB and cbor2 need for the records of an event."""
        events = list(made(min(_BY_HAND, self.number), self.number, self.random))
        with lmdb.open(str(self.path / "hand"), map_size=1 << 36, sync=False) as env:
            started = time.perf_counter()
            for begin in range(0, len(events), _BATCH):
                with env.begin(write=True) as txn:
                    for sequence, event in enumerate(events[begin : begin + _BATCH], begin):
                        fields = {name: value for name, value in vars(event).items() if value is not None}
                        data = cbor2.dumps(fields)
                        first, *others = keys_by_hand(sequence, fields)
                        txn.put(first, data)
                        for key in others:
                            txn.put(key, first)
                        txn.put(b"state", first)
            return (time.perf_counter() - started) / len(events)

    # --- reading

    def pages(self) -> None:
        """Ask for pages of 100 at random places."""
        hand = self._page_by_hand()
        queries: dict[str, dict[str, Any]] = {
            "by subscription": {"subscription": _SENT},
            "by exact topic": {"topic": _TOPICS[123]},
            "by configured prefix": {"topic": "com.site1.", "match": "prefix"},
            "by configured wildcard": {"topic": _KIND.uri, "match": _KIND.match},
        }
        for name, query in queries.items():
            for reverse in (False, True):
                took = sorted(self._paged(query, reverse) for _ in range(_PAGES))
                p50, p99 = took[_PAGES // 2] * 1000, took[_PAGES * 99 // 100] * 1000
                what = f"page of 100 {name}{', newest first' if reverse else ''}"
                figure = f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
                self.rows.append(Row(what, figure, f"{hand * 1000 / p50:.2f}", "p50 < 1 ms", p50 < 1))

    def _paged(self, query: dict[str, Any], reverse: bool) -> float:
        place = _START + self.random.randrange(max(self.number // 2, 1)) * _STEP
        bound: dict[str, Any] = {"until_ns": self.now - place + _START} if reverse else {"from_ns": place}
        started = time.perf_counter()
        with self.db.begin() as txn:
            page = self.history.page(txn, **query, **bound, reverse=reverse)
        took = time.perf_counter() - started
        assert page.events
        return took

    def _page_by_hand(self) -> float:
        """Return the median of seconds that 100 look-ups with decoding take."""
        took = []
        with self.db.begin() as txn:
            for _ in range(_PAGES):
                keys = [self.history.events.raw_key(self.random.randrange(self.number) + 1) for _ in range(100)]
                started = time.perf_counter()
                for key in sorted(keys):
                    cbor2.loads(txn.get(key) or b"")
                took.append(time.perf_counter() - started)
        return sorted(took)[_PAGES // 2]

    def rare(self) -> None:
        """Ask for a wildcard that is not configured and matches one event in a million."""
        token, pages, found, longest = None, 0, 0, 0.0
        while pages == 0 or token is not None:
            started = time.perf_counter()
            with self.db.begin() as txn:
                page = self.history.page(txn, topic="..event.", match="wildcard", after=token, scan_budget=_BUDGET)
            longest = max(longest, time.perf_counter() - started)
            token, pages, found = page.token, pages + 1, found + len(page.events)
        expected = self.number // _BUDGET + 1
        figure = f"{found} found in {pages} pages, {longest * 1000:.0f} ms at most"
        self.rows.append(
            Row(
                f"ad-hoc wildcard, one event in {self.number:,}, {_BUDGET:,} looked at in a page",
                figure,
                "",
                f"1 in {expected} pages",
                (found, pages <= expected) == (1, True),
            )
        )

    # --- retention

    def retention(self) -> None:
        """Let a tenth of the events expire, and sweep it; then sweep while as many are appended."""
        tenth = self.number // 10
        assert _AGE.max_age_ns is not None
        self.now = _START + tenth * _STEP + _AGE.max_age_ns - 1
        with self.db.begin() as txn:
            (oldest,) = self.history.page(txn, topic=_AGE.uri, match=_AGE.match, limit=1).events
        assert oldest.sequence == tenth + 1  # what has expired is not seen, swept or not
        processor = time.process_time()
        took, swept = self._timed(self._sweep)
        alone = swept / (time.process_time() - processor)  # what it would be if nobody else used the machine
        rate = swept / took
        hand = self._delete_by_hand()
        self.rows.append(
            Row(
                f"sweep of {swept:,} expired events, {_SLICE:,} in a transaction",
                f"{rate:,.0f} events/s, {alone:,.0f} by processor time",
                f"{hand * rate:.2f}",
                ">= 50,000/s",
                rate >= 50_000,
            )
        )
        self.rows.append(Row("append and sweep in turns", f"{self._steady(tenth):,.0f} events/s"))

    def _sweep(self) -> int:
        swept, more = 0, True
        while more:
            with self.db.begin(write=True) as txn:
                done = self.history.maintain(txn, _SLICE)
            swept, more = swept + done.swept, done.more
        return swept

    def _steady(self, number: int) -> float:
        """Return the rate at which events can be appended while as many expire."""
        events = list(made(number, self.number, self.random))
        for position, event in enumerate(events):
            event.time_ns = _START + (self.number + position) * _STEP
        started = time.perf_counter()
        for begin in range(0, number, _BATCH):
            with self.db.begin(write=True) as txn:
                for event in events[begin : begin + _BATCH]:
                    self.history.append(txn, event)
            self.now += _BATCH * _STEP
            if begin % _SLICE == 0:
                self._sweep()
        return number / (time.perf_counter() - started)

    def _delete_by_hand(self) -> float:
        """Return the seconds that reading and deleting the records of an event take by hand."""
        number = min(_BY_HAND, self.number)
        with lmdb.open(str(self.path / "hand"), map_size=1 << 36, sync=False) as env:
            started = time.perf_counter()
            for begin in range(0, number, _SLICE):
                with env.begin(write=True) as txn:
                    for sequence in range(begin, min(begin + _SLICE, number)):
                        fields = cbor2.loads(txn.get(b"\0" + sequence.to_bytes(8, "big")) or b"")
                        for key in keys_by_hand(sequence, fields):
                            txn.delete(key)
            return (time.perf_counter() - started) / number

    def _timed(self, function: Callable[[], int]) -> tuple[float, int]:
        started = time.perf_counter()
        result = function()
        return time.perf_counter() - started, result


def directory(events: int) -> str | None:
    """Return a directory in memory with room for so many events, if there is one."""
    memory = Path("/dev/shm")
    room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free
    return str(memory) if room > 500_000_000 + 1_500 * events else None


def main(argv: Sequence[str]) -> int:
    """Measure and print; return 1 if a target is missed that was to be checked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="how many events there are (1000000)")
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    options = parser.parse_args(argv)
    if options.events < 10 * _BATCH:
        parser.error(f"--events: at least {10 * _BATCH:,}")
    memory = directory(options.events)
    print(f"{options.events:,} events, load {os.getloadavg()[0]:.1f}, {'in memory' if memory else 'on disk'}")
    with tempfile.TemporaryDirectory(prefix="zlmdb-history-", dir=memory) as path:
        bench = Bench(Path(path), options.events)
        with bench.db:
            for step in (bench.append, bench.pages, bench.rare, bench.retention):
                step()
                for row in bench.rows:
                    verdict = "" if row.met is None else "met" if row.met else "MISSED"
                    print(f"{row.what:82}{row.figure:>44}{row.ratio:>8}  {row.target:14} {verdict}", flush=True)
                missed, bench.rows = [row for row in bench.rows if row.met is False], []
                if missed and options.check:
                    return 1
    print("ratios: to LMDB and cbor2 by hand, higher is faster")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
