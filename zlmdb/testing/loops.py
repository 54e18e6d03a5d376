# SPDX-License-Identifier: MIT
"""Runs a test's coroutine on a loop of its own, from its start to its end, in either world."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds; only a test that hangs gets there."""


def run_asyncio(main: Callable[[], Coroutine[Any, Any, T]], patience: float = PATIENCE) -> T:
    """Return what ``main()`` returns on a new asyncio loop.

    Raises TimeoutError after ``patience`` seconds, and AssertionError if a future or task failed and nobody looked.
    """
    import asyncio

    unhandled: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with asyncio.timeout(patience):
            return await main()

    result = asyncio.run(watched())
    _nothing_unhandled(unhandled)
    return result


def run_reactor(main: Callable[[Any], Coroutine[Any, Any, T]], patience: float = PATIENCE) -> T:
    """Return what ``main(reactor)`` returns on a new reactor, which is stopped then and not installed.

    Raises TimeoutError after ``patience`` seconds, and AssertionError if a Deferred failed and nobody looked.
    """
    from twisted.internet.defer import ensureDeferred
    from twisted.internet.selectreactor import SelectReactor
    from twisted.logger import globalLogPublisher
    from twisted.python.failure import Failure

    reactor: Any = SelectReactor()
    outcome: list[Any] = []
    unhandled: list[Any] = []

    def look(event: Any) -> None:
        if "log_failure" in event and event["log_namespace"] != "zlmdb.twisted.stores.StoreService":  # it handles them
            unhandled.append(event["log_failure"])

    observe: Any = look  # an ILogObserver; zope's interfaces are no types

    def end(result: Any) -> None:
        if not outcome:
            outcome.append(result)
            reactor.stop()

    def start() -> None:
        late: Any = Failure(TimeoutError(f"the test still runs after {patience} s"))  # type: ignore[no-untyped-call]
        reactor.callLater(patience, end, late)
        ensureDeferred(main(reactor)).addBoth(end)

    globalLogPublisher.addObserver(observe)
    try:
        reactor.callWhenRunning(start)
        reactor.run(installSignalHandlers=False)
    finally:
        globalLogPublisher.removeObserver(observe)
        _close_pipes(reactor)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    _nothing_unhandled(unhandled)
    result: T = outcome[0]
    return result


def _close_pipes(reactor: Any) -> None:
    """Close what wakes the reactor, which Twisted leaves open: each process is taken to have but one reactor."""
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    for reader in reactor._internalReaders:
        reader.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]


def _nothing_unhandled(unhandled: list[Any]) -> None:
    if unhandled:
        raise AssertionError(f"errors that nobody handled: {unhandled}")
