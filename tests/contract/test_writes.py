# SPDX-License-Identifier: MIT
"""Group commit, functions, durability, backpressure and cancelling on a real loop."""

import os
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import succeed

import zlmdb
from tests.faces import Face, busy, error_of
from zlmdb import errors
from zlmdb.testing import FakeClock


async def outcome_of(call: Any) -> Any:
    """Return what a call answers, or the error that it fails with."""
    try:
        return await call
    except errors.ZlmdbError as error:
        return error


# --- group commit


def test_a_hundred_concurrent_puts_are_one_transaction(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            puts = [users.put(str(n), n) for n in range(100)]
            assert db.stats().pending_records == 101
        await face.gather(puts)
        assert db.stats().batches == 2
        assert db.stats().largest_batch == 100

    using(test)


def test_one_failing_operation_of_a_batch_fails_alone(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        await users.put("a", 1)
        with busy(db):
            before, bad, after = users.put("b", 1), users.insert("a", 2), users.put("c", 1)
        assert await before is None
        assert isinstance(await error_of(bad), errors.KeyExists)
        assert await after is None
        assert await users.select(return_values=False) == ["a", "b", "c"]

    using(test)


def test_a_full_file_fails_the_calls_whose_records_are_not_in_it(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            puts = {f"{n:02}": users.put(f"{n:02}", os.urandom(100_000)) for n in range(20)}
        told = {key: await outcome_of(put) for key, put in puts.items()}
        full = [error for error in told.values() if error is not None]
        assert full
        assert all(isinstance(error, errors.MapFull) for error in full)
        assert await users.select(return_values=False) == [key for key, error in told.items() if error is None]
        kept.append(len(told) - len(full))

    async def with_more_room(db: Any, users: Any) -> None:
        await users.put("more", os.urandom(1_000_000))
        assert await users.count() == kept[0] + 1

    kept: list[int] = []
    using(test, maxsize=1 << 20)
    using(with_more_room, maxsize=1 << 24)


def test_operations_are_written_in_the_order_of_their_calls(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        fired: list[int] = []
        await users.put("a", -1)
        former = [users.replace("a", n) for n in range(1000)]
        for number, call in enumerate(former):
            face.when_done(call, partial(fired.append, number))
        assert await face.gather(former) == list(range(-1, 999))
        assert fired == list(range(1000))

    using(test)


# --- functions


def test_functions_run_whole_in_one_transaction_on_the_writers_thread(using: Any) -> None:
    users = zlmdb.MapStringCbor(7)

    def move(txn: zlmdb.Transaction, source: str, target: str) -> str:
        users[txn, target] = users[txn, source]
        del users[txn, source]
        return threading.current_thread().name

    def fail(txn: zlmdb.Transaction) -> None:
        users.truncate(txn)
        raise LookupError("no")

    async def test(db: Any, map_: Any) -> None:
        await map_.put("a", 1)
        assert "zlmdb-writer" in await db.write(move, "a", "b")
        assert await map_.select() == [("b", 1)]
        assert isinstance(await error_of(db.write(fail)), LookupError)
        assert await map_.select() == [("b", 1)]
        assert await db.read(lambda txn, key: users[txn, key], "b") == 1
        assert isinstance(await error_of(db.read(fail)), errors.ReadonlyTransaction)
        assert await db.write(move, "b", "c", durability="queued") is None
        await db.flushed()
        assert await map_.select() == [("c", 1)]

    using(test)


def test_functions_that_wait_for_something_are_refused_with_advice(using: Any) -> None:
    users = zlmdb.MapStringCbor(7)

    async def coroutine(txn: zlmdb.Transaction) -> None: ...

    def generator(txn: zlmdb.Transaction) -> Any:
        yield

    def hidden(txn: zlmdb.Transaction) -> Any:
        users[txn, "a"] = 1
        return coroutine(txn)

    def deferred(txn: zlmdb.Transaction) -> Any:
        users[txn, "a"] = 1
        return succeed(None)

    async def test(db: Any, map_: Any) -> None:
        for function in (coroutine, generator, hidden, deferred, "no function"):
            for call in (db.write, db.read):
                error = await error_of(call(function))
                if call == db.write or function not in (hidden, deferred):
                    assert isinstance(error, TypeError), function
                    assert "fn(txn, *args)" in str(error)
        assert await map_.count() == 0

    using(test)


def test_a_write_transaction_on_the_loops_thread_is_refused_with_advice(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with pytest.raises(errors.WrongThread, match=r"await db\.write\(fn\)"):
            db.begin(write=True)
        with db.begin() as txn:
            assert users.map[txn, "a"] is None

        def elsewhere() -> None:
            with db.begin(write=True) as txn:
                users.map[txn, "a"] = 1

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert await users.get("a") == 1

    using(test)


def test_a_loop_that_stands_still_for_the_write_lock_is_logged_as_long_as_a_handle_of_it_is_open(
    face: Face, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(open_database: Any) -> None:
        first, second = await open_database(tmp_path), await open_database(tmp_path)
        await first.close()
        with zlmdb.Database(tmp_path) as plain:
            environment, clock = plain.environment, FakeClock()
            begin, environment.clock = environment.begin_raw, clock

            def late_begin(*args: Any, **options: Any) -> Any:
                clock.advance(0.3)
                return begin(*args, **options)

            environment.begin_raw = late_begin
            with plain.begin(write=True):
                pass
            assert "the event loop stood still for 300 ms" in caplog.text
            assert "another process held" in caplog.text
            environment.begin_raw = begin
            await second.close()
            caplog.clear()
            environment.begin_raw = late_begin
            with plain.begin(write=True):
                pass
            assert caplog.text == ""

    face.run(main)


@zlmdb.table("7c1d64a5-6c8c-4b22-96a9-6a2f53ec3a10")
class Names(zlmdb.MapStringCbor): ...  # type: ignore[misc,name-defined]


class Accounts(zlmdb.Schema):
    names: Names

    def attach(self, db: zlmdb.Database) -> None:
        self.names = db.attach_table(Names)


def test_a_schema_is_attached_while_the_writer_works(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        puts = [users.put(str(n), n) for n in range(100)]
        accounts = await db.attach(Accounts)
        found = db.map(accounts.names)
        await found.put("a", "Ada")
        assert await found.get("a") == "Ada"
        await face.gather(puts)

    using(test)


# --- durability and backpressure


def test_queued_durability_answers_on_acceptance_and_flushed_waits_for_the_commit(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            put, many = users.put("a", 1), users.put_many([("b", 2)])
            assert face.done(put)
            assert face.done(many)
            assert not face.done(users.put("c", 3, durability="commit"))
            assert not face.done(users.insert("d", 4))  # it answers a question
            assert await users.get("a") is None
            flushed = db.flushed()
            assert not face.done(flushed)
        await flushed
        assert await users.select(return_keys=False) == [1, 2, 3, 4]

    using(test, durability="queued")


def test_a_lost_queued_write_is_reported_by_flushed(using: Any) -> None:
    def fail(txn: zlmdb.Transaction) -> None:
        raise LookupError("no")

    async def test(db: Any, users: Any) -> None:
        assert await db.write(fail, durability="queued") is None
        assert isinstance(await error_of(db.flushed()), errors.NotWritten)
        assert db.stats().lost == 1

    using(test)


def test_a_full_queue_makes_writes_wait(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            puts = [users.put(str(n), n, durability="queued") for n in range(5)]
            assert [face.done(put) for put in puts] == [True, True, False, False, False]
            assert db.stats().waiting == 3
        await face.gather(puts)
        await db.flushed()
        assert await users.count() == 5

    using(test, max_pending=3)


def test_a_full_queue_refuses_writes_where_it_was_told_to(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            first = users.put("a", 1)
            error = await error_of(users.put("b", 2))
            assert isinstance(error, errors.Backpressure)
            assert (error.pending, error.limit) == (2, 2)
        await first
        await users.put("b", 2)

    using(test, max_pending=2, overflow="error")


# --- cancelling


def test_a_cancelled_queued_write_never_happens(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            first, second = users.put("a", 1), users.put("b", 2)
            first.cancel()
            assert isinstance(await error_of(first), face.cancelled)
        await second
        assert await users.select() == [("b", 2)]
        assert db.stats().cancelled == 1

    using(test)


def test_a_running_write_that_is_cancelled_happens_and_is_logged(
    face: Face, using: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def test(db: Any, users: Any) -> None:
        with busy(db) as held:
            held.cancel()
            assert isinstance(await error_of(held), face.cancelled)
        await users.put("a", 1)

    using(test)
    assert "succeeded after it was cancelled" in caplog.text


def test_a_cancelled_read_is_dropped(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        release = threading.Event()
        read = db.read(lambda txn: release.wait(60))
        read.cancel()
        assert isinstance(await error_of(read), face.cancelled)
        release.set()

    using(test)


def test_a_cancelled_write_that_waits_for_room_never_happens(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            first, waiting, last = (users.put(name, 1) for name in "abc")
            assert db.stats().waiting == 2
            waiting.cancel()
            assert db.stats().waiting == 1
            assert isinstance(await error_of(waiting), face.cancelled)
        await face.gather([first, last])
        assert await users.select(return_values=False) == ["a", "c"]

    using(test, max_pending=2)
