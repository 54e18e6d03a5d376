# SPDX-License-Identifier: MIT
"""Transactions that let other threads have the interpreter now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Pacing(Protocol):
    """Counts down the records that are read and written until the next pause: see `zlmdb.workers.pace.Pace`."""

    left: int

    def rest(self) -> None:
        """Pause, and set ``left`` anew; to be called when it is 0 or less."""


def paced(function: Callable[..., Any], pace: Pacing) -> Callable[..., Any]:
    """Return a function of LMDB that counts a record with each call."""

    def call(*args: Any, **options: Any) -> Any:
        pace.left -= 1
        if pace.left <= 0:
            pace.rest()
        return function(*args, **options)

    return call


def count_chunk(pace: Pacing, records: int) -> None:
    """Count records that were read together."""
    pace.left -= records
    if pace.left <= 0:
        pace.rest()
