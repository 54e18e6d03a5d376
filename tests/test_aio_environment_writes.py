# SPDX-License-Identifier: MIT
"""Environments of named databases: the writer, closing, transactions and ranges over them, on both loops."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import environments
from tests.environments import LOOPS, busy
from tests.faces import FACES, error_of
from zlmdb import errors
from zlmdb.aio import BoundDatabase, Coder, JSONCoder, StringCoder, UInt16Coder, UInt64Coder


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def using(loop: str, tmp_path: Path) -> Any:
    """Run ``test(env)`` with an open environment."""
    return partial(environments.using, loop, tmp_path / "env")


# --- the writer


def test_concurrent_writes_are_one_transaction_in_the_order_of_the_calls(using: Any) -> None:
    async def test(env: Any) -> None:
        db, other = env.open_db("records", value_coder=JSONCoder()), env.open_db("others", value_coder=JSONCoder())
        await db.put(b"k", -1)
        before = env.stats().batches
        with busy(env):
            calls = [(db if number % 3 else other).replace(b"k", number) for number in range(100)]
            assert env.stats().pending_records == 101
        replaced = [await call for call in calls]
        numbers = [number for number in range(100) if number % 3]
        assert [replaced[number] for number in numbers] == [-1, *numbers[:-1]]
        assert env.stats().batches == before + 2  # with that of `busy`
        assert env.stats().largest_batch == 100

    using(test)


def test_a_full_queue_refuses_what_is_beyond_it(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        with busy(env):
            first, second = db.put(b"a", b"x"), db.put(b"b", b"x")
            large = db.put_multi([(b"c", b"x"), (b"d", b"x")])
            assert isinstance(await error_of(large), errors.Backpressure)
        assert await first is await second is True

    using(test, max_pending=3, overflow="error")


def test_cancelling_takes_a_queued_write_back(using: Any, loop: str) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        with busy(env):
            put, kept = db.put(b"a", b"1"), db.put(b"b", b"2")
            put.cancel()
            assert env.stats().cancelled == 1
        assert isinstance(await error_of(put), FACES[loop].cancelled)
        await kept
        assert await db.select() == [(b"b", b"2")]

    using(test)


def test_closing_writes_what_was_asked_for_and_then_takes_nothing(loop: str, tmp_path: Path) -> None:
    async def main(open_: Any) -> None:
        env = await open_(tmp_path / "env", sync=False)
        db = env.open_db("records")
        with busy(env):
            put = db.put(b"a", b"1")
            closing = env.close()
            refused = [db.put(b"b", b"2"), db.get(b"a"), env.stat(), env.sync(), env.run(len), db.select()]
            for call in refused:
                assert isinstance(await error_of(call), errors.DatabaseClosed)
        assert await put is True
        assert await closing == await env.close() == 0
        async with open_(tmp_path / "env", sync=False) as again:
            assert await again.open_db("records").get(b"a") == b"1"

    LOOPS[loop](main)


def test_a_deadline_of_closing_gives_up_what_is_not_written(loop: str, tmp_path: Path) -> None:
    async def main(open_: Any) -> None:
        env = await open_(tmp_path / "env", sync=False)
        with busy(env):
            put = env.open_db("records").put(b"a", b"1")
            closing = env.close(deadline=0)
            assert isinstance(await error_of(put), errors.NotWritten)
        assert await closing == 1

    LOOPS[loop](main)


def test_calls_from_another_thread_are_refused(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        told: list[BaseException] = []

        def elsewhere() -> None:
            batch = env.batch()
            for call in (
                lambda: db.get(b"k"),
                lambda: db.put(b"k", b"1"),
                lambda: env.run(len),
                batch.submit,
                env.close,
            ):
                try:
                    call()
                except errors.WrongThread as error:
                    told.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert len(told) == 5

    using(test)


# --- transactions over several databases


def test_a_function_works_on_several_databases_at_once(using: Any) -> None:
    async def test(env: Any) -> None:
        accounts = env.open_db("accounts", StringCoder(), JSONCoder())
        log = env.open_db("log", UInt64Coder(), StringCoder())
        await accounts.put_multi([("a", 10), ("b", 0)])

        def move(txn: Any, amount: int) -> int:
            left = txn[accounts].get("a") - amount
            txn[accounts].put("a", left)
            txn[accounts].put("b", txn[accounts].get("b") + amount)
            txn[log].put(txn[log].stat()["entries"], f"moved {amount}")
            if left < 0:
                raise ValueError(left)
            return left

        assert await env.run(move, 7, write=True) == 3
        assert isinstance(await error_of(env.run(move, 7, write=True)), ValueError)
        total = await env.run(lambda txn: [dict(txn[accounts].select()), list(txn[log].select())])
        assert total == [{"a": 3, "b": 7}, [(0, "moved 7")]]

    using(test)


def test_a_function_on_one_database_is_given_that(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records", StringCoder(), JSONCoder())

        def count(records: BoundDatabase[str, Any], key: str) -> Any:
            records.replace(key, records.get(key, 0) + 1)
            return records.get(key)

        assert [await db.run(count, "a", write=True) for _ in range(3)] == [1, 2, 3]
        assert isinstance(await error_of(db.run(count, "a")), errors.ReadonlyTransaction)

    using(test)


async def coroutine(txn: Any) -> None: ...


def generator(txn: Any) -> Iterator[int]:
    yield 1


def test_functions_that_cannot_run_at_one_go_are_refused(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        await db.put(b"k", b"1")
        for write in (False, True):
            for function in (coroutine, generator, None, lambda txn: coroutine(txn)):
                assert isinstance(await error_of(env.run(function, write=write)), errors.WrongType)
            assert isinstance(await error_of(db.run(lambda records: records.select(), write=write)), errors.WrongType)
            kept = await db.run(lambda records: [records], write=write)
            with pytest.raises(errors.TransactionFinished):
                kept[0].get(b"k")

    using(test)


def test_a_database_of_another_environment_is_refused(loop: str, tmp_path: Path) -> None:
    async def main(open_: Any) -> None:
        async with open_(tmp_path / "one") as one, open_(tmp_path / "two") as two:
            for other in (two.open_db("records"), "records", None):
                error = await error_of(one.run(lambda txn, other: txn[other].get(b"k"), other))
                assert isinstance(error, errors.WrongDatabase)

    LOOPS[loop](main)


def test_a_batch_is_written_whole_or_not_at_all(using: Any) -> None:
    async def test(env: Any) -> None:
        users, index = env.open_db("users", UInt16Coder(), JSONCoder()), env.open_db("index", StringCoder())
        async with env.batch() as batch:
            batch.put(users, 1, {"name": "a"})
            batch.put(index, "a", b"1")
            batch.replace(index, "a", b"2")
            batch.put(index, "a", b"3", overwrite=False)
            batch.delete(users, 2)
            assert env.stats().pending_records == 0
        assert batch.results == [True, True, b"1", False, False]
        failing = env.batch()
        failing.pop(users, 1)
        failing.drop(index)
        failing.put(users, 70_000, {})
        assert isinstance(await error_of(failing.submit()), errors.WrongValue)
        assert (await users.select(), await index.select()) == ([(1, {"name": "a"})], [("a", b"2")])
        with pytest.raises(errors.TransactionFinished):
            failing.put(users, 1, {})

    using(test)


def test_an_exception_that_leaves_a_batch_discards_it(using: Any) -> None:
    async def test(env: Any) -> None:
        users = env.open_db("users")
        with pytest.raises(LookupError):
            async with env.batch() as batch:
                batch.put(users, b"a", b"1")
                raise LookupError
        assert await users.select() == []
        with pytest.raises(errors.TransactionFinished):
            batch.delete(users, b"a")

    using(test)


# --- ranges


def test_a_range_is_iterated_in_pages_without_a_transaction_between_them(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records", UInt16Coder(), UInt16Coder())
        await db.put_multi([(number, number) for number in range(100)])
        for reverse in (False, True):
            seen = []
            async for key, _ in db.iterate(10, 90, reverse=reverse, page_size=7):
                assert await db.run(lambda records: records.get(0)) == 0
                assert env._access.handle.transactions() == []
                seen.append(key)
            assert seen == sorted(range(10, 90), reverse=reverse)

    using(test)


def test_records_may_change_while_they_are_iterated(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records", UInt16Coder(), UInt16Coder())
        await db.put_multi([(number, number) for number in range(20)])
        seen = []
        async for key, _ in db.iterate(page_size=4):
            seen.append(key)
            await db.delete(key)
            await db.put(key + 1000, 0) if key < 20 else None
        assert seen == [*range(20), *range(1000, 1020)]

    using(test)


def test_pages_of_large_values_are_small(using: Any) -> None:
    async def test(env: Any) -> None:
        class Sizes(Coder[int]):
            reads = 0

            def serialize(self, obj: int) -> bytes:
                return bytes(obj)

            def deserialize(self, buffer: memoryview) -> int:
                self.reads += 1
                return len(buffer)

        coder = Sizes()
        db = env.open_db("records", UInt16Coder(), coder)
        await db.put_multi([(number, 1 << 20) for number in range(4)])
        async for _ in db.iterate():
            assert coder.reads == 1
            break

    using(test)


def test_a_limit_that_is_none_is_refused(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        await db.put(b"k", b"v")
        for limit in (-1, True, "1", 1.0):
            assert isinstance(await error_of(db.select(limit=limit)), errors.WrongValue)
        for page_size in (0, True, None):
            with pytest.raises(errors.ConfigError):
                async for _ in db.iterate(page_size=page_size):
                    pass
        assert await db.select(limit=0) == []

    using(test)


# --- the environment


def test_an_environment_is_copied_and_tells_its_figures(using: Any, loop: str, tmp_path: Path) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        await db.put(b"k", b"v")
        assert await env.sync() is None
        assert (await env.stat())["entries"] == 1
        assert (await db.stat())["entries"] == 1
        assert set(await env.info()) >= {"map_size", "last_txnid"}
        assert not set(await env.stat()) & set(await env.info())
        for compact in (False, True):
            assert await env.copy(tmp_path / f"copy {compact}", compact=compact) > 0
            assert isinstance(await error_of(env.copy(tmp_path / f"copy {compact}")), errors.TargetExists)

    async def test_copy(env: Any) -> None:
        assert await env.names() == [b"records"]
        assert await env.open_db("records").select() == [(b"k", b"v")]

    using(test)
    for compact in (False, True):
        environments.using(loop, tmp_path / f"copy {compact}", test_copy)


def test_options_that_are_wrong_fail_the_opening(loop: str, tmp_path: Path) -> None:
    async def main(open_: Any) -> None:
        for options in ({"max_dbs": 0}, {"max_dbs": "8"}, {"maxsize": 1}, {"overflow": "drop"}, {"lib_version": "2"}):
            assert isinstance(await error_of(open_(tmp_path / "env", **options)), errors.ConfigError)
        for options in ({"readonly": True}, {"create": False}):
            assert isinstance(await error_of(open_(tmp_path / "env", **options)), errors.DatabaseMissing)

    LOOPS[loop](main)
    assert not (tmp_path / "env").exists()


def test_two_environments_on_one_file_see_each_others_records(using: Any, loop: str, tmp_path: Path) -> None:
    async def main(open_: Any) -> None:
        async with open_(tmp_path / "env") as one, open_(tmp_path / "env") as two:
            await one.open_db("records").put(b"k", b"v")
            assert await two.open_db("records").get(b"k") == b"v"
            await two.open_db("others").put(b"k", b"w")
            assert await one.open_db("others").pop(b"k") == b"w"
            error = await error_of(open_(tmp_path / "env", max_dbs=3))
            assert isinstance(error, errors.OptionsConflict)

    LOOPS[loop](main)
