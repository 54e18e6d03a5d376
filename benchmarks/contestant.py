# SPDX-License-Identifier: MIT
"""What a contestant is: a way to store the records, with a method for each row it takes part in."""

from __future__ import annotations

import gc
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.data import Data


class Rollback(Exception):
    """Leaves a transaction without keeping what it did."""


class Stopwatch:
    """Measures the time of its ``with`` block in ``seconds``, with the garbage collector off."""

    seconds = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._begun
        gc.enable()


class Contestant:
    """Has a method for each row, called by the row's name, that returns the seconds the work took.

    It keeps one filled database, for the rows that read, and a new empty one for each call that fills one.
    """

    name: str

    def __init__(self, data: Data, directory: Path) -> None:
        self.data = data
        self.directory = directory
        self.emptied = 0
        self.databases: dict[str, Any] = {}
        directory.mkdir()

    def close(self) -> None:
        """Close the databases."""
        raise NotImplementedError

    def database(self, name: str, fill: Callable[[Any], None]) -> Any:
        """Return the database of this name, filled when it is asked for first."""
        if name not in self.databases:
            self.databases[name] = self._open(self.directory / name)
            fill(self.databases[name])
        return self.databases[name]

    def _open(self, path: Path) -> Any:
        raise NotImplementedError

    def empty(self) -> Path:
        """Return a directory that no database was in, and remove the one before."""
        shutil.rmtree(self.directory / f"empty{self.emptied}", ignore_errors=True)
        self.emptied += 1
        path = self.directory / f"empty{self.emptied}"
        path.mkdir()
        return path


def consume(items: Iterable[Any]) -> Any:
    """Take all items and return the last one."""
    return deque(items, maxlen=1).pop()


def expect(got: object, expected: object) -> None:
    """Make sure that the work measured is the work that was meant."""
    if got != expected:
        raise RuntimeError(f"got {got!r}, expected {expected!r}")
