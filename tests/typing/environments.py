# SPDX-License-Identifier: MIT
"""What type checkers make of environments of named databases, on either loop."""

from asyncio import Future
from typing import Any, assert_type

from twisted.internet.defer import Deferred

import zlmdb.aio
import zlmdb.twisted
from zlmdb.aio import BoundDatabase, Coder, EnvironmentTransaction, JSONCoder, StringCoder, UInt16Coder


class Point:
    """A value of the application."""


class PointCoder(Coder[Point]):
    """Its coder."""

    def serialize(self, obj: Point) -> bytes:
        """Return nothing of use."""
        return b""

    def deserialize(self, buffer: memoryview) -> Point:
        """Return one."""
        return Point()


async def asyncio(env: zlmdb.aio.Environment) -> None:
    points = env.open_db("points", UInt16Coder(), PointCoder())
    assert_type(points, zlmdb.aio.Database[int, Point])
    assert_type(env.open_db("raw"), zlmdb.aio.Database[bytes, bytes])
    assert_type(env.open_db("raw", value_coder=JSONCoder()), zlmdb.aio.Database[bytes, Any])
    assert_type(env.get_default_database(StringCoder().compressed(9)), zlmdb.aio.Database[str, bytes])
    assert_type(points.get(1), Future[Point | None])
    assert_type(await points.get(1, 0), Point | int)
    assert_type(await points.pop_multi([1]), dict[int, Point | None])
    assert_type(await points.select(limit=1), list[tuple[int, Point]])
    async for key, point in points.iterate(1, 2):
        assert_type((key, point), tuple[int, Point])

    def count(txn: EnvironmentTransaction, key: int) -> Point | None:
        return txn[points].get(key)

    def one(database: BoundDatabase[int, Point]) -> bool:
        return database.put(1, Point())

    assert_type(await env.run(count, 1), Point | None)
    assert_type(await points.run(one, write=True), bool)
    async with env.batch() as batch:
        batch.put(points, 1, Point())

    points.put("1", Point())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    env.run(count, "1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def twisted(env: zlmdb.twisted.Environment) -> None:
    points = env.open_db("points", UInt16Coder(), PointCoder())
    assert_type(points, zlmdb.twisted.Database[int, Point])
    assert_type(points.get(1), Deferred[Point | None])
    assert_type(env.close(), Deferred[int])
    assert_type(env.batch().submit(), Deferred[list[Any]])
    assert_type(await zlmdb.twisted.open("env"), zlmdb.twisted.Environment)
