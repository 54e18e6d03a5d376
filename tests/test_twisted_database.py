# SPDX-License-Identifier: MIT
"""What only Twisted has: callbacks, and a reactor whose shutdown waits. All else is in ``tests/contract``."""

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

import zlmdb
from tests.faces import FACES
from tests.reactor_bench import busy, error_of, run
from zlmdb.twisted import AsyncDatabase, AsyncMap, open_database

using = FACES["twisted"].using


def test_callbacks_and_inline_callbacks_work_as_with_any_deferred(tmp_path: Path) -> None:
    @inlineCallbacks
    def generator(users: AsyncMap[str, int]) -> Any:
        yield users.put("a", 1)
        return (yield users.get("a"))

    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        assert await generator(users) == 1
        assert await users.put("b", 2).addCallback(lambda _: users.get("b")) == 2

    using(tmp_path / "db", test)


def test_an_exception_in_a_callback_does_not_stop_the_writer(tmp_path: Path) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        with busy(db):
            bad = users.put("a", 1).addCallback(lambda _: 1 / 0)
            good = users.put("b", 1)
        await good
        assert isinstance(await error_of(bad), ZeroDivisionError)
        await users.put("c", 1)
        assert await users.count() == 3

    using(tmp_path / "db", test)


def test_stopping_the_reactor_closes_the_database(tmp_path: Path) -> None:
    opened: list[AsyncDatabase] = []

    async def main(reactor: Any) -> list[Deferred[None]]:
        db = await open_database(tmp_path / "db", reactor=reactor)
        opened.append(db)
        return [db.map(zlmdb.MapStringCbor(7)).put(str(n), n) for n in range(1000)]

    puts = run(main)
    assert all(put.called for put in puts)
    assert not opened[0].database.is_open
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        assert zlmdb.MapStringCbor(7).count(txn) == 1000


def test_a_closed_database_is_forgotten_by_the_reactor(tmp_path: Path) -> None:
    class Reactor:
        """Remembers which triggers there are."""

        def __init__(self, reactor: Any) -> None:
            self.reactor = reactor
            self.triggers: list[Any] = []

        def __getattr__(self, name: str) -> Any:
            return getattr(self.reactor, name)

        def addSystemEventTrigger(self, *args: Any) -> Any:
            self.triggers.append(self.reactor.addSystemEventTrigger(*args))
            return self.triggers[-1]

        def removeSystemEventTrigger(self, trigger: Any) -> None:
            self.triggers.remove(trigger)
            self.reactor.removeSystemEventTrigger(trigger)

    async def main(reactor: Any) -> None:
        watched = Reactor(reactor)
        db = await open_database(tmp_path / "db", reactor=watched)
        assert len(watched.triggers) == 1
        await db.close()
        assert watched.triggers == []

    run(main)
