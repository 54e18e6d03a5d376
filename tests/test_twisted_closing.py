# SPDX-License-Identifier: MIT
"""Opening and closing a database on a real reactor."""

import threading
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, gatherResults

import zlmdb
from tests.reactor_bench import busy, error_of, join_threads, run, thread_names
from zlmdb import errors
from zlmdb.twisted import AsyncDatabase, open_database


def test_closing_writes_everything_and_leaves_no_thread(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        db = await open_database(tmp_path / "db", reactor=reactor, max_pending=10)
        users = db.map(zlmdb.MapStringCbor(7))
        with busy(db):
            puts = [users.put(str(n), n) for n in range(100)]
            reads = [users.select() for _ in range(20)]
            first, second = db.close(), db.close()
            assert isinstance(await error_of(users.put("late", 1)), errors.DatabaseClosed)
        assert await gatherResults(puts) == [None] * 100
        await gatherResults(reads)
        assert (await first, await second, await db.close()) == (0, 0, 0)
        assert thread_names() == []
        assert not db.database.is_open

    run(main)
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        assert zlmdb.MapStringCbor(7).count(txn) == 100


def test_use_after_closing_fails(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        async with await open_database(tmp_path / "db", reactor=reactor) as db:
            users = db.map(zlmdb.MapStringCbor(7))
        calls: list[Deferred[Any]] = [
            users.get("a"),
            users.get_many(["a"]),
            users.contains("a"),
            users.put("a", 1),
            users.put_many([("a", 1)]),
            users.delete("a"),
            users.truncate(),
            users.select(),
            users.count(),
            db.map(zlmdb.MapStringCbor(8)).get("a"),
            db.read(lambda txn: 1),
            db.write(lambda txn: 1),
            db.flushed(),
            db.attach(zlmdb.Schema),
        ]
        for call in calls:
            assert isinstance(await error_of(call), errors.DatabaseClosed)
        with pytest.raises(errors.DatabaseClosed):
            db.begin()
        assert await db.close() == 0

    run(main)


def test_after_the_deadline_of_closing_what_is_left_fails_and_is_counted(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        db = await open_database(tmp_path / "db", reactor=reactor)
        users = db.map(zlmdb.MapStringCbor(7))
        with busy(db) as held:
            puts = [users.put(str(n), n) for n in range(10)]
            closing = db.close(deadline=0)
            for put in puts:
                assert isinstance(await error_of(put), errors.NotWritten)
            assert not closing.called  # the batch that is being written is finished
        assert await held == "held"
        assert await closing == 10
        assert thread_names() == []

    run(main)


def test_after_the_deadline_closing_does_not_wait_for_a_lock_held_elsewhere(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        db = await open_database(tmp_path / "db", reactor=reactor)
        users = db.map(zlmdb.MapStringCbor(7))
        with zlmdb.Database(tmp_path / "db") as other, other.begin(write=True):
            put = users.put("a", 1)
            assert await db.close(deadline=0.01) == 1
            assert isinstance(await error_of(put), errors.NotWritten)
        writer = [thread for thread in threading.enumerate() if "zlmdb-writer" in thread.name]
        for thread in writer:
            thread.join(60)
        assert not db.database.is_open

    run(main)


def test_after_the_deadline_closing_does_not_wait_for_reads(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        db = await open_database(tmp_path / "db", reactor=reactor)
        running, release = threading.Event(), threading.Event()
        read = db.read(lambda txn: (running.set(), release.wait(60))[1])
        running.wait(60)
        assert await db.close(deadline=0) == 0
        assert db.database.is_open  # a transaction lives in it
        release.set()
        assert await read is True
        db.database.close()

    run(main)


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


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"readonly": True}, errors.DatabaseError),
        ({"create": False}, errors.DatabaseMissing),
        ({"writemap": True}, errors.ConfigError),
        ({"overflow": "drop"}, errors.ConfigError),
        ({"max_pending": 0}, errors.ConfigError),
        ({"readers": 0}, errors.ConfigError),
        ({"durability": "never"}, errors.ConfigError),
        ({"reads": "somewhere"}, errors.ConfigError),
        ({"no_such_option": 1}, TypeError),
    ],
)
def test_what_cannot_be_opened_fails_the_deferred_and_leaves_no_thread(
    tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    async def main(reactor: Any) -> None:
        assert isinstance(await error_of(open_database(tmp_path / "db", reactor=reactor, **options)), error)

    run(main)
    join_threads()
    assert thread_names() == []


def test_cancelling_the_opening_closes_what_was_opened(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        opening = open_database(tmp_path / "db", reactor=reactor)
        opening.cancel()
        assert isinstance(await error_of(opening), CancelledError)
        again = await open_database(tmp_path / "other", reactor=reactor)
        await again.close()

    run(main)
    join_threads()
    with zlmdb.Database(tmp_path / "db", lib_version="1.0") as db:  # would conflict if it were still open elsewhere
        assert db.environment._handles == 1


def test_a_readonly_database_can_be_read_and_refuses_writes(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        zlmdb.MapStringCbor(7)[txn, "a"] = 1

    async def main(reactor: Any) -> None:
        async with await open_database(tmp_path / "db", reactor=reactor, readonly=True) as db:
            users = db.map(zlmdb.MapStringCbor(7))
            assert await users.get("a") == 1
            assert isinstance(await error_of(users.put("b", 1)), errors.ReadonlyTransaction)
            assert await db.flushed() is None  # nothing can be pending

    run(main)


def test_two_databases_on_one_file_share_it(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        first = await open_database(tmp_path / "db", reactor=reactor, sync=False)
        second = await open_database(tmp_path / "db", reactor=reactor, sync=False)
        await gatherResults(
            [db.map(zlmdb.MapStringCbor(7)).put(str(n), n) for n in range(50) for db in (first, second)]
        )
        await first.close()
        assert await second.map(zlmdb.MapStringCbor(7)).count() == 50
        await second.close()

    run(main)
