# SPDX-License-Identifier: MIT
"""Writes to several maps that are made together or not at all."""

from typing import Any

import pytest

import zlmdb
from tests.faces import busy, error_of
from zlmdb import errors

NAMES = zlmdb.MapStringString(8)


def test_the_writes_of_a_batch_are_made_together_at_the_end_of_the_block(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        await users.put("a", 1)
        batches = db.stats().batches
        async with db.batch() as batch:
            value = [2]
            batch.put(users, "b", value)
            value.append(3)  # it is encoded already
            batch.pop(users, "a")
            batch.put(NAMES, "b", "Bob")  # a map, or its asynchronous form
            assert await users.select() == [("a", 1)]
        assert batch.results == [None, 1, None], batch.results
        assert db.stats().batches == batches + 1
        assert await users.select() == [("b", [2])]
        assert await db.map(NAMES).get("b") == "Bob"

    using(test)


def test_a_batch_that_fails_leaves_nothing_of_it(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        await users.put("a", 1)
        with pytest.raises(errors.KeyExists):
            async with db.batch() as batch:
                batch.put(NAMES, "b", "Bob")
                batch.insert(users, "a", 2)
        with pytest.raises(errors.WrongType):
            async with db.batch() as batch:
                batch.put(NAMES, "b", "Bob")
                batch.put(users, 5, 5)
        with pytest.raises(LookupError):
            async with db.batch() as batch:
                batch.put(NAMES, "b", "Bob")
                raise LookupError
        assert await users.select() == [("a", 1)]
        assert await db.map(NAMES).count() == 0
        with pytest.raises(errors.TransactionFinished):
            batch.put(users, "late", 1)

    using(test)


def test_a_batch_may_be_answered_on_acceptance_and_fails_after_closing(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        async with db.batch(durability="queued") as batch:
            batch.put(users, "a", 1)
        assert batch.results is None
        await db.flushed()
        assert await users.get("a") == 1
        await db.close()

        async def late() -> None:
            async with db.batch() as batch:
                batch.put(users, "b", 1)

        assert isinstance(await error_of(late()), errors.DatabaseClosed)

    using(test)


def test_a_batch_that_is_refused_takes_nothing_more(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            users.put("a", 1)
            batch = db.batch()
            with pytest.raises(errors.Backpressure):
                async with batch:
                    batch.put(users, "b", 2)
                    batch.put(users, "c", 3)
            with pytest.raises(errors.TransactionFinished):
                batch.put(users, "d", 4)
        await db.flushed()
        assert await users.select() == [("a", 1)]

    using(test, max_pending=2, overflow="error")
