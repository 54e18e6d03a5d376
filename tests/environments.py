# SPDX-License-Identifier: MIT
"""Environments of named databases on either loop, for tests that hold for both."""

import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import zlmdb.aio
import zlmdb.twisted
from zlmdb.testing.loops import PATIENCE, run_asyncio, run_reactor

Main = Callable[[Any], Coroutine[Any, Any, Any]]
LOOPS: dict[str, Callable[[Main], Any]] = {
    "twisted": lambda main: run_reactor(lambda reactor: main(partial(zlmdb.twisted.open, reactor=reactor))),
    "asyncio": lambda main: run_asyncio(lambda: main(zlmdb.aio.open)),
}
"""Run ``main(open)`` on a new loop, where ``open`` is the loop's; an unhandled failure fails the test."""


def using(loop: str, folder: Path, test: Callable[[Any], Any], **options: Any) -> Any:
    """Run ``test(env)`` with an environment in ``folder``, opened before and closed after."""

    async def main(open_: Any) -> Any:
        async with open_(folder, **{"sync": False, **options}) as env:
            return await test(env)

    return LOOPS[loop](main)


@contextmanager
def busy(env: Any) -> Iterator[None]:
    """Keep the writer inside a transaction as long as the block runs; what is submitted in it is queued."""
    running, release = threading.Event(), threading.Event()

    def hold(txn: Any) -> None:
        running.set()
        release.wait(PATIENCE)

    env.run(hold, write=True)
    if not running.wait(PATIENCE):
        raise TimeoutError("the writer does not run")
    try:
        yield
    finally:
        release.set()
