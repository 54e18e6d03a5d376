# SPDX-License-Identifier: MIT
"""Run it: ``python -m examples.history``; the same seed gives the same day."""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path

import zlmdb
from examples.history import day, plot
from zlmdb_eventhistory import EventHistory

_BATCH = 1_000


def record(db: zlmdb.Database, history: EventHistory, seed: int, number: int) -> None:
    """Append the day's events, unless the file has some; the patterns they are asked for by are indexed."""
    with db.begin(write=True) as txn:
        history.configure(txn, day.PATTERNS)
        if history.page(txn, limit=1).events:
            return
    made = day.events(seed, number)
    while batch := list(islice(made, _BATCH)):
        with db.begin(write=True) as txn:
            for event in batch:
                history.append(txn, event)


def main() -> None:
    """Record a day, read it as columns, and show it."""
    options = _options()
    options.data.parent.mkdir(parents=True, exist_ok=True)
    with zlmdb.Database(options.data) as db:
        history = db.attach(EventHistory)
        record(db, history, options.seed, options.events)
        began = time.perf_counter()
        with db.begin() as txn:
            events = history.arrays(txn, ["time"])
            power = history.arrays(
                txn,
                ["time", "publisher"],
                {"watts": day.watts},
                topic=day.POWER,
                match="wildcard",
            )
        took = time.perf_counter() - began
        print(f"{len(events['time']):,} events, {len(power['time']):,} of them of power, read in {took:.2f} s")
    if not options.text:
        try:
            plot.picture(events, power, options.output)
        except ImportError:
            print("pip install zlmdb[history] for a picture; as text:")
        else:
            print(options.output)
            return
    print(plot.text(events, power))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.history", description="Plot a generated day of events.")
    parser.add_argument("--data", type=Path, default=Path("build/history.db"), help="the database")
    parser.add_argument("--events", type=_positive, default=50_000, help="how many events the day has (50000)")
    parser.add_argument("--seed", type=int, default=1, help="another day for another seed")
    parser.add_argument("--output", type=Path, default=Path("build/history.png"), help="the picture")
    parser.add_argument("--text", action="store_true", help="a chart of characters instead")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if not 0 < number <= 10**7:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {10**7}, got {text}")
    return number


if __name__ == "__main__":
    main()
