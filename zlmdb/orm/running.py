# SPDX-License-Identifier: MIT
"""Run a function in a transaction, again where another try can help."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from zlmdb.errors import ConfigError, LockHeld, ReadersFull, TransactionsRunning
from zlmdb.orm.functions import call, check_function
from zlmdb.storage import Transaction

R = TypeVar("R")

_PASSING = (LockHeld, ReadersFull, TransactionsRunning)  # what other processes and threads may have ended meanwhile
_FIRST_PAUSE = 0.01  # seconds


def run(
    begin: Callable[[], Transaction],
    function: Callable[..., R],
    args: tuple[Any, ...],
    retries: int,
    sleep: Callable[[float], object] = time.sleep,
) -> R:
    """Return ``function(txn, *args)`` of a transaction that ``begin`` gives; see `Database.run`."""
    check_function(function)
    if type(retries) is not int or retries < 0:
        raise ConfigError("not a number of retries", where="run", got=retries, expected="an int >= 0")
    for attempt in range(retries):
        try:
            return _once(begin, function, args)
        except _PASSING:
            sleep(_FIRST_PAUSE * 2**attempt)
    return _once(begin, function, args)


def _once(begin: Callable[[], Transaction], function: Callable[..., R], args: tuple[Any, ...]) -> R:
    with begin() as txn:
        return call(function, args, txn)
