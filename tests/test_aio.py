# SPDX-License-Identifier: MIT
"""What only asyncio has: tasks, groups, timeouts, loops that end. All else is in ``tests/contract``."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.faces import FACES, busy, database_threads, error_of, join_threads
from zlmdb import errors
from zlmdb.aio import AsyncDatabase, AsyncMap, open_database
from zlmdb.testing.loops import PATIENCE, run_asyncio

using = FACES["asyncio"].using


def test_writes_are_submitted_when_they_are_called_and_need_not_be_awaited(tmp_path: Path) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        with busy(db):
            users.put("a", 1)
            users.put("b", 2)
            assert db.stats().pending_records == 3
        await db.flushed()
        assert await users.select() == [("a", 1), ("b", 2)]

    using(tmp_path / "db", test)


def test_results_are_gathered_with_their_errors(tmp_path: Path) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        await users.put("a", 1)
        calls = [users.get("a"), users.insert("a", 2), users.put("b", 3), users.select(return_values=False)]
        one, exists, nothing, _ = await asyncio.gather(*calls, return_exceptions=True)
        assert (one, nothing) == (1, None)
        assert isinstance(exists, errors.KeyExists)

    using(tmp_path / "db", test)


def test_a_timeout_takes_a_queued_write_back(tmp_path: Path) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        with busy(db):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await users.put("a", 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(users.put("b", 1), 0)
            assert db.stats().pending_records == 1
        assert await users.count() == 0
        assert db.stats().cancelled == 2

    using(tmp_path / "db", test)


def test_a_write_is_taken_back_as_soon_as_it_is_cancelled(tmp_path: Path) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        with busy(db):
            put = users.put("a", 1)
            assert put.cancel("not any more")
            assert db.stats().cancelled == 1  # before the loop has had a turn
            assert not put.cancel()
            shielded = users.put("b", 1)
            waiting = asyncio.ensure_future(asyncio.shield(shielded))
            waiting.cancel()
            assert isinstance(await error_of(waiting), asyncio.CancelledError)
        await shielded
        assert await users.select() == [("b", 1)]

    using(tmp_path / "db", test)


def test_a_task_group_that_fails_takes_back_what_its_tasks_wait_for(tmp_path: Path) -> None:
    async def store(users: AsyncMap[str, Any]) -> None:
        await users.put("a", 1)

    async def fail() -> None:
        raise LookupError

    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        with busy(db), pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(store(users))
                tasks.create_task(fail())
        async with asyncio.TaskGroup() as tasks:
            for key in "bcd":
                tasks.create_task(store_one(users, key))
        assert await users.select(return_values=False) == ["b", "c", "d"]

    async def store_one(users: AsyncMap[str, Any], key: str) -> None:
        await users.put(key, 1)

    using(tmp_path / "db", test)


def test_an_exception_in_a_callback_does_not_stop_the_writer(tmp_path: Path) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        with busy(db):
            users.put("a", 1).add_done_callback(lambda _: 1 / 0)
            good = users.put("b", 1)
        await good
        await users.put("c", 1)
        assert await users.count() == 3
        assert [type(error) for error in told] == [ZeroDivisionError]

    using(tmp_path / "db", test)


def test_a_failure_that_nobody_looks_at_is_reported_by_the_loop(tmp_path: Path) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[Any, Any]) -> None:
        users.put(object(), 1)

    with pytest.raises(AssertionError, match="never retrieved"):
        using(tmp_path / "db", test)


def test_a_function_that_raises_stop_iteration_fails_like_any_other(tmp_path: Path) -> None:
    def exhausted(txn: zlmdb.Transaction) -> int:
        return next(iter(()))

    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        for call in (db.write(exhausted), db.read(exhausted)):
            error = await error_of(call)
            assert isinstance(error, RuntimeError)
            assert isinstance(error.__cause__, StopIteration)

    using(tmp_path / "db", test)


# --- loops


def test_without_a_running_loop_nothing_is_opened(tmp_path: Path) -> None:
    with pytest.raises(errors.WrongThread, match=r"asyncio\.run"):
        open_database(tmp_path / "db")
    assert not (tmp_path / "db").exists()


def test_a_loop_may_stop_and_run_again(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    try:

        async def begin() -> AsyncDatabase:
            return await open_database(tmp_path / "db", sync=False)

        db = loop.run_until_complete(begin())
        users = db.map(zlmdb.MapStringCbor(7))
        put = users.put("a", 1)  # while the loop does not run
        assert loop.run_until_complete(users.contains("b")) is False
        loop.run_until_complete(put)
        assert loop.run_until_complete(users.get("a")) == 1
        loop.run_until_complete(db.close())
    finally:
        loop.close()
    for call in (lambda: users.get("a"), lambda: users.put("a", 1), db.flushed, db.close):
        with pytest.raises(errors.WrongThread, match="after its event loop was closed"):
            call()


def test_another_loop_is_refused_with_advice(tmp_path: Path) -> None:
    first = asyncio.new_event_loop()

    async def begin() -> AsyncDatabase:
        return await open_database(tmp_path / "db", sync=False)

    db = first.run_until_complete(begin())

    async def main() -> None:
        users = db.map(zlmdb.MapStringCbor(7))
        for call in (lambda: users.get("a"), lambda: users.put("a", 1), lambda: db.read(lambda txn: 1), db.close):
            with pytest.raises(errors.WrongThread, match="open a database in each loop"):
                call()
        async with open_database(tmp_path / "db", sync=False) as own:  # as it says
            await own.map(zlmdb.MapStringCbor(7)).put("a", 1)

    run_asyncio(main)
    assert first.run_until_complete(db.map(zlmdb.MapStringCbor(7)).get("a")) == 1
    first.run_until_complete(db.close())
    first.close()


def test_a_loop_that_ends_while_the_database_is_opened_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()

    def open_late(path: str, **options: Any) -> zlmdb.Database:
        ended.wait(PATIENCE)
        return zlmdb.Database(path, **options)

    async def begin() -> None:
        open_database(tmp_path / "db")

    monkeypatch.setattr("zlmdb.workers.engine.Database", open_late)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()
    ended.set()
    join_threads()
    assert "the event loop ended while the database was opened" in caplog.text
    assert database_threads() == []
    with zlmdb.Database(tmp_path / "db") as db:
        assert db.environment._handles == 1


def test_the_face_imports_no_twisted() -> None:
    code = "import sys, zlmdb.aio; print([m for m in ('twisted', 'zope', 'txaio', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
