# SPDX-License-Identifier: MIT
"""The asynchronous rows: this package beside others on Twisted's reactor and on asyncio's loop.

Each loop runs in a process of its own. Both live during the whole measurement and take turns, so that what else the
machine does meets both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.installing import AIOLMDB, PeerFailed
from benchmarks.processes import Process
from benchmarks.results import Lateness, Rounds
from benchmarks.rows import BY_HAND, LATENESS


@contextmanager
def loops(directory: Path, *, peers: bool) -> Iterator[Loops]:
    """Start the loops, with those contestants that are installed for it if ``peers`` take part."""
    notes: list[str] = []
    folder = []
    try:
        if peers:
            AIOLMDB.install()
            folder = [str(AIOLMDB.folder)]
    except PeerFailed as error:
        notes.append(str(error))
    reactor = Process("the reactor", "asynchronous_reactor", str(directory / "reactor"))
    asyncio = Process("asyncio's loop", "asynchronous_asyncio", str(directory / "asyncio"), *folder)
    with closing(reactor), closing(asyncio):
        yield Loops(reactor, asyncio, notes)


class Loops:
    """The near end of both. The reactor's process has what all others are compared with, and may not fail."""

    def __init__(self, reactor: Process, asyncio: Process, notes: list[str]) -> None:
        self.notes = notes
        self._reactor = reactor
        self._running = [reactor, asyncio]
        for process in (reactor, asyncio):
            self._taken(process, process.answer)

    def measure(self, row: str, rounds: int) -> Rounds:
        """Return the seconds of each contestant in each round; the loops take turns at being the first."""
        measured: Rounds = []
        for number in range(rounds):
            measured.append({})
            for answer in self._asked(row, backwards=number % 2 == 1):
                measured[-1] |= answer["seconds"]
        return measured

    def lateness(self) -> list[Lateness]:
        """Return how late the loops were while events were written."""
        late = [Lateness(**found) for answer in self._asked(LATENESS) for found in answer["lateness"]]
        for by_hand in [found for found in late if found.title == BY_HAND]:
            late = [replace(found, by_hand=by_hand.events_per_second, by_hand_p99=by_hand.p99) for found in late]
        return late

    def _asked(self, line: str, *, backwards: bool = False) -> list[dict[str, Any]]:
        """Return the answers of the processes that run, one after the other."""
        order = self._running[:: -1 if backwards else 1]
        answers = [self._taken(process, partial(process.ask, line)) for process in order]
        return [answer for answer in answers if answer is not None]

    def _taken(self, process: Process, take: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Return an answer; note what it remarks, or that the process failed."""
        try:
            answer = take()
        except PeerFailed as error:
            if process is self._reactor:
                raise
            self._running.remove(process)
            self.notes.append(str(error))
            return None
        self.notes += answer["notes"]
        return answer
