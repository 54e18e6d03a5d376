# SPDX-License-Identifier: MIT
"""Runs a coroutine on a real reactor of its own, from start to shutdown."""

import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

import zlmdb
from zlmdb.twisted import AsyncDatabase, AsyncMap, open_database

Test = Callable[[AsyncDatabase, AsyncMap[str, Any]], Coroutine[Any, Any, Any]]

_PATIENCE = 60  # seconds; only a test that hangs gets there


def run(main: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Return what ``main(reactor)`` returns; fails if a Deferred's error was left unhandled."""
    reactor = SelectReactor()
    outcome: list[Any] = []
    logged: list[Any] = []

    def observe(event: Any) -> None:
        if "log_failure" in event:
            logged.append(event["log_failure"])

    def start() -> None:
        timer = reactor.callLater(_PATIENCE, lambda: (outcome.append(Failure(TimeoutError())), reactor.stop()))
        done = ensureDeferred(main(reactor))
        done.addBoth(outcome.append)
        done.addBoth(lambda _: (timer.cancel(), reactor.stop()))

    globalLogPublisher.addObserver(observe)
    try:
        reactor.callWhenRunning(start)
        reactor.run(installSignalHandlers=False)
    finally:
        globalLogPublisher.removeObserver(observe)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    assert not logged
    return outcome[0]


def in_folder(folder: Path) -> Callable[..., Any]:
    """Return a function that runs ``test(db, map)`` with a database in ``folder``, opened before and closed after."""

    def using(test: Test, **options: Any) -> Any:
        async def main(reactor: Any) -> Any:
            db = await open_database(folder, reactor=reactor, **{"sync": False, **options})
            async with db:
                return await test(db, db.map(zlmdb.MapStringCbor(7)))

        return run(main)

    return using


@contextmanager
def busy(db: AsyncDatabase) -> Iterator[Deferred[str]]:
    """Keep the writer inside a transaction as long as the block runs; what is submitted in it is queued."""
    running, release = threading.Event(), threading.Event()

    def hold(txn: zlmdb.Transaction) -> str:
        running.set()
        release.wait(_PATIENCE)
        return "held"

    held = db.write(hold)
    if not running.wait(_PATIENCE):
        raise TimeoutError("the writer does not run")
    try:
        yield held
    finally:
        release.set()


def thread_names() -> list[str]:
    """Return the names of the threads that a database has started."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("zlmdb")]


def join_threads() -> None:
    """Wait for the threads that a database has started and does not wait for itself."""
    for thread in threading.enumerate():
        if thread.name.startswith("zlmdb"):
            thread.join(_PATIENCE)


async def error_of(deferred: Deferred[Any]) -> BaseException:
    """Return the error that a Deferred fails with."""
    try:
        result = await deferred
    except BaseException as error:  # noqa: BLE001 - it is what was asked for
        return error
    raise AssertionError(f"no error, but {result!r}")
