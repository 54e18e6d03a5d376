# SPDX-License-Identifier: MIT
"""`SupervisedStore`: one store as a Twisted service, and how long it is waited for."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred
from twisted.python.failure import Failure

from zlmdb.plugins import ManagedStore
from zlmdb.plugins._life import Carried


class Patience:
    """Waits for the steps of one store: as long as they take, but once it is to end no longer than ``deadline`` each.

    The deadline is in seconds, None for none. What is given up is cancelled, and then left to itself. To be used on
    the reactor's thread.
    """

    def __init__(self, reactor: Any, deadline: float | None) -> None:
        self._reactor = reactor
        self._deadline = deadline
        self._hurried = False
        self._timer: Any = None  # an IDelayedCall
        self._step: Deferred[object] | None = None
        self._waiter: Deferred[object] | None = None

    def __call__(self, outcome: Awaitable[object]) -> Deferred[object]:
        """Return what fires with the outcome of a step, or fails with TimeoutError."""
        self._step = step = Deferred.fromCoroutine(_awaited(outcome))
        waiter: Deferred[object] = Deferred(lambda _: step.cancel())
        self._waiter = waiter
        step.addBoth(self._over, waiter)
        if self._hurried:
            self._limit()
        return waiter

    def hurry(self) -> None:
        """Wait no longer than the deadline from now on."""
        if not self._hurried:
            self._hurried = True
            self._limit()

    def _limit(self) -> None:
        step, waiter = self._step, self._waiter
        if self._deadline is not None and step is not None and waiter is not None and not waiter.called:
            self._timer = self._reactor.callLater(self._deadline, self._give_up, step, waiter)

    def _over(self, result: object, waiter: Deferred[object]) -> None:
        if waiter.called:  # it was given up, and told of as that
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiter.callback(_carried(result))  # a Failure too

    def _give_up(self, step: Deferred[object], waiter: Deferred[object]) -> None:
        self._timer = None
        late: Any = Failure(TimeoutError(f"not over after {self._deadline} s"))  # type: ignore[no-untyped-call]
        waiter.errback(late)  # which may begin the next step
        step.cancel()


def _carried(result: object) -> object:
    """Return the result of a step; a `GeneratorExit`, which would close the coroutine that waits, in another error."""
    if not isinstance(result, Failure) or not isinstance(result.value, GeneratorExit):
        return result
    error = Carried()
    error.__cause__ = result.value
    return Failure(error)  # type: ignore[no-untyped-call]


async def _awaited(outcome: Awaitable[object]) -> object:
    return await outcome


class SupervisedStore(Service):
    """One store as a service; call it on the reactor's thread.

    ``started`` fires when the store is started, or fails with the `PluginError` that kept it from it. ``deadline``
    is how many seconds each step may take once the store is to stop, None for any number.
    """

    def __init__(self, managed: ManagedStore, reactor: Any, deadline: float | None = None) -> None:
        self.managed = managed
        self.started: Deferred[None] = Deferred()
        self._patience = managed.wait = Patience(reactor, deadline)
        self._lock = DeferredLock()  # a stop waits for the start to be done
        self.setName(managed.name)  # type: ignore[no-untyped-call]

    def startService(self) -> None:  # noqa: N802
        """Begin to start the store; ``started`` tells the outcome. A store is started once only."""
        super().startService()  # type: ignore[no-untyped-call]
        self._lock.run(ensureDeferred, self.managed.start()).chainDeferred(self.started)

    def stopService(self) -> Deferred[None]:  # noqa: N802  # pyright: ignore[reportIncompatibleMethodOverride]
        """Drain and stop the store, once its start is over; fails with `PluginError` if a step did."""
        super().stopService()  # type: ignore[no-untyped-call]
        self.hurry()
        return self._lock.run(lambda: ensureDeferred(self.managed.stop()))

    def hurry(self) -> None:
        """Give the step that is under way, and each that comes, the deadline."""
        self._patience.hurry()
