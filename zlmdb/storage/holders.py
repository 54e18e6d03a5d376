# SPDX-License-Identifier: MIT
"""Who holds the write transaction of an environment, and whether waiting for it can end."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zlmdb.storage import faults
from zlmdb.storage.notices import warn

if TYPE_CHECKING:
    from zlmdb.storage.environment import Environment
    from zlmdb.storage.transaction import Transaction

_STALL: Final = 0.05  # seconds that an event loop may wait for the write lock before it is worth a warning


@dataclass(frozen=True, slots=True)
class RunningTransaction:
    """A transaction that runs: its ``kind`` ("read" or "write"), its thread's name, its ``age`` in seconds."""

    kind: str
    thread: str
    age: float

    def __str__(self) -> str:
        return f"{self.kind} transaction of thread {self.thread}, running for {self.age:.1f} s"


def name_of(thread: int) -> str:
    """Return the name of the thread with this identifier, or that in its place if there is none any more."""
    return next((each.name for each in threading.enumerate() if each.ident == thread), str(thread))


def check_writer(environment: Environment) -> None:
    """Raise if the calling thread cannot get the write lock ever: `NestedWrite`, `LockHeld`."""
    running = environment.writer
    if running is None:
        return
    if running.thread == threading.get_ident():
        raise faults.NestedWrite(
            "this thread, or one that had its identifier and ended, has a write transaction of this database open",
            where=environment.path,
            got=running.describe(),
            next_step="use `with txn.savepoint():`, or end the first one",
        )
    # LMDB is not to be asked: it waits for ever, or gives the environment up where the system tells it (EOWNERDEAD)
    if has_ended(running.thread) and environment.writer is running:  # still: it may have ended in good order
        raise faults.LockHeld(
            "the thread that began the running write transaction has ended without leaving it",
            where=environment.path,
            got=running.describe(),
            next_step="close the database, which rolls it back, and open it again; begin transactions by `with`",
        )


def begin_on_loop(environment: Environment, txn: Transaction) -> Any:
    """Begin LMDB's write transaction for ``txn`` on an event loop's thread; log for whom it waited for long."""
    holder = environment.writer
    described = "another process" if holder is None else holder.describe()
    began = environment.clock()
    raw = environment.begin_raw(write=True, buffers=txn.buffers)
    waited = environment.clock() - began
    if waited > _STALL:
        warn(
            "%s: the event loop stood still for %d ms, waiting for the write lock, which %s held; "
            "write through the asynchronous database instead",
            environment.path,
            waited * 1000,
            described,
        )
    return raw


def has_ended(thread: int) -> bool:
    """Tell whether there is no thread of this identifier any more.

    One that `threading` did not begin is known by the Python code it runs; between two callbacks it runs none.
    """
    return thread not in {each.ident for each in threading.enumerate()} and thread not in sys._current_frames()
