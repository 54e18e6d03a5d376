# SPDX-License-Identifier: MIT
"""Records and ranges on a real loop."""

from typing import Any
from uuid import UUID

import pytest

import zlmdb
from tests.faces import Face, busy, database_threads, error_of
from zlmdb import errors

# --- single records


def test_what_was_put_is_there_when_it_is_answered(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        assert await users.get("a") is None
        assert await users.contains("a") is False
        assert await users.put("a", {"name": "Ada"}) is None
        assert await users.get("a") == {"name": "Ada"}
        assert await users.contains("a") is True
        for falsy in (0, "", b"", [], {}):
            await users.put("", falsy)
            assert await users.get("") == falsy

    using(test)


def test_a_map_that_plans_puts_in_its_own_way_is_asked_for_each(using: Any) -> None:
    class Upper(zlmdb.MapStringCbor):
        def plan_put(self, key: str, value: Any, max_key_size: int) -> Any:
            return super().plan_put(key.upper(), value, max_key_size)

    async def test(db: Any, users: Any) -> None:
        upper = db.map(Upper(8))
        await upper.put("a", 1)
        await upper.put_many([("b", 2)])
        assert await upper.select() == [("A", 1), ("B", 2)]

    using(test)


def test_an_index_that_is_attached_later_is_kept_by_puts(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        by_name = zlmdb.MapStringString(9)
        await users.put("a", {"name": "Ada"})
        users.map.attach_index("name", by_name, lambda value: value["name"])
        await users.put("b", {"name": "Bob"})
        assert await db.map(by_name).select() == [("Bob", "b")]

    using(test)


def test_writes_answer_what_their_synchronous_forms_answer(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
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


def test_bad_input_fails_what_is_awaited_and_nothing_raises(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        bad = object()
        calls: list[Any] = [
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
            users.get_many(5),
            users.put_many(5),
            users.page(bad),
            users.page(limit=0),
            users.page(after="no token"),
            users.count(prefix=bad),
            users.select(bad),
            users.select(limit=-1),
            users.put("a", 1, durability="never"),  # type: ignore[arg-type]
        ]
        for call in calls:
            assert isinstance(await error_of(call), errors.ZlmdbError | TypeError)
        too_long = await error_of(users.put("k" * 2000, 1))
        assert isinstance(too_long, errors.KeyTooLong)
        assert await users.count() == 0

    using(test)


def test_a_value_changed_after_put_is_stored_as_it_was(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with busy(db):
            value = [1]
            put = users.put("a", value)
            value.append(2)
        await put
        assert await users.get("a") == [1]

    using(test)


def test_reads_can_be_moved_to_threads(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        await users.put("a", 1)
        read = users.get("a")
        assert not face.done(read)
        assert await read == 1
        assert any("zlmdb-reader" in thread.name for thread in database_threads())

    using(test, reads="thread")


def test_single_reads_are_answered_at_once(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        await users.put("a", 1)
        assert face.done(users.get("a"))
        assert face.done(users.contains("a"))
        assert face.done(users.get_many(["a", "b"]))

    using(test)


def test_what_takes_long_to_read_is_read_on_a_thread(face: Face, using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        sets = db.map(zlmdb.MapUuidUuidSet(9))
        large, small, owner, other = b"x" * (1 << 20), b"x" * 1000, UUID(int=1), UUID(int=2)
        members = {UUID(int=number) for number in range(1000)}
        await users.put("large", large)
        await users.put("small", small)
        await sets.put(owner, members)
        await sets.put(other, {owner})
        for begin, wanted, value in (
            (users.get, "large", large),
            (users.get_many, ["small", "large"], [small, large]),
            (sets.get, owner, members),
            (sets.get_many, [other, owner], [{owner}, members]),
        ):
            read = begin(wanted)
            assert not face.done(read)
            assert await read == value
        assert face.done(users.get("small"))
        assert face.done(sets.get(other))
        await users.put("large", bytes(64 << 20))
        assert len(await users.get("large")) == 64 << 20

    using(test)


# --- many records and ranges


def test_many_records_are_written_all_or_none(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
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
    async def test(db: Any, users: Any) -> None:
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
    async def test(db: Any, users: Any) -> None:
        await users.put_many([(f"k{n:02}", n) for n in range(20)])
        paged = [row async for row in users.iterate(**bounds, reverse=reverse, page_size=page_size)]
        assert paged == await users.select(**bounds, reverse=reverse)

    using(test)


@pytest.mark.parametrize("reverse", [False, True])
def test_between_pages_nothing_is_held_and_records_may_come_and_go(using: Any, reverse: bool) -> None:
    async def test(db: Any, users: Any) -> None:
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


@pytest.mark.parametrize("reverse", [False, True])
def test_a_page_has_a_token_for_the_next_one(using: Any, reverse: bool) -> None:
    async def test(db: Any, users: Any) -> None:
        await users.put_many([(f"k{n:02}", n) for n in range(10)])
        first = await users.page(prefix="k0", limit=6, reverse=reverse)
        assert len(first) == 6
        assert first.token is not None
        await users.delete(first.records[-1][0])  # the place is kept without its record
        rest = await users.page(prefix="k0", limit=6, reverse=reverse, after=first.token)
        assert rest.token is None
        assert sorted([*first, *rest]) == [(f"k{n:02}", n) for n in range(10)]
        assert isinstance(await error_of(users.page(limit=6, after=first.token)), errors.BadToken)

    using(test)


def test_a_page_size_that_cannot_be_is_refused(using: Any) -> None:
    async def test(db: Any, users: Any) -> None:
        with pytest.raises(errors.ConfigError, match="page_size"):
            [row async for row in users.iterate(page_size=0)]

    using(test)


def test_a_set_valued_map_gives_plain_sets(using: Any) -> None:
    async def test(db: Any, _: Any) -> None:
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
