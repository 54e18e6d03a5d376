# SPDX-License-Identifier: MIT
"""The two asynchronous faces behind one, for tests that hold for both."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import defer

import zlmdb
import zlmdb.aio
import zlmdb.twisted
from zlmdb.testing.loops import PATIENCE, run_asyncio, run_reactor
from zlmdb.workers import DatabaseFace

Main = Callable[[Any], Coroutine[Any, Any, Any]]


class Face(ABC):
    """One face and its loop."""

    cancelled: type[BaseException]
    """What a cancelled call fails with."""

    @abstractmethod
    def run(self, main: Main) -> Any:
        """Return what ``main(open_database)`` returns on a new loop; an unhandled failure fails the test."""

    @abstractmethod
    def gather(self, calls: Iterable[Any]) -> Awaitable[list[Any]]:
        """Return all results in order."""

    @abstractmethod
    def done(self, call: Any) -> bool:
        """Tell whether a call has been answered."""

    @abstractmethod
    def when_done(self, call: Any, function: Callable[[], object]) -> None:
        """Have ``function`` called when a call succeeds."""

    def using(self, folder: Path, test: Callable[[Any, Any], Any], **options: Any) -> Any:
        """Run ``test(db, map)`` with a database in ``folder``, opened before and closed after."""

        async def main(open_database: Any) -> Any:
            async with open_database(folder, **{"sync": False, **options}) as db:
                return await test(db, db.map(zlmdb.MapStringCbor(7)))

        return self.run(main)


class TwistedFace(Face):
    cancelled = defer.CancelledError

    def run(self, main: Main) -> Any:
        return run_reactor(lambda reactor: main(partial(zlmdb.twisted.open_database, reactor=reactor)))

    def gather(self, calls: Iterable[Any]) -> Awaitable[list[Any]]:
        return defer.gatherResults(calls, consumeErrors=True)

    def done(self, call: Any) -> bool:
        return bool(call.called)

    def when_done(self, call: Any, function: Callable[[], object]) -> None:
        call.addCallback(lambda value: (function(), value)[1])


class AsyncioFace(Face):
    cancelled = asyncio.CancelledError

    def run(self, main: Main) -> Any:
        return run_asyncio(lambda: main(zlmdb.aio.open_database))

    def gather(self, calls: Iterable[Any]) -> Awaitable[list[Any]]:
        return asyncio.gather(*calls)

    def done(self, call: Any) -> bool:
        return bool(call.done())

    def when_done(self, call: Any, function: Callable[[], object]) -> None:
        call.add_done_callback(lambda _: function())


FACES = {"twisted": TwistedFace(), "asyncio": AsyncioFace()}


@contextmanager
def busy(db: DatabaseFace) -> Iterator[Any]:
    """Keep the writer inside a transaction as long as the block runs; what is submitted in it is queued."""
    running, release = threading.Event(), threading.Event()

    def hold(txn: zlmdb.Transaction) -> str:
        running.set()
        release.wait(PATIENCE)
        return "held"

    held = db.write(hold)
    if not running.wait(PATIENCE):
        raise TimeoutError("the writer does not run")
    try:
        yield held
    finally:
        release.set()


async def error_of(call: Awaitable[Any]) -> Any:
    """Return the error that a call fails with."""
    try:
        result = await call
    except BaseException as error:  # noqa: BLE001 - it is what was asked for
        return error
    raise AssertionError(f"no error, but {result!r}")


def database_threads() -> list[threading.Thread]:
    """Return the threads that databases have started."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("zlmdb")]


def join_threads() -> None:
    """Wait for the threads that a database has started and does not wait for itself."""
    for thread in database_threads():
        thread.join(PATIENCE)
