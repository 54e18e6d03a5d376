# SPDX-License-Identifier: MIT
"""Runs the rows: the contestants take turns, so that what else the machine does meets them all.

Their order changes from round to round, since what one leaves to the system (pages to be written) is paid by the next.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import zlmdb
from benchmarks import asynchronous
from benchmarks.by_hand import ByHand
from benchmarks.contestant import Contestant
from benchmarks.data import SEED, Data
from benchmarks.lateness import LATENESS
from benchmarks.maps import Ours
from benchmarks.peers import Peer, PeerFailed
from benchmarks.raw import Raw
from benchmarks.rows import Row
from benchmarks.sqlite import Sqlite


@dataclass
class Result:
    """The median seconds of each contestant that has the row, and why others have none."""

    row: Row
    seconds: dict[str, float] = field(default_factory=dict)

    def ratio(self, name: str) -> float | None:
        """Return how fast the contestant is, raw LMDB being 1; None if it took no part."""
        return self.seconds["raw"] / self.seconds[name] if name in self.seconds else None


def run(
    rows: Sequence[Row], records: int, rounds: int, directory: Path, progress: Callable[[str], object]
) -> tuple[list[Result], list[str]]:
    """Measure the rows; return the results, and notes on what could not be measured."""
    progress("making the data")
    data = Data(records)
    with ExitStack() as stack:
        contestants, notes = _prepare(data, directory, progress, stack)
        gc.freeze()  # what lives on is not to be looked through before each measurement
        results = []
        for row in rows:
            progress(row.title)
            results.append(_measure(row, contestants, rounds, notes))
    return results, notes


def run_asynchronous(
    rows: Sequence[Row], lateness: bool, rounds: int, directory: Path
) -> tuple[list[Result], list[dict[str, Any]]]:
    """Measure the asynchronous rows, and how late the event loop is, if it is asked for."""
    found = asynchronous.run([row.name for row in rows] + [LATENESS] * lateness, rounds, directory)
    return [Result(row, found["rows"][row.name]) for row in rows], found["lateness"]


def _prepare(
    data: Data, directory: Path, progress: Callable[[str], object], stack: ExitStack
) -> tuple[list[Contestant], list[str]]:
    """Fill the databases, the existing package its own meanwhile; ``stack`` closes them."""
    progress("filling the databases")
    contestants: list[Contestant] = []
    notes: list[str] = []
    with _noting(notes):
        peer = Peer(data, directory / "existing")
        stack.callback(peer.close)
    for make in (Raw, partial(Ours, zlmdb=zlmdb), ByHand, Sqlite):
        contestants.append(make(data, directory / str(len(contestants))))
        stack.callback(contestants[-1].close)
    if not notes:
        with _noting(notes):
            peer.wait_until_filled()
            contestants.append(peer)
    return contestants, notes


@contextmanager
def _noting(notes: list[str]) -> Iterator[None]:
    """Let the block fail for want of the existing package, and note why."""
    try:
        yield
    except PeerFailed as error:
        if str(error) not in notes:
            notes.append(str(error))


def _measure(row: Row, contestants: Sequence[Contestant], rounds: int, notes: list[str]) -> Result:
    times: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    rng = random.Random(SEED)
    for _ in range(rounds):
        for contestant in rng.sample(contestants, len(contestants)):
            with _noting(notes):
                seconds = _once(contestant, row.name)
                if seconds is not None:
                    times[contestant.name].append(seconds)
    return Result(row, {name: median(found) for name, found in times.items() if found})


def _once(contestant: Contestant, row: str) -> float | None:
    if isinstance(contestant, Peer):
        return contestant.measure(row)
    work = getattr(contestant, row, None)
    return None if work is None else work()
