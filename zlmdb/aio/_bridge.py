# SPDX-License-Identifier: MIT
"""From operations and reader threads to futures. Everything here runs on the loop's thread unless it says so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from zlmdb.workers import Bridge, Operation, ReaderPool
from zlmdb.workers.bridge import nothing, wrong_thread

T = TypeVar("T")


class Waiter(asyncio.Future[T]):
    """A future whose cancellation takes effect at once, not only when the loop calls its callbacks."""

    _take_back: Callable[[Any], object]
    """Called with the future when it is cancelled. Set afterwards: an ``__init__`` takes longer than all the rest."""

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the future, and what it waits for if that has not begun; return False if it is done already."""
        cancelled = super().cancel(msg)
        if cancelled:
            self._take_back(self)
        return cancelled


class LoopBridge(Bridge):
    """Makes futures of the event loop that runs when it is made; raises `WrongThread` if none does."""

    def __init__(self) -> None:
        super().__init__()
        try:
            self.loop = self.home = asyncio.get_running_loop()
        except RuntimeError:
            raise wrong_thread("where no event loop runs", "call it in a coroutine: asyncio.run(main())") from None

    # asyncio exports it for loops, in spite of its name; it says None where get_running_loop raises
    here = staticmethod(asyncio._get_running_loop)

    def stray(self) -> None:
        """Raise `WrongThread` for calls in another event loop, on another thread, or after the loop was closed."""
        is_closed = self.loop.is_closed()
        if self.here() is None and threading.get_ident() == self.thread and not is_closed:
            return  # it is between two runs, as in loop.run_until_complete(users.get(1))
        raise wrong_thread(
            "after its event loop was closed" if is_closed else "outside of its event loop",
            "open a database in each loop (they share the file), or hand the call over with "
            "asyncio.run_coroutine_threadsafe",
        )

    def deliver(self, function: Callable[[], None]) -> None:
        """Call ``function`` on the loop's thread; from any thread. Raises RuntimeError if the loop is closed."""
        self.loop.call_soon_threadsafe(function)

    def later(self, function: Callable[[], None]) -> None:
        """Call ``function`` after the loop had its turn."""
        self.loop.call_soon(function)

    def after(self, seconds: float, function: Callable[[], None]) -> Callable[[], object]:
        """Call ``function`` in so many seconds; return what keeps it from being called."""
        return self.loop.call_later(seconds, function).cancel

    def waiter(self, cancel: Callable[[Any], object] = nothing) -> Waiter[Any]:
        """Return a future that calls ``cancel`` with itself when it is cancelled."""
        waiter: Waiter[Any] = Waiter(loop=self.loop)
        waiter._take_back = cancel
        return waiter

    def is_settled(self, waiter: asyncio.Future[Any]) -> bool:
        """Tell whether the future is done."""
        return waiter.done()

    def settle(self, waiter: asyncio.Future[Any], value: object, error: BaseException | None) -> None:
        """Give the future its result or its exception, unless it was cancelled."""
        if waiter.done():
            return
        if error is None:
            waiter.set_result(value)
        else:
            waiter.set_exception(_raisable(error))

    def answer(self, operation: Operation[Any]) -> None:
        """Give an operation's future its outcome: what the base class does, without a further call for a success."""
        waiter = operation.waiter
        if waiter is not None:
            if operation.failure is None and not waiter.done():
                waiter.set_result(operation.value)
            else:
                self.settle(waiter, operation.value, operation.error)
            operation.waiter = None

    def outcome(self, value: T | None, error: BaseException | None = None) -> asyncio.Future[T]:
        """Return a future that is done."""
        future: asyncio.Future[T] = self.loop.create_future()
        self.settle(future, value, error)
        return future

    def threaded(
        self, readers: ReaderPool, function: Callable[..., T], *args: Any, **options: Any
    ) -> asyncio.Future[T]:
        """Return the outcome of ``function(*args, **options)``, called on a reader's thread.

        Cancelling the future does not stop the function; its outcome is dropped.
        """
        self.check()
        waiter: Waiter[T] = self.waiter()

        def done(success: bool, result: Any) -> None:  # on the reader's thread
            outcome = (result, None) if success else (None, result)
            with suppress(RuntimeError):  # the loop was closed, so nobody waits for it any more
                self.deliver(partial(self.settle, waiter, *outcome))

        try:
            readers.run(partial(function, *args, **options), done)
        except Exception as error:  # noqa: BLE001 - the pool is closed
            self.settle(waiter, None, error)
        return waiter


def _raisable(error: BaseException) -> BaseException:
    """Return what a future takes: `StopIteration` would end the coroutine that awaits it, as if it had returned."""
    if not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError("the function raised StopIteration")
    wrapped.__cause__ = error
    return wrapped
