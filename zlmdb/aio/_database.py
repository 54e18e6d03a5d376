# SPDX-License-Identifier: MIT
"""`open_database` and `AsyncDatabase`: a database whose operations return futures."""

from __future__ import annotations

import os
from asyncio import Future
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple, overload

from zlmdb.aio._bridge import LoopBridge
from zlmdb.aio._map import AsyncMap
from zlmdb.orm import Map, Schema
from zlmdb.storage import Transaction
from zlmdb.workers import DEFAULTS, DatabaseFace, Durability, Engine, Opening, Overflow, Reads, Settings

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
S = TypeVar("S", bound=Schema)
Ts = TypeVarTuple("Ts")


def open_database(
    path: str | os.PathLike[str],
    *,
    max_pending: int = DEFAULTS.max_pending,
    max_pending_bytes: int = DEFAULTS.max_pending_bytes,
    overflow: Overflow = DEFAULTS.overflow,
    durability: Durability = DEFAULTS.durability,
    reads: Reads = DEFAULTS.reads,
    readers: int = DEFAULTS.readers,
    **database_options: Any,
) -> OpeningDatabase:
    """Open the database in the directory ``path`` on a thread; to be called where the event loop runs.

    ``await`` what it returns, or write ``async with open_database(…) as db:``, which closes it too. A database
    that was not closed before its loop ended, or before the interpreter exits, gives a `ResourceWarning`;
    what it had accepted is written all the same.

    Args:
        path: the directory.
        max_pending, max_pending_bytes, overflow, durability, reads, readers: see `zlmdb.workers.Settings`.
        database_options: those of `zlmdb.Database` (``maxsize``, ``readonly``, ``sync``, ``lib_version`` …).

    The future fails with what `zlmdb.Database` raises, and with `ConfigError` for wrong options.

    Raises:
        WrongThread: no event loop runs on this thread.
    """
    bridge = LoopBridge()
    settings = Settings(
        max_pending=max_pending,
        max_pending_bytes=max_pending_bytes,
        overflow=overflow,
        durability=durability,
        reads=reads,
        readers=readers,
        options=database_options,
    )

    def make(engine: Engine) -> AsyncDatabase:
        return AsyncDatabase(engine, bridge)

    opening = OpeningDatabase(loop=bridge.loop)
    Opening(bridge, opening, os.fspath(path), settings, make).begin()
    return opening


class AsyncDatabase(DatabaseFace):
    """What `open_database` opens: the operations of `DatabaseFace`, which are described there, as futures."""

    _map_face = AsyncMap

    if TYPE_CHECKING:  # what is awaited is a future

        def attach(self, schema: type[S]) -> Future[S]: ...
        def map(self, map_: Map[K, V]) -> AsyncMap[K, V]: ...
        def read(self, function: Callable[[Transaction, *Ts], T], *args: *Ts) -> Future[T]: ...
        @overload
        def write(
            self, function: Callable[[Transaction, *Ts], T], *args: *Ts, durability: Literal["commit"] | None = None
        ) -> Future[T]: ...
        @overload
        def write(
            self, function: Callable[[Transaction, *Ts], object], *args: *Ts, durability: Literal["queued"]
        ) -> Future[None]: ...
        def write(
            self, function: Callable[[Transaction, *Ts], Any], *args: *Ts, durability: Durability | None = None
        ) -> Future[Any]: ...
        def flushed(self) -> Future[None]: ...
        def backup(self, path: str | os.PathLike[str], compact: bool = True) -> Future[int]: ...
        def close(self, deadline: float | None = None) -> Future[int]: ...


class OpeningDatabase(Future[AsyncDatabase]):
    """A future that ``async with`` takes too: it opens the database and closes it at the end of the block."""

    async def __aenter__(self) -> AsyncDatabase:
        return await self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.result().close()
