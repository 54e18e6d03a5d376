# SPDX-License-Identifier: MIT
"""Something that performs work, one piece after the other, and the one that does it on a thread.

Tests: ``tests/test_writer.py``. The double that performs on demand is `zlmdb.testing.MemoryWorker`.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias

from zlmdb.errors import DatabaseClosed

Work: TypeAlias = Callable[[], object]

log = logging.getLogger(__name__)


class Worker(Protocol):
    """Performs what it is given, in order, never two pieces at once."""

    def do(self, work: Work) -> None:
        """Have ``work`` performed later; may be called from any thread.

        Raises:
            DatabaseClosed: after `quit`.
        """

    def quit(self) -> None:
        """Perform what was given so far, take nothing more and wait for the end. Idempotent."""

    def abandon(self) -> None:
        """Wait for nothing, not even at interpreter exit; what runs now may still `do` more."""


class WorkThread(threading.Thread):
    """A thread that performs what comes out of a queue, until a None comes and the queue is empty.

    It is a daemon, so that one that is stuck (in a lock that another process holds, say) cannot hang the
    interpreter; what was accepted is safe all the same, because `finish_threads` runs at exit, when daemon
    threads still do.
    """

    def __init__(self, name: str, queue: SimpleQueue[Work | None]) -> None:
        super().__init__(name=name, daemon=True)
        self.queue = queue

    def run(self) -> None:
        """Perform work; a piece that fails is logged and harms nothing else."""
        get = self.queue.get
        while (work := get()) is not None:
            perform(work)
            del work  # so that what it refers to may be collected
        with suppress(Empty):
            while True:  # what the last pieces of work asked for while they ran
                work = self.queue.get_nowait()
                if work is not None:
                    perform(work)
                del work


def perform(work: Work) -> None:
    """Run ``work`` and log what it raises: the thread must live on."""
    try:
        work()
    except BaseException:  # the thread outlives whatever the work does, SystemExit too
        log.exception("%s: a piece of work failed", threading.current_thread().name)


class ThreadWorker:
    """A `Worker` with one thread of its own, which starts when there is something to do.

    ``name`` is the name of the thread. A worker that was not quit by the end of the interpreter finishes
    what it was given, with a `ResourceWarning`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: WorkThread | None = None
        self._ended = False

    def do(self, work: Work) -> None:
        """Have ``work`` performed on the thread; may be called from any thread.

        Raises:
            DatabaseClosed: after `quit`.
        """
        with self._lock:
            if self._ended:
                raise DatabaseClosed("the worker has ended", where=self._name)
            self._queue.put(work)
            if self._thread is None:
                self._thread = WorkThread(self._name, self._queue)
                self._thread.start()
                _unfinished.add(self._thread)

    def quit(self) -> None:
        """Perform what was given so far, end the thread and join it. Not to be called on the thread itself."""
        with self._lock:
            self._ended = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            _unfinished.discard(self._thread)

    def abandon(self) -> None:
        """Let the thread end when it gets there; neither this call nor the interpreter's exit waits for it."""
        self._queue.put(None)
        if self._thread is not None:
            _unfinished.discard(self._thread)


_unfinished: set[WorkThread] = set()


def finish_threads() -> None:
    """Let every worker that was not quit finish what it accepted; runs at interpreter exit."""
    for thread in list(_unfinished):
        warnings.warn(f"{thread.name}: the database was not closed", ResourceWarning, stacklevel=1)
        thread.queue.put(None)
        thread.join()


forks = 0
"""How many forks lie between the first process that imported this and this one; cheaper to compare than the PID."""


def _forget_threads() -> None:
    global forks
    forks += 1
    _unfinished.clear()  # the threads of a parent process do not exist in a forked child


def _register_at_fork(after_in_child: Callable[[], Any]) -> None:
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=after_in_child)


atexit.register(finish_threads)
_register_at_fork(_forget_threads)
