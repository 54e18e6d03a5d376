# SPDX-License-Identifier: MIT
"""Environments of named databases: records and coders, on both loops."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import environments
from tests.environments import LOOPS, busy
from tests.faces import error_of
from zlmdb import errors
from zlmdb.aio import Coder, JSONCoder, PickleCoder, StringCoder, UInt16Coder, UInt32Coder, UInt64Coder


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def using(loop: str, tmp_path: Path) -> Any:
    """Run ``test(env)`` with an open environment."""
    return partial(environments.using, loop, tmp_path / "env")


# --- records


def test_calls_answer_as_those_of_aiolmdb_do(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        assert await db.get(b"k") is None
        assert await db.get(b"k", default=b"") == b""
        assert await db.put(b"k", b"1") is True
        assert await db.put(b"k", b"2", overwrite=False) is False
        assert await db.get_multi([b"k", b"none"]) == {b"k": b"1", b"none": None}
        assert await db.replace(b"k", b"3") == b"1"
        assert await db.replace(b"new", b"4") is None
        assert await db.delete_multi([b"new", b"none"]) == {b"new": True, b"none": False}
        assert await db.pop(b"k") == b"3"
        assert await db.pop(b"k") is None
        assert await db.delete(b"k") is False

    using(test)


def test_the_forms_for_many_do_as_those_for_one(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records", StringCoder(), JSONCoder())
        assert await db.put_multi([("a", 1), ("b", 2)]) == 2
        assert await db.put_multi({"a": 0, "c": 3}.items(), overwrite=False) == 1
        assert await db.replace_multi([("c", 4), ("d", 5)]) == {"c": 3, "d": None}
        assert await db.pop_multi(iter(["a", "none"])) == {"a": 1, "none": None}
        assert await db.select() == [("b", 2), ("c", 4), ("d", 5)]
        assert await db.get_multi([]) == await db.pop_multi([]) == {}

    using(test)


def test_one_bad_item_of_many_leaves_nothing_of_them(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records", UInt16Coder())
        error = await error_of(db.put_multi([(1, b"1"), (70_000, b"2")]))
        assert isinstance(error, errors.WrongValue)
        assert "key of database records" in str(error)
        assert await db.select() == []
        for bad in (5, [(1, b"1"), 2], [(1,)]):
            assert isinstance(await error_of(db.put_multi(bad)), TypeError)
        assert isinstance(await error_of(db.get_multi(None)), TypeError)
        assert await db.select() == []

    using(test)


def test_keys_of_many_that_cannot_be_in_a_dictionary_are_refused(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records", JSONCoder())
        await db.put(["a"], b"1")
        assert await db.get(["a"]) == b"1"
        for call in (db.get_multi([["a"]]), db.delete_multi([["a"]]), db.replace_multi([(["a"], b"2")])):
            assert isinstance(await error_of(call), errors.WrongType)
        assert await db.select() == [(["a"], b"1")]

    using(test)


@pytest.mark.parametrize(
    ("coder", "values"),
    [
        (UInt16Coder(), [0, 1, 255, 256, 65535]),
        (UInt32Coder(), [0, 65536, 2**32 - 1]),
        (UInt64Coder(), [0, 2**32, 2**64 - 1]),
        (StringCoder(), ["a", "b", "ä", "\u2028", "\U0001f600"]),
    ],
    ids=str,
)
def test_keys_come_in_their_order(using: Any, coder: Coder[Any], values: list[Any]) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records", coder, PickleCoder().compressed(9))
        await db.put_multi([(value, {value}) for value in reversed(values)])
        assert await db.select() == [(value, {value}) for value in values]

    using(test)


def test_a_key_that_lmdb_cannot_have_is_refused_and_harms_nothing(using: Any, lib_version: str) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        with busy(env):
            calls = [
                db.put(b"a", b""),
                db.put(b"", b"1"),
                db.put(b"x" * (env.max_key_size + 1), b"1"),
                db.put(b"b", b""),
            ]
        told = [await error_of(call) for call in calls[1:3]]
        assert isinstance(told[0], errors.WrongValue)
        assert isinstance(told[1], errors.KeyTooLong)
        assert await calls[0] is await calls[3] is True
        longest = b"x" * env.max_key_size
        await db.put(longest, b"2")
        assert [row async for row in db.iterate(page_size=1)] == [(b"a", b""), (b"b", b""), (longest, b"2")]
        for call in (db.get(b""), db.delete(b"")):
            assert isinstance(await error_of(call), errors.WrongValue)
        assert await db.get(longest + b"x") is None
        assert await db.delete(longest + b"x") is False

    using(test, lib_version=lib_version)


def test_large_values_are_whole(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        value = bytes(range(256)) * (5 << 12) + b"end"
        await db.put(b"k", value)
        assert await db.get(b"k") == value

    using(test)


# --- coding


class Watched(Coder[str]):
    """Notes which thread it works on."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def serialize(self, obj: str) -> bytes:
        self.threads.append(threading.current_thread().name)
        return obj.encode()

    def deserialize(self, buffer: memoryview) -> str:
        self.threads.append(threading.current_thread().name)
        return str(buffer, "utf-8")


