# SPDX-License-Identifier: MIT
"""Fixtures for pytest: a database, and a loop of its own for the test to run on.

Name them in ``conftest.py`` with ``pytest_plugins = ["zlmdb.testing.fixtures"]``; no plugin for asyncio or Twisted
is needed. A test then hands its coroutine function in::

    def test_users_are_stored(asyncio_database):
        async def test(db):  # a zlmdb.aio.AsyncDatabase
            users = db.map(zlmdb.MapStringCbor(7))
            await users.put("a", 1)
            assert await users.get("a") == 1

        asyncio_database(test)

``asyncio_database(test, **options)`` opens ``db`` in the test's own directory with these options of
`zlmdb.aio.open_database` (``sync=False`` unless said otherwise: a test outlives no power cut), closes it after the
test and returns what the test returned. It may be called again: the records of the first call are there.
``twisted_database`` does the same with `zlmdb.twisted.open_database` on a reactor that is not installed. Both fail a
test that hangs, and one that leaves a failure unhandled: see `zlmdb.testing.loops`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zlmdb.testing.loops import run_asyncio, run_reactor

Run = Callable[..., Any]
"""``run(test, **options)``; what the test returns is the test's."""


@pytest.fixture
def asyncio_database(tmp_path: Path) -> Run:
    """Return what runs ``await test(db)`` on a new asyncio loop."""
    from zlmdb.aio import open_database

    def run(test: Run, **options: Any) -> Any:
        async def main() -> Any:
            async with open_database(tmp_path / "db", **{"sync": False, **options}) as db:
                return await test(db)

        return run_asyncio(main)

    return run


@pytest.fixture
def twisted_database(tmp_path: Path) -> Run:
    """Return what runs ``await test(db)`` on a new reactor."""
    from zlmdb.twisted import open_database

    def run(test: Run, **options: Any) -> Any:
        async def main(reactor: Any) -> Any:
            async with open_database(tmp_path / "db", reactor=reactor, **{"sync": False, **options}) as db:
                return await test(db)

        return run_reactor(main)

    return run
