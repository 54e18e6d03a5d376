# SPDX-License-Identifier: MIT
"""Runs the rows: the contestants take turns, so that what else the machine does meets them all.

Their order changes from round to round, since what one leaves to the system (pages to be written) is paid by the next.
What falls short of its target may be measured once more when all else is done: the rounds of both times count together.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import zlmdb
from benchmarks import asynchronous
from benchmarks.by_hand import ByHand
from benchmarks.contestant import Contestant
from benchmarks.data import SEED, Data
from benchmarks.installing import PeerFailed
from benchmarks.leveldb import LevelDb
from benchmarks.maps import Ours
from benchmarks.peers import Peer
from benchmarks.raw import Raw
from benchmarks.results import Lateness, Result, Rounds, missed, short
from benchmarks.rows import Row
from benchmarks.sqlite import Sqlite

MORE: Final = 2  # times as many rounds for what is measured once more


@dataclass(frozen=True)
class Plan:
    """How much is measured, and against whom."""

    records: int
    counted: int
    rounds: int
    peers: bool = True
    """Whether the packages take part that are installed for it."""
    again: bool = False
    """Whether rows short of their target are measured once more."""


def run(
    rows: Sequence[Row], plan: Plan, directory: Path, progress: Callable[[str], object]
) -> tuple[list[Result], list[str]]:
    """Measure the rows; return the results, and notes on what could not be measured."""
    progress("making the data")
    data = Data(plan.records, plan.counted)
    rng = random.Random(SEED)
    with ExitStack() as stack:
        contestants, notes = _prepare(data, plan, directory, progress, stack)
        gc.freeze()  # what lives on is not to be looked through before each measurement
        stack.callback(gc.unfreeze)
        results = []
        for row in rows:
            progress(row.title)
            results.append(Result(row, _measure(row, contestants, plan.rounds, rng, notes)))
        for result in short(results) if plan.again else ():
            progress(f"{result.row.title}, once more")
            result.rounds += _measure(result.row, contestants, MORE * plan.rounds, rng, notes)
    return results, notes


def run_asynchronous(
    rows: Sequence[Row], lateness: bool, plan: Plan, directory: Path, progress: Callable[[str], object]
) -> tuple[list[Result], list[Lateness], list[str]]:
    """Measure the asynchronous rows, and how late the event loop is, if it is asked for; return notes as well."""
    progress("filling the databases of the asynchronous rows")
    with asynchronous.loops(directory, peers=plan.peers) as loops:
        results = []
        for row in rows:
            progress(row.title)
            results.append(Result(row, loops.measure(row.name, plan.rounds)))
        late = _late(loops, progress) if lateness else []
        for result in short(results) if plan.again else ():
            progress(f"{result.row.title}, once more")
            result.rounds += loops.measure(result.row.name, MORE * plan.rounds)
        if plan.again and missed(late):
            late = _late(loops, progress)
    return results, late, loops.notes


def _late(loops: asynchronous.Loops, progress: Callable[[str], object]) -> list[Lateness]:
    progress("event-loop lateness")
    return loops.lateness()


def _prepare(
    data: Data, plan: Plan, directory: Path, progress: Callable[[str], object], stack: ExitStack
) -> tuple[list[Contestant], list[str]]:
    """Fill the databases, the existing package its own meanwhile; ``stack`` closes them."""
    progress("filling the databases")
    contestants: list[Contestant] = []
    notes: list[str] = []
    peer: Peer | None = None
    with _noting(notes):
        if plan.peers:
            peer = Peer(data, directory / "existing")
            stack.callback(peer.close)
    makers: list[Callable[[Data, Path], Contestant]] = [Raw, partial(Ours, zlmdb=zlmdb), ByHand, Sqlite]
    for make in [*makers, LevelDb] if plan.peers else makers:
        with _noting(notes):
            contestants.append(make(data, directory / str(len(contestants))))
            stack.callback(contestants[-1].close)
    with _noting(notes):
        if peer is not None:
            peer.wait_until_filled()
            contestants.append(peer)
    return contestants, notes


@contextmanager
def _noting(notes: list[str]) -> Iterator[None]:
    """Let the block fail for want of a package, and note why."""
    try:
        yield
    except PeerFailed as error:
        if str(error) not in notes:
            notes.append(str(error))


def _measure(row: Row, contestants: Sequence[Contestant], rounds: int, rng: random.Random, notes: list[str]) -> Rounds:
    measured: Rounds = []
    for _ in range(rounds):
        measured.append({})
        for contestant in rng.sample(contestants, len(contestants)):
            with _noting(notes):
                seconds = _once(contestant, row.name)
                if seconds is not None:
                    measured[-1][contestant.name] = seconds
    return measured


def _once(contestant: Contestant, row: str) -> float | None:
    if isinstance(contestant, Peer):
        return contestant.measure(row)
    work = getattr(contestant, row, None)
    return None if work is None else work()
