# SPDX-License-Identifier: MIT
"""What a face needs from its event loop: ways to the loop's thread, and something that can be awaited."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from zlmdb.errors import WrongThread
from zlmdb.workers.operation import Operation
from zlmdb.workers.readers import ReaderPool

T = TypeVar("T")


def nothing(_waiter: object) -> None:
    """Do nothing."""


class Bridge(ABC):
    """From operations and reader threads to the awaitables of one loop, called waiters here.

    A waiter is Any where more is done with it than awaiting: Python cannot say "the loop's kind of awaitable".
    All methods but `deliver`, `check` and `stray` are for the loop's thread.
    """

    here: Callable[[], object]
    """Says where the caller is: a function written in C, for it is called before each operation."""
    home: object
    """What `here` says where outcomes are delivered."""
    thread: int
    """The loop's thread."""

    def __init__(self) -> None:
        self.arrive()
        self.answered = self.answer  # one object for all operations: many would call the garbage collector

    def arrive(self) -> None:
        """Take the calling thread for the loop's: a reactor may run on another thread than the one that opened."""
        self.thread = threading.get_ident()

    def check(self) -> None:
        """Raise `WrongThread` unless the caller is where outcomes are delivered."""
        if self.here() != self.home:
            self.stray()

    # --- what each loop does in its own way

    @abstractmethod
    def stray(self) -> None:
        """Raise `WrongThread` for a caller that is not at home; return if the call is allowed all the same."""

    @abstractmethod
    def deliver(self, function: Callable[[], None]) -> None:
        """Call ``function`` on the loop's thread; from any thread. May raise if the loop is gone."""

    @abstractmethod
    def later(self, function: Callable[[], None]) -> None:
        """Call ``function`` after the loop had its turn."""

    @abstractmethod
    def after(self, seconds: float, function: Callable[[], None]) -> Callable[[], object]:
        """Call ``function`` in so many seconds; return what keeps it from being called, and may come too late."""

    @abstractmethod
    def waiter(self, cancel: Callable[[Any], object] = nothing) -> Any:
        """Return a waiter without an outcome; cancelling it calls ``cancel(waiter)``, at once."""

    @abstractmethod
    def is_settled(self, waiter: Any) -> bool:
        """Tell whether a waiter has its outcome or was cancelled."""

    @abstractmethod
    def settle(self, waiter: Any, value: object, error: BaseException | None) -> None:
        """Give a waiter its outcome; nothing happens if it was cancelled."""

    @abstractmethod
    def outcome(self, value: T | None, error: BaseException | None = None) -> Awaitable[T]:
        """Return a waiter that has its outcome."""

    @abstractmethod
    def threaded(self, readers: ReaderPool, function: Callable[..., T], *args: Any, **options: Any) -> Awaitable[T]:
        """Return a waiter for ``function(*args, **options)``, called on a reader's thread.

        Cancelling it does not stop the function; its outcome is dropped.
        """

    # --- what is the same for all

    def inline(self, function: Callable[..., T], *args: Any) -> Awaitable[T]:
        """Return a waiter that has the outcome of ``function(*args)``, called here and now."""
        self.check()
        try:
            value = function(*args)
        except Exception as error:  # noqa: BLE001 - it is the outcome
            return self.outcome(None, error)
        return self.outcome(value)

    def submitted(self, submit: Callable[..., Operation[T]], *args: Any, **options: Any) -> Awaitable[T]:
        """Return a waiter for the operation that ``submit`` returns; what that raises is its outcome.

        Cancelling the waiter cancels the operation: see `Writer.cancel`.
        """
        self.check()
        try:
            operation = submit(*args, **options)
        except Exception as error:  # noqa: BLE001 - bad input fails what is awaited
            return self.outcome(None, error)
        return self.awaiting(operation)

    def awaiting(self, operation: Operation[T]) -> Awaitable[T]:
        """Return a waiter for an operation."""
        waiter: Awaitable[T] = self.waiter(operation)
        operation.waiter = waiter
        if operation.answered:
            self.answer(operation)
        else:
            operation.callback = self.answered
        return waiter

    def answer(self, operation: Operation[Any]) -> None:
        """Give an operation's waiter its outcome."""
        waiter = operation.waiter
        if waiter is not None:
            self.settle(waiter, operation.value, None if operation.acknowledged else operation.failure)
            operation.waiter = None  # which refers to the operation


def wrong_thread(what: str, next_step: str) -> WrongThread:
    """Return the error for the use of an asynchronous handle away from its loop."""
    return WrongThread(
        f"an asynchronous database was used {what}",
        where=f"thread {threading.current_thread().name!r}",
        expected="calls where the event loop runs that opened it",
        next_step=next_step,
    )
