# SPDX-License-Identifier: MIT
"""Records and ranges through Deferreds, on a real reactor."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from twisted.internet.defer import Deferred, inlineCallbacks

import zlmdb
from tests.reactor_bench import busy, error_of, in_folder, thread_names
from zlmdb import errors
from zlmdb.twisted import AsyncDatabase, AsyncMap


@pytest.fixture
def using(tmp_path: Path) -> Any:
    """Run a test with an open database."""
    return in_folder(tmp_path / "db")


# --- single records


def test_what_was_put_is_there_when_the_deferred_fires(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        assert await users.get("a") is None
        assert await users.contains("a") is False
        assert await users.put("a", {"name": "Ada"}) is None
        assert await users.get("a") == {"name": "Ada"}
        assert await users.contains("a") is True
        for falsy in (0, "", b"", [], {}):
            await users.put("", falsy)
            assert await users.get("") == falsy

    using(test)


def test_writes_answer_what_their_synchronous_forms_answer(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        await users.insert("a", 1)
        assert isinstance(await error_of(users.insert("a", 2)), errors.KeyExists)
        assert await users.replace("a", 2) == 1
        assert await users.replace("a", 3, expected=2) == 2
        assert isinstance(await error_of(users.replace("a", 4, expected=2)), errors.RecordChanged)
        assert isinstance(await error_of(users.replace("none", 1)), errors.RecordMissing)
        assert await users.pop("a") == 3
        assert await users.pop("a") is None
        await users.put("b", None)
        assert await users.delete("b") is True
        assert await users.delete("b") is False

    using(test)


def test_callbacks_and_inline_callbacks_work_as_with_any_deferred(using: Any) -> None:
    @inlineCallbacks
    def generator(users: AsyncMap[str, int]) -> Any:
        yield users.put("a", 1)
        return (yield users.get("a"))

    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        assert await generator(users) == 1
        assert await users.put("b", 2).addCallback(lambda _: users.get("b")) == 2

    using(test)


def test_bad_input_fails_the_deferred_and_nothing_raises(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[Any, Any]) -> None:
        bad = object()
        calls: list[Deferred[Any]] = [
            users.get(bad),
            users.contains(bad),
            users.put(bad, 1),
            users.put("a", bad),
            users.put_many([("a", 1), (bad, 1)]),
            users.insert(bad, 1),
            users.replace(bad, 1),
            users.pop(bad),
            users.delete(bad),
            users.delete_many([bad]),
            users.get_many([bad]),
            users.select(bad),
            users.select(limit=-1),
            users.put("a", 1, durability="never"),  # type: ignore[arg-type]
        ]
        assert all(isinstance(error, errors.ZlmdbError) for error in [await error_of(call) for call in calls])
        too_long = await error_of(users.put("k" * 2000, 1))
        assert isinstance(too_long, errors.KeyTooLong)
        assert await users.count() == 0

    using(test)


def test_a_value_changed_after_put_is_stored_as_it_was(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        with busy(db):
            value = [1]
            put = users.put("a", value)
            value.append(2)
        await put
        assert await users.get("a") == [1]

    using(test)


def test_reads_can_be_moved_to_threads(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        await users.put("a", 1)
        read = users.get("a")
        assert not read.called
        assert await read == 1
        assert any("zlmdb-reader" in name for name in thread_names())

    using(test, reads="thread")


def test_single_reads_are_answered_at_once(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        await users.put("a", 1)
        assert users.get("a").called
        assert users.contains("a").called
        assert users.get_many(["a", "b"]).called

    using(test)


# --- many records and ranges


def test_many_records_are_written_all_or_none(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        await users.put_many((f"{n:03}", n) for n in range(300))
        assert await users.get_many(["001", "none", "002"]) == [1, None, 2]
        assert await users.get_many([f"{n:03}" for n in range(300)]) == list(range(300))
        assert await users.delete_many(["000", "none", "001"]) == 2
        assert await users.count() == 298
        assert await users.count(prefix="01") == 10
        assert await users.truncate() == 298
        assert await users.count() == 0

    using(test)


def test_select_gives_lists(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        await users.put_many([("a", 1), ("b", 2), ("ba", 3), ("c", 4)])
        assert await users.select("b", "c") == [("b", 2), ("ba", 3)]
        assert await users.select(prefix="b", reverse=True) == [("ba", 3), ("b", 2)]
        assert await users.select(limit=2, return_values=False) == ["a", "b"]
        assert await users.select(from_key="c", return_keys=False) == [4]

    using(test)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bounds", [{}, {"from_key": "k03"}, {"to_key": "k17"}, {"prefix": "k1"}, {"prefix": "none"}])
@pytest.mark.parametrize("page_size", [1, 3, 10, 100])
def test_pages_give_what_select_gives(using: Any, bounds: Any, reverse: bool, page_size: int) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        await users.put_many([(f"k{n:02}", n) for n in range(20)])
        paged = [row async for row in users.iterate(**bounds, reverse=reverse, page_size=page_size)]
        assert paged == await users.select(**bounds, reverse=reverse)

    using(test)


@pytest.mark.parametrize("reverse", [False, True])
def test_between_pages_nothing_is_held_and_records_may_come_and_go(using: Any, reverse: bool) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        await users.put_many([(f"{n:02}", n) for n in range(20)])
        seen = []
        async for key, _ in users.iterate(page_size=4, reverse=reverse):
            assert not db.database.environment.active
            seen.append(key)
            await users.delete(key)
            await users.put(key + "-behind" if not reverse else key + "-before", 0)
        kept = [key for key in seen if "-" not in key]
        assert kept == sorted((f"{n:02}" for n in range(20)), reverse=reverse)
        assert len(seen) == len(set(seen))

    using(test)


def test_a_page_size_that_cannot_be_is_refused(using: Any) -> None:
    async def test(db: AsyncDatabase, users: AsyncMap[str, Any]) -> None:
        with pytest.raises(errors.ConfigError, match="page_size"):
            [row async for row in users.iterate(page_size=0)]

    using(test)


def test_a_set_valued_map_gives_plain_sets(using: Any) -> None:
    async def test(db: AsyncDatabase, _: Any) -> None:
        tags = db.map(zlmdb.MapUuidUuidSet(9))
        a, b, x, y = (UUID(int=n) for n in range(1, 5))
        await tags.put(a, {x, y})
        assert await tags.get(a) == {x, y}
        assert await tags.get_many([a, b]) == [{x, y}, set()]
        assert await tags.select() == [(a, {x, y})]
        assert await tags.select(return_keys=False) == [{x, y}]
        assert [row async for row in tags.iterate(page_size=1)] == [(a, {x, y})]
        assert await tags.delete(a) is True

    using(test)
