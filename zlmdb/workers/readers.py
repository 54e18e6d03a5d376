# SPDX-License-Identifier: MIT
"""A few threads of our own for scans and functions that read, so that neither the loop nor its pool is kept busy."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from zlmdb.errors import DatabaseClosed
from zlmdb.workers.limits import check_positive
from zlmdb.workers.worker import perform

Done = Callable[[bool, Any], object]
"""Called on the reader's thread with ``(True, result)`` or ``(False, exception)``."""


class ReaderPool:
    """Runs functions on up to ``size`` threads, which start when all others are busy.

    The threads are daemons: a read that never ends does not hang the interpreter, and a read whose
    answer nobody waits for any more loses nothing. Thread-safe.
    """

    def __init__(self, name: str, size: int = 4) -> None:
        check_positive("readers", size)
        self._name = name
        self._size = size
        self._changed = threading.Condition()
        self._work: deque[tuple[Callable[[], Any], Done]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0  # threads that wait for work
        self._running = 0  # functions
        self._ended = False
        self._abandoned = False
        self._at_end: Callable[[], object] | None = None

    def run(self, function: Callable[[], Any], done: Done) -> None:
        """Have ``done`` called with the result of ``function()``; both run on a thread of the pool.

        Raises:
            DatabaseClosed: after `end`.
        """
        with self._changed:
            if self._ended:
                raise self._closed()
            self._work.append((function, done))
            if self._idle < len(self._work) and len(self._threads) < self._size:
                thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def end(self) -> None:
        """Take nothing more; what was taken is still done."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def join(self) -> bool:
        """Wait until all is done and the threads have ended; return False if a function runs on after `abandon`.

        To be called after `end`, on a thread that is none of the pool's.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._threads or (self._abandoned and self._running))
            return not self._threads

    def at_end(self, function: Callable[[], object]) -> None:
        """Have ``function`` called when the last thread has ended: on that thread, or here and now."""
        with self._changed:
            if self._threads:
                self._at_end = function
                return
        function()

    def abandon(self) -> None:
        """Do not wait for reads that run now; those that wait fail with `DatabaseClosed`."""
        with self._changed:
            self._ended = self._abandoned = True
            left = list(self._work)
            self._work.clear()
            self._changed.notify_all()
        for _, done in left:
            perform(partial(done, False, self._closed()))

    def _serve(self) -> None:
        while self._serve_one():
            pass
        with self._changed:
            function, self._at_end = (None, self._at_end) if self._threads else (self._at_end, None)
        if function is not None:
            perform(function)

    def _serve_one(self) -> bool:
        work = self._next()
        if work is not None:
            function, done = work
            outcome = outcome_of(function)
            self._ran()
            perform(partial(done, *outcome))
        return work is not None

    def _ran(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _closed(self) -> DatabaseClosed:
        return DatabaseClosed("the database is closed or closing", where=self._name, next_step="open it again")

    def _next(self) -> tuple[Callable[[], Any], Done] | None:
        with self._changed:
            self._idle += 1
            while not self._work and not self._ended:
                self._changed.wait()
            self._idle -= 1
            if self._work:
                self._running += 1
                return self._work.popleft()
            self._threads.remove(threading.current_thread())
            self._changed.notify_all()
            return None


def outcome_of(function: Callable[[], Any]) -> tuple[bool, Any]:
    """Return the outcome of ``function()``, as `Done` takes it."""
    try:
        return True, function()
    except BaseException as error:  # noqa: BLE001 - it is the outcome
        return False, error