def test_nothing_is_coded_on_the_loops_thread(using: Any) -> None:
    async def test(env: Any) -> None:
        coder = Watched()
        db = env.open_db("records", coder, coder)
        await db.put("a", "1")
        await db.put_multi([("b", "2")])
        async with env.batch() as batch:
            batch.replace(db, "a", "2")
        assert set(coder.threads) == {f"zlmdb-writer {env.path}"}
        coder.threads.clear()
        assert await db.get("a") == "2"
        assert await db.get_multi(["b"]) == {"b": "2"}
        assert await db.select() == [row async for row in db.iterate()] == [("a", "2"), ("b", "2")]
        assert {name.rpartition("-")[0] for name in coder.threads} == {f"zlmdb-reader {env.path}"}

    using(test)


def test_a_coder_gets_a_view_of_the_files_memory(using: Any) -> None:
    class Kept(Coder[Any]):
        kept: memoryview

        def serialize(self, obj: bytes) -> bytearray:
            return bytearray(obj)

        def deserialize(self, buffer: memoryview) -> int:
            self.kept = buffer
            return len(buffer)

    async def test(env: Any) -> None:
        coder = Kept()
        db = env.open_db("records", value_coder=coder)
        await db.put(b"k", b"12345")
        assert await db.get(b"k") == 5
        assert coder.kept.readonly

    using(test)


def test_what_a_coder_raises_fails_that_operation_alone(using: Any) -> None:
    class Failing(Coder[Any]):
        def serialize(self, obj: Any) -> Any:
            if obj == "bad":
                raise LookupError(obj)
            return obj if obj == "text" else b"stored"

        def deserialize(self, buffer: memoryview) -> Any:
            raise LookupError("unreadable")

    async def test(env: Any) -> None:
        db = env.open_db("records", StringCoder(), Failing())
        with busy(env):
            good, bad, text = db.put("a", "good"), db.put("b", "bad"), db.put("c", "text")
        assert await good is True
        error = await error_of(bad)
        assert isinstance(error, LookupError)
        assert error.__notes__ == ["in the value of database records"]
        assert isinstance(await error_of(text), errors.WrongType)
        assert isinstance(await error_of(db.pop("a")), LookupError)
        assert (await db.stat())["entries"] == 1

    using(test)


def test_stored_bytes_that_are_not_the_coders_are_reported(using: Any) -> None:
    async def test(env: Any) -> None:
        await env.open_db("records").put(b"k", b"\xff{")
        for coder in (JSONCoder(), StringCoder(), UInt16Coder().compressed(), PickleCoder(), UInt64Coder()):
            error = await error_of(env.open_db("records", value_coder=coder).get(b"k"))
            assert isinstance(error, errors.DecodeError)
            assert "value under b'k' of database records" in str(error)

    using(test)


def test_another_coder_holds_for_the_calls_after_it(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        with busy(env):
            before = db.put(b"a", b"1")
            db.key_coder = StringCoder()
            db.value_coder = JSONCoder()
            after = db.put("b", 2)
        await before
        await after
        assert await db.select() == [("a", 1), ("b", 2)]
        for wrong in (None, JSONCoder, "json"):
            with pytest.raises(errors.WrongType):
                db.value_coder = wrong

    using(test)


@pytest.mark.parametrize("name", [5, None, "a\0b", b"\0", "\ud800", "x" * 2000])
def test_what_is_no_name_is_refused(using: Any, name: Any) -> None:
    async def test(env: Any) -> None:
        with pytest.raises(errors.EncodeError):
            env.open_db(name)
        with pytest.raises(errors.WrongType):
            env.open_db("records", key_coder=JSONCoder)

    using(test)
