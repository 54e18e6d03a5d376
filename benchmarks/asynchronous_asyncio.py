# SPDX-License-Identifier: MIT
"""The contestants on asyncio's loop: this package, aiolmdb, and py-lmdb's own ``lmdb.aio``.

``python -m benchmarks.asynchronous_asyncio DIRECTORY [FOLDER]`` reads the name of a row from each line of its input,
and answers with a line of JSON. FOLDER is where aiolmdb is installed; without it aiolmdb takes no part.
"""

from __future__ import annotations

import asyncio
import importlib
import platform
import sys
import types
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import lmdb
import lmdb.aio

from benchmarks.asynchronous_calls import Calls, Encoded, Maps, Together, Turns, answering, filled, made
from benchmarks.data import Data
from benchmarks.lateness import lateness_on_asyncio
from benchmarks.raw import MAP_SIZE
from zlmdb.aio import open_database


class Ours(Maps):
    """`zlmdb.aio` with its defaults."""

    name = "ours, asyncio"
    open_database = staticmethod(open_database)


class AioLmdb(Encoded):
    """aiolmdb with its defaults."""

    name = "aiolmdb"

    def __init__(self, data: Data, directory: Path, together: Together) -> None:
        super().__init__(data, directory, together)
        if not hasattr(asyncio, "coroutine"):
            vars(asyncio)["coroutine"] = types.coroutine
            version = platform.python_version()
            self.remark = f"aiolmdb uses asyncio.coroutine, which Python {version} lacks: it was given types.coroutine"
        aiolmdb: Any = importlib.import_module("aiolmdb")
        filled(directory / "fast", self.items).close()
        self.environments = [
            aiolmdb.open(str(directory / "fast"), map_size=MAP_SIZE, sync=False, lib_version=1),
            aiolmdb.open(str(directory / "durable"), map_size=MAP_SIZE, lib_version=1),
        ]
        self.fast, self.durable = [environment.get_default_db() for environment in self.environments]

    async def close(self) -> None:
        for environment in self.environments:
            environment.close()

    def get(self, key: bytes) -> Awaitable[Any]:
        found: Awaitable[Any] = self.fast.get(key)
        return found

    def put(self, item: tuple[bytes, bytes]) -> Awaitable[Any]:
        done: Awaitable[Any] = self.fast.put(*item)
        return done

    def durable_put(self, item: tuple[bytes, bytes]) -> Awaitable[Any]:
        done: Awaitable[Any] = self.durable.put(*item)
        return done


class LmdbAio(Encoded):
    """A transaction of ``lmdb.aio`` for each call."""

    name = "lmdb.aio"

    def __init__(self, data: Data, directory: Path, together: Together) -> None:
        super().__init__(data, directory, together)
        self.fast = lmdb.aio.wrap(filled(directory / "fast", self.items))
        self.durable = lmdb.aio.wrap(lmdb.open(str(directory / "durable"), map_size=MAP_SIZE, lib_version=1))

    async def close(self) -> None:
        await self.fast.close()
        await self.durable.close()

    async def get(self, key: bytes) -> Any:
        async with self.fast.begin() as txn:
            return await txn.get(key)

    async def put(self, item: tuple[bytes, bytes]) -> None:
        async with self.fast.begin(write=True) as txn:
            await txn.put(*item)

    async def durable_put(self, item: tuple[bytes, bytes]) -> None:
        async with self.durable.begin(write=True) as txn:
            await txn.put(*item)


async def _main(directory: Path, folder: str = "") -> None:
    answer, turns, data = answering(), Turns(), made()

    async def late(contestants: dict[str, Calls]) -> list[dict[str, Any]]:
        ours = contestants.get(Ours.name)
        return [await lateness_on_asyncio(data, ours.db)] if isinstance(ours, Ours) else []

    makers: list[type[Calls]] = [Ours, LmdbAio]
    if folder:
        sys.path.append(folder)
        makers.append(AioLmdb)
    try:
        await turns.prepare(makers, data, directory, _together)
        await turns.serve(lambda: asyncio.to_thread(sys.stdin.readline), answer, late)
    finally:
        await turns.close()


async def _together(waiting: list[Awaitable[Any]]) -> None:
    await asyncio.gather(*waiting)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), *sys.argv[2:]))
