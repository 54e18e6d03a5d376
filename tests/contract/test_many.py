# SPDX-License-Identifier: MIT
"""Many records in one call: what is encoded on the writer's thread, order, errors and durability; pages."""

import threading
from typing import Any

import numpy as np
import pytest

import zlmdb
from tests.faces import Face, busy, error_of
from zlmdb import errors

MANY = 1000


def items(count: int, value: Any = 0) -> list[tuple[str, Any]]:
    return [(f"{n:06}", value) for n in range(count)]


def noting_map(threads: list[str]) -> zlmdb.Map[str, Any]:
    """Return a map that notes on which thread each value was encoded."""

    def marshal(value: Any) -> Any:
        threads.append(threading.current_thread().name)
        return value

    return zlmdb.MapStringCbor(9, marshal=marshal, unmarshal=lambda stored: stored)


def test_of_many_records_a_few_are_encoded_on_the_loops_thread(using: Any) -> None:
    async def test(db: Any, _: Any) -> None:
        threads: list[str] = []
        put = db.map(noting_map(threads)).put_many(items(MANY))
        here = threading.current_thread().name
        assert threads.count(here) == 32
        await put
        assert threads.count(here) == 32
        assert len(threads) == MANY
        assert {name.split()[0] for name in threads if name != here} == {"zlmdb-writer"}

    using(test)


@pytest.mark.parametrize("count", [0, 1, 32, 33, MANY])
def test_all_records_are_stored_and_deleted_however_many_there_are(using: Any, count: int) -> None:
    async def test(db: Any, users: Any) -> None:
        await users.put_many(iter(items(count, "x")))
        assert await users.select() == items(count, "x")
        assert await users.delete_many(key for key, _ in [*items(count), ("none", 0)]) == count
        assert await users.count() == 0

    using(test)


def test_the_order_of_calls_is_kept(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        last = f"{MANY - 1:06}"
        writes: list[Any] = [
            users.put(last, "before"),
            users.put_many(items(MANY, "many")),
            users.replace(last, "between", expected="many"),
            users.put_many(items(MANY, "again")),
            users.delete_many([key for key, _ in items(MANY)]),
            users.put(last, "after"),
        ]
        outcomes = await face.gather(writes)
        assert outcomes[2] == "many"
        assert outcomes[4] == MANY
        assert await users.select() == [(last, "after")]

    using(test)


@pytest.mark.parametrize("place", [0, 31, 32, MANY - 1])
@pytest.mark.parametrize("durability", ["commit", "queued"])
@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ((5, 0), errors.WrongType),
        (("k" * 5000, 0), errors.KeyTooLong),
        (("k", object()), errors.WrongType),
        (7, TypeError),
    ],
)
def test_bad_input_fails_what_is_awaited_wherever_it_is_and_nothing_is_written(
    face: Face, using: Any, place: int, durability: Any, bad: Any, expected: type[Exception]
) -> None:
    async def test(db: Any, users: Any) -> None:
        some = items(MANY)
        some[place] = bad
        with busy(db):
            before, wrong, after = users.put("a", 1), users.put_many(some, durability=durability), users.put("b", 2)
        assert isinstance(await error_of(wrong), expected)
        await face.gather([before, after])
        await db.flushed()
        assert await users.select() == [("a", 1), ("b", 2)]
        assert isinstance(await error_of(users.put_many(some)), expected)
        assert await users.count() == 2

    using(test)


def test_the_items_are_those_of_the_call(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        some = items(MANY)
        put = users.put_many(some)
        some.clear()
        await put
        assert await users.count() == MANY

    using(test)


def test_many_records_are_not_acknowledged_before_they_are_checked(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            few, many = users.put_many(items(32)), users.put_many(items(33))
            assert face.done(few)
            assert not face.done(many)
        await many
        error = await error_of(users.put_many(items(33), durability="soon"))
        assert isinstance(error, errors.ConfigError)

    using(test, durability="queued")


def test_many_records_weigh_in_the_queue_what_the_first_ones_do(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            one = users.put_many(items(1, b"x" * 93))
            each = db.stats().pending_bytes
            many = users.put_many(items(MANY, b"x" * 93))
            assert db.stats().pending_records == 1 + 1 + MANY
            assert db.stats().pending_bytes == (1 + MANY) * each
        await face.gather([one, many])

    using(test)


# --- pages and maps


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_go_on_behind_keys_that_may_be_read_and_not_written(using: Any, reverse: bool) -> None:
    async def test(db: Any, _: Any) -> None:
        times = zlmdb.MapTimestampString(9)

        def store(txn: zlmdb.Transaction) -> None:
            for number in (-3, -2, -1, 0, 1):
                txn.put(b"\0\x09" + (number % 2**64).to_bytes(8, "big"), b"x")

        await db.write(store)
        stored = await db.map(times).select(return_values=False, reverse=reverse)
        assert np.datetime64(-3, "ns") in stored
        assert [key async for key, _ in db.map(times).iterate(page_size=1, reverse=reverse)] == stored

    using(test)


@pytest.mark.parametrize("wrong", [5, None, "name", zlmdb.MapStringCbor])
def test_what_is_no_map_is_refused_with_a_typed_error(using: Any, wrong: Any) -> None:
    async def test(db: Any, _: Any) -> None:
        with pytest.raises(errors.WrongType, match="expected a map"):
            db.map(wrong)

    using(test)
