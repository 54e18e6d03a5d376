# SPDX-License-Identifier: MIT
"""From operations and reader threads to Deferreds. Everything here runs on the reactor's thread unless it says so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, TypeVar, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from zlmdb.workers import Bridge, Operation, ReaderPool
from zlmdb.workers.bridge import wrong_thread

T = TypeVar("T")


class ReactorBridge(Bridge):
    """Makes Deferreds.

    ``reactor`` is Any because Twisted types its reactor as a module; it must provide IReactorCore,
    IReactorTime and IReactorFromThreads.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self.reactor = reactor

    here = staticmethod(threading.get_ident)

    def arrive(self) -> None:
        """Take the calling thread for the reactor's."""
        super().arrive()
        self.home = self.thread

    def stray(self) -> NoReturn:
        """Raise `WrongThread` for calls that are not on the reactor's thread."""
        raise wrong_thread(
            "on another thread than its reactor's",
            "hand the call over with reactor.callFromThread or blockingCallFromThread",
        )

    def deliver(self, function: Callable[[], None]) -> None:
        """Call ``function`` on the reactor's thread; from any thread."""
        self.reactor.callFromThread(function)

    def later(self, function: Callable[[], None]) -> None:
        """Call ``function`` after the reactor had its turn."""
        self.reactor.callLater(0, function)

    def after(self, seconds: float, function: Callable[[], None]) -> Callable[[], object]:
        """Call ``function`` in so many seconds; return what keeps it from being called."""
        timer = self.reactor.callLater(seconds, function)

        def stop() -> None:
            if timer.active():
                timer.cancel()

        return stop

    waiter = Deferred  # type: ignore[assignment]  # its only argument is the canceller
    """Return a Deferred that calls ``cancel`` with itself when it is cancelled."""

    def is_settled(self, waiter: Deferred[Any]) -> bool:
        """Tell whether the Deferred has fired."""
        return bool(waiter.called)

    def settle(self, waiter: Deferred[Any], value: object, error: BaseException | None) -> None:
        """Fire the Deferred, unless it was cancelled."""
        if waiter.called:
            return
        if error is None:
            waiter.callback(value)
        else:
            waiter.errback(failure_of(error))

    def answer(self, operation: Operation[Any]) -> None:
        """Give an operation's Deferred its outcome: what the base class does, without a further call for a success."""
        waiter = operation.waiter
        if waiter is not None:
            if operation.failure is None and not waiter.called:
                waiter.callback(operation.value)
            else:
                self.settle(waiter, operation.value, operation.error)
            operation.waiter = None

    def outcome(self, value: T | None, error: BaseException | None = None) -> Deferred[T]:
        """Return a Deferred that has fired."""
        if error is not None:
            return fail(failure_of(error))
        return succeed(cast("T", value))

    def threaded(self, readers: ReaderPool, function: Callable[..., T], *args: Any, **options: Any) -> Deferred[T]:
        """Return the outcome of ``function(*args, **options)``, called on a reader's thread.

        Cancelling the Deferred does not stop the function; its outcome is dropped.
        """
        self.check()
        pool = cast("Any", _PoolAdapter(readers))
        try:
            return deferToThreadPool(self.reactor, pool, function, *args, **options)
        except Exception:  # noqa: BLE001 - the pool is closed
            return fail()


class _PoolAdapter:
    """Offers a `ReaderPool` to `deferToThreadPool`."""

    def __init__(self, readers: ReaderPool) -> None:
        self._readers = readers

    def callInThreadWithCallback(  # noqa: N802 - Twisted's name
        self, on_result: Callable[[bool, Any], object], function: Callable[..., Any], *args: Any, **options: Any
    ) -> None:
        def done(success: bool, result: Any) -> None:  # on the reader's thread
            on_result(success, result if success else failure_of(result))

        self._readers.run(partial(function, *args, **options), done)


def failure_of(error: BaseException) -> Failure:
    """Return the failure for ``error``."""
    return Failure(error)  # type: ignore[no-untyped-call]  # Twisted has no annotations there
