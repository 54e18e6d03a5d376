# SPDX-License-Identifier: MIT
"""Functions that programs hand in to be run in a transaction, and those that cannot be."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, MappingView
from typing import TYPE_CHECKING, Any, TypeVar

from zlmdb.errors import WrongType
from zlmdb.orm.bound import BoundMap
from zlmdb.orm.sets import LiveSet

if TYPE_CHECKING:
    from zlmdb.storage import Transaction

T = TypeVar("T")
_BOUND_TO_TRANSACTION = (Iterator, LiveSet, BoundMap, MappingView)  # what reads when it is used


def check_function(function: Callable[..., Any]) -> None:
    """Raise `WrongType` for what cannot run as a whole in a transaction: coroutine and generator functions."""
    if not callable(function):
        raise WrongType("not a function", where="transaction function", got=function, expected="fn(txn, *args)")
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_kind(function) for is_kind in kinds):
        raise _cannot_wait(function)


def call(function: Callable[..., T], args: tuple[Any, ...], txn: Transaction) -> T:
    """Return ``function(txn, *args)``; a result that has yet to be awaited or read is refused with `WrongType`.

    What the function wrote is undone then, as after any error. Only the result itself is looked at, not what a
    list or a tuple holds.
    """
    result = function(txn, *args)
    if inspect.isawaitable(result) or isinstance(result, AsyncIterator):
        if inspect.iscoroutine(result):
            result.close()  # it never ran; this keeps Python from warning of it
        raise _cannot_wait(function)
    if isinstance(result, _BOUND_TO_TRANSACTION):
        raise _outlived(result)
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


def _outlived(result: object) -> WrongType:
    kind = type(result).__name__
    return WrongType(
        f"a result of type {kind} cannot be read any more when the transaction has ended",
        where="transaction function",
        got=kind,
        expected="a function fn(txn, *args) that returns what it has read, such as a list",
        next_step="make a list, set or dict of it inside the function",
    )
