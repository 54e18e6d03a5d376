# SPDX-License-Identifier: MIT
"""The code of aiolmdb's description runs on `zlmdb.aio`, block by block, and does what its text says."""

from __future__ import annotations

import ast
import inspect
import tomllib
from collections.abc import Callable, Coroutine
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import zlmdb.aio
from tests.seeds.blocks import HERE, substituted
from zlmdb.testing.loops import run_asyncio

CHOSEN: dict[str, list[dict[str, Any]]] = tomllib.loads((HERE / "aiolmdb.toml").read_text())
CODERS = {name: getattr(zlmdb.aio, name) for name in zlmdb.aio.__all__ if name.endswith("Coder")}


def between(text: str, first: str, last: str) -> str:
    """Return the lines from ``first`` to ``last``, both included."""
    lines = text.splitlines()
    start = lines.index(first)
    return "\n".join(lines[start : lines.index(last, start) + 1])


def programs() -> dict[str, str]:
    """Return the blocks by name, with the substitutions made."""
    text = (HERE / "aiolmdb.txt").read_text()
    found = {block["name"]: between(text, block["first"], block["last"]) for block in CHOSEN["block"]}
    for change in CHOSEN["substitution"]:
        found[change["block"]] = substituted(found[change["block"]], {**change, "text": "aiolmdb"})
    return found


PROGRAMS = programs()


async def run(name: str, **names: Any) -> tuple[dict[str, Any], list[Any]]:
    """Run a block; return its names, and the value of each statement that is an expression or sets ``result``."""
    values = []
    for statement in ast.parse(PROGRAMS[name]).body:
        is_expression = isinstance(statement, ast.Expr)
        source = f"result = {ast.unparse(statement)}" if is_expression else ast.unparse(statement)
        names.pop("result", None)
        code = compile(source, f"aiolmdb.txt, {name}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        outcome = eval(code, names)
        if inspect.isawaitable(outcome):
            await outcome
        if "result" in names:
            values.append(names["result"])
    return names, values


Test = Callable[[zlmdb.aio.Environment], Coroutine[Any, Any, None]]


@pytest.fixture
def using(tmp_path: Path) -> Callable[[Test], None]:
    """Run a test with an open environment."""

    async def main(test: Test) -> None:
        async with zlmdb.aio.open(tmp_path / "env", sync=False) as env:
            await test(env)

    return lambda test: run_asyncio(lambda: main(test))


def test_an_environment_and_its_databases_are_opened(tmp_path: Path) -> None:
    async def main() -> None:
        names, _ = await run("open", path=tmp_path / "env")
        names, _ = await run("open_db", **names)
        async with names["enviroment"]:
            await names["records"].put(b"key", b"value")
            assert await names["enviroment"].names() == [b"records"]
            assert await names["default"].select() == []

    run_asyncio(main)


def test_records_are_stored_and_found(using: Any) -> None:
    async def test(env: zlmdb.aio.Environment) -> None:
        db = env.open_db("records")
        assert (await run("get", db=db))[1] == [None, b"", {b"0": None, b"1": None}]
        assert (await run("put", db=db))[1] == [True, 2]
        assert await db.select() == [(b"k1", b"v1"), (b"k2", b"v2"), (b"key", b"value")]
        assert (await run("get", db=db))[1][:2] == [b"value", b"value"]
        assert (await run("run", db=db))[1] == [b"value"]
        assert (await run("delete", db=db))[1] == [True, {b"k1": True, b"k2": True, b"k3": False}]
        await db.put(b"key", b"value")
        assert (await run("drop", db=db))[1] == [None]
        assert await db.select() == []

    using(test)


def test_coders_take_and_give_objects(using: Any) -> None:
    async def test(env: zlmdb.aio.Environment) -> None:
        names, values = await run("coders", env=env, **CODERS)
        assert values == [True, {"key": "value"}]
        names, _ = await run("other coders", db=env.get_default_database(), **CODERS)
        await names["db"].put("ä", ["value"])
        assert await names["db"].get("ä") == ["value"]
        assert await env.get_default_database().get("ä".encode()) == b'["value"]'

    using(test)


def test_the_coders_are_there(using: Any) -> None:
    async def test(env: zlmdb.aio.Environment) -> None:
        values = (await run("supported coders", **CODERS))[1]
        assert [type(value).__name__ for value in values] == [
            *("IdentityCoder", "StringCoder", "UInt16Coder", "UInt32Coder", "UInt64Coder", "JSONCoder", "PickleCoder")
        ]

    using(test)


def test_values_are_compressed(using: Any) -> None:
    async def test(env: zlmdb.aio.Environment) -> None:
        names, _ = await run("compressed", env=env, **CODERS)
        await names["compressed_db"].put(b"key", ["value"] * 1000)
        assert await names["compressed_db"].get(b"key") == ["value"] * 1000
        stored = await env.open_db("records").get(b"key")
        assert stored is not None
        assert len(stored) < 100

    using(test)


def test_a_coder_of_ones_own_is_used(using: Any) -> None:
    async def test(env: zlmdb.aio.Environment) -> None:
        names, _ = await run("custom coder", date=date)
        days = env.open_db("days", value_coder=names["CustomCoder"]())
        await days.put(b"key", date(2020, 2, 29))
        assert await days.get(b"key") == date(2020, 2, 29)

    using(test)


def test_each_block_has_its_test() -> None:
    source = Path(__file__).read_text()
    assert [name for name in PROGRAMS if f'run("{name}"' not in source] == []


def test_each_substitution_says_why() -> None:
    assert all(len(change["why"]) > 10 for change in CHOSEN["substitution"])
