# SPDX-License-Identifier: MIT
"""Functions that programs hand in to be run in a transaction, and those that cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from zlmdb.errors import WrongType

if TYPE_CHECKING:
    from zlmdb.storage import Transaction

T = TypeVar("T")


def check_function(function: Callable[..., Any]) -> None:
    """Raise `WrongType` for what cannot run as a whole in a transaction: coroutine and generator functions."""
    if not callable(function):
        raise WrongType("not a function", where="transaction function", got=function, expected="fn(txn, *args)")
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_kind(function) for is_kind in kinds):
        raise _cannot_wait(function)


def call(function: Callable[..., T], args: tuple[Any, ...], txn: Transaction) -> T:
    """Return ``function(txn, *args)``; a result that has yet to be awaited is refused, and the transaction undone."""
    result = function(txn, *args)
    if inspect.isawaitable(result) or inspect.isgenerator(result):
        if inspect.iscoroutine(result):
            result.close()  # it never ran; this keeps Python from warning of it
        raise _cannot_wait(function)
    return result


def describe(function: Callable[..., Any]) -> str:
    """Return the function's name for logs."""
    return str(getattr(function, "__qualname__", None) or type(function).__name__)


def _cannot_wait(function: Callable[..., Any]) -> WrongType:
    return WrongType(
        "a transaction cannot wait for anything",
        where="transaction function",
        got=function,
        expected="an ordinary function fn(txn, *args), whose result is not awaitable",
        next_step="await what it needs first, then pass the values as arguments",
    )
