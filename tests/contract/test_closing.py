# SPDX-License-Identifier: MIT
"""Opening and closing a database on a real loop."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.faces import Face, busy, database_threads, error_of, join_threads
from zlmdb import errors


def test_closing_writes_everything_and_leaves_no_thread(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        db = await open_database(tmp_path / "db", max_pending=10)
        users = db.map(zlmdb.MapStringCbor(7))
        with busy(db):
            puts = [users.put(str(n), n) for n in range(100)]
            reads = [users.select() for _ in range(20)]
            first, second = db.close(), db.close()
            assert isinstance(await error_of(users.put("late", 1)), errors.DatabaseClosed)
        assert await face.gather(puts) == [None] * 100
        await face.gather(reads)
        assert (await first, await second, await db.close()) == (0, 0, 0)
        assert database_threads() == []
        assert not db.database.is_open

    face.run(main)
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        assert zlmdb.MapStringCbor(7).count(txn) == 100


def test_use_after_closing_fails(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        async with open_database(tmp_path / "db") as db:
            users = db.map(zlmdb.MapStringCbor(7))
        calls: list[Any] = [
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

    face.run(main)


def test_after_the_deadline_of_closing_what_is_left_fails_and_is_counted(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        db = await open_database(tmp_path / "db")
        users = db.map(zlmdb.MapStringCbor(7))
        with busy(db) as held:
            puts = [users.put(str(n), n) for n in range(10)]
            closing = db.close(deadline=0)
            for put in puts:
                assert isinstance(await error_of(put), errors.NotWritten)
            assert not face.done(closing)  # the batch that is being written is finished
        assert await held == "held"
        assert await closing == 10
        assert database_threads() == []

    face.run(main)


def test_after_the_deadline_closing_does_not_wait_for_a_lock_held_elsewhere(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        db = await open_database(tmp_path / "db")
        users = db.map(zlmdb.MapStringCbor(7))
        with zlmdb.Database(tmp_path / "db") as other, other.begin(write=True):
            put = users.put("a", 1)
            assert await db.close(deadline=0.01) == 1
            assert isinstance(await error_of(put), errors.NotWritten)
        writer = [thread for thread in threading.enumerate() if "zlmdb-writer" in thread.name]
        for thread in writer:
            thread.join(60)
        assert not db.database.is_open

    face.run(main)


def test_after_the_deadline_closing_does_not_wait_for_reads_and_the_file_is_closed_behind_them(
    face: Face, tmp_path: Path
) -> None:
    async def main(open_database: Any) -> None:
        db = await open_database(tmp_path / "db")
        running, release = threading.Event(), threading.Event()
        read = db.read(lambda txn: (running.set(), release.wait(60))[1])
        running.wait(60)
        assert await db.close(deadline=0) == 0
        assert db.database.is_open  # a transaction lives in it
        release.set()
        assert await read is True
        join_threads()
        assert not db.database.is_open

    face.run(main)


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
def test_what_cannot_be_opened_fails_what_is_awaited_and_leaves_no_thread(
    face: Face, tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    async def main(open_database: Any) -> None:
        assert isinstance(await error_of(open_database(tmp_path / "db", **options)), error)

    face.run(main)
    join_threads()
    assert database_threads() == []


def test_cancelling_the_opening_closes_what_was_opened(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        opening = open_database(tmp_path / "db")
        opening.cancel()
        assert isinstance(await error_of(opening), face.cancelled)
        again = await open_database(tmp_path / "other")
        await again.close()

    face.run(main)
    join_threads()
    with zlmdb.Database(tmp_path / "db", lib_version="1.0") as db:  # would conflict if it were still open elsewhere
        assert db.environment._handles == 1


def test_a_readonly_database_can_be_read_and_refuses_writes(face: Face, tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        zlmdb.MapStringCbor(7)[txn, "a"] = 1

    async def main(open_database: Any) -> None:
        async with open_database(tmp_path / "db", readonly=True) as db:
            users = db.map(zlmdb.MapStringCbor(7))
            assert await users.get("a") == 1
            assert isinstance(await error_of(users.put("b", 1)), errors.ReadonlyTransaction)
            assert await db.flushed() is None  # nothing can be pending

    face.run(main)


def test_two_databases_on_one_file_share_it(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        first = await open_database(tmp_path / "db", sync=False)
        second = await open_database(tmp_path / "db", sync=False)
        await face.gather([db.map(zlmdb.MapStringCbor(7)).put(str(n), n) for n in range(50) for db in (first, second)])
        await first.close()
        assert await second.map(zlmdb.MapStringCbor(7)).count() == 50
        await second.close()

    face.run(main)


# --- blocks, deadlines, threads


def test_the_block_closes_the_database_also_after_an_error(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        with pytest.raises(LookupError):
            async with open_database(tmp_path / "db") as db:
                users = db.map(zlmdb.MapStringCbor(7))
                put = users.put("a", 1)
                raise LookupError
        assert face.done(put)
        async with await open_database(tmp_path / "db") as again:
            assert await again.map(zlmdb.MapStringCbor(7)).get("a") == 1
        assert not db.database.is_open

    face.run(main)


@pytest.mark.parametrize("deadline", [-1, "soon", True, float("nan")])
def test_a_deadline_that_is_no_time_is_refused_and_nothing_is_closed(
    face: Face, tmp_path: Path, deadline: object
) -> None:
    async def main(open_database: Any) -> None:
        async with open_database(tmp_path / "db") as db:
            assert isinstance(await error_of(db.close(deadline=deadline)), errors.ConfigError)
            await db.map(zlmdb.MapStringCbor(7)).put("a", 1)

    face.run(main)


def test_cancelling_a_close_stops_nothing(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        db = await open_database(tmp_path / "db")
        users = db.map(zlmdb.MapStringCbor(7))
        with busy(db):
            put = users.put("a", 1)
            closing = db.close()
            closing.cancel()
            assert isinstance(await error_of(closing), face.cancelled)
        assert await db.close() == 0
        assert face.done(put)
        assert database_threads() == []

    face.run(main)


def test_on_another_thread_every_call_is_refused_with_advice(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        async with open_database(tmp_path / "db") as db:
            users = db.map(zlmdb.MapStringCbor(7))
            calls: list[Callable[[], Any]] = [
                lambda: users.get("a"),
                lambda: users.put("a", 1),
                lambda: users.select(),
                lambda: db.read(lambda txn: 1),
                lambda: db.write(lambda txn: 1),
                lambda: db.flushed(),
                lambda: db.close(),
            ]
            refusals: list[BaseException] = []

            def elsewhere(txn: zlmdb.Transaction) -> None:
                for call in calls:
                    with pytest.raises(errors.WrongThread, match="Next: ") as caught:
                        call()
                    refusals.append(caught.value)
                with db.begin():  # and so are its statistics
                    assert db.stats().pending_records == 0

            await db.read(elsewhere)
            assert len(refusals) == len(calls)
            assert await users.count() == 0

    face.run(main)


def test_a_backup_is_made_while_the_database_is_in_use(face: Face, tmp_path: Path) -> None:
    async def main(open_database: Any) -> None:
        async with open_database(tmp_path / "db") as db:
            users = db.map(zlmdb.MapStringCbor(7))
            await users.put("a", 1)
            with busy(db):
                put = users.put("b", 1)
                assert await db.backup(tmp_path / "copy") > 0
            await put
            assert isinstance(await error_of(db.backup(tmp_path / "copy")), errors.TargetExists)
        async with open_database(tmp_path / "copy") as copy:
            assert await copy.map(zlmdb.MapStringCbor(7)).select() == [("a", 1)]

    face.run(main)
