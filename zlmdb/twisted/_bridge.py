# SPDX-License-Identifier: MIT
"""From operations and reader threads to Deferreds. Everything here runs on the reactor's thread unless it says so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from zlmdb.workers import Operation, ReaderPool, Writer

T = TypeVar("T")


class Bridge:
    """Makes Deferreds; ``deliver`` and ``later`` are what an `Outbox` takes.

    ``reactor`` is Any because Twisted types its reactor as a module; it must provide IReactorCore,
    IReactorTime and IReactorFromThreads.
    """

    def __init__(self, reactor: Any, readers: ReaderPool) -> None:
        self.reactor = reactor
        self._pool = _PoolAdapter(readers)

    def deliver(self, function: Callable[[], None]) -> None:
        """Call ``function`` on the reactor's thread; from any thread."""
        self.reactor.callFromThread(function)

    def later(self, function: Callable[[], None]) -> None:
        """Call ``function`` after the reactor had its turn."""
        self.reactor.callLater(0, function)

    def submitted(self, writer: Writer, submit: Callable[..., Operation[T]], *args: Any, **options: Any) -> Deferred[T]:
        """Return the outcome of the operation that ``submit`` returns; what that raises becomes a failure."""
        try:
            operation = submit(*args, **options)
        except Exception:  # noqa: BLE001 - bad input fails the Deferred
            return fail()

        def cancel(_: Deferred[T]) -> None:
            writer.cancel(operation)

        deferred: Deferred[T] = Deferred(cancel)
        operation.subscribe(partial(_fire, deferred))
        return deferred

    def inline(self, function: Callable[..., T], *args: Any) -> Deferred[T]:
        """Return the outcome of ``function(*args)``, called here and now."""
        try:
            return succeed(function(*args))
        except Exception:  # noqa: BLE001 - it is the outcome
            return fail()

    def threaded(self, function: Callable[..., T], *args: Any, **options: Any) -> Deferred[T]:
        """Return the outcome of ``function(*args, **options)``, called on a reader's thread.

        Cancelling the Deferred does not stop the function; its outcome is dropped.
        """
        try:
            return deferToThreadPool(self.reactor, cast("Any", self._pool), function, *args, **options)
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


def failure_of(error: BaseException | None = None) -> Failure:
    """Return the failure for ``error``, or for the exception that is being handled."""
    return Failure(error)  # type: ignore[no-untyped-call]  # Twisted has no annotations there


def _fire(deferred: Deferred[T], operation: Operation[T]) -> None:
    error = operation.error
    if error is None:
        deferred.callback(cast("T", operation.value))
    else:
        deferred.errback(failure_of(error))
