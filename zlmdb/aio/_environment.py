# SPDX-License-Identifier: MIT
"""`open`, `Environment` and `Database`: LMDB environments with named databases, whose operations return futures."""

from __future__ import annotations

import os
from asyncio import Future
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

from zlmdb.aio._bridge import LoopBridge
from zlmdb.aio._database import AsyncDatabase
from zlmdb.codecs.coders import Coder
from zlmdb.storage import LibVersion
from zlmdb.workers import DEFAULTS, Engine, Opening, Overflow, Settings
from zlmdb.workers.coded import BoundDatabase, EnvironmentTransaction
from zlmdb.workers.environmentface import BatchFace, EnvironmentFace
from zlmdb.workers.namedface import NamedFace
from zlmdb.workers.namedhandle import MAX_DBS, NamedHandle

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def open(  # noqa: A001 - the field's name, as in lmdb.open
    path: str | os.PathLike[str],
    *,
    max_dbs: int = MAX_DBS,
    maxsize: int | None = None,
    readonly: bool = False,
    lock: bool = True,
    sync: bool = True,
    create: bool = True,
    lib_version: LibVersion | None = None,
    max_pending: int = DEFAULTS.max_pending,
    max_pending_bytes: int = DEFAULTS.max_pending_bytes,
    overflow: Overflow = DEFAULTS.overflow,
    readers: int = DEFAULTS.readers,
) -> OpeningEnvironment:
    """Open the LMDB environment in the directory ``path`` on a thread; to be called where the event loop runs.

    ``await`` what it returns, or write ``async with open(…) as env:``, which closes it too. It is an environment as
    LMDB's other users have them, with named databases and a default one; a database of `zlmdb.Database` is another
    kind of file. Give ``lib_version="0.9"`` for a new one that programs with an older LMDB are to read.

    Args:
        path: the directory.
        max_dbs: how many named databases can be used while it is open.
        maxsize, readonly, lock, sync, create, lib_version: see `zlmdb.Database`.
        max_pending, max_pending_bytes, overflow, readers: see `zlmdb.workers.Settings`; of a value that is neither
            bytes nor text the bytes are not counted, since it is encoded only when it is written.

    The future fails with what `zlmdb.Database` raises, with `NotADatabase` for a database of tables, and with
    `ConfigError` for wrong options.

    Raises:
        WrongThread: no event loop runs on this thread.
    """
    bridge = LoopBridge()
    settings = Settings(
        max_pending=max_pending,
        max_pending_bytes=max_pending_bytes,
        overflow=overflow,
        readers=readers,
        options={
            "max_dbs": max_dbs,
            "maxsize": maxsize,
            "readonly": readonly,
            "lock": lock,
            "sync": sync,
            "create": create,
            "lib_version": lib_version,
        },
        handle=NamedHandle.open_with,
    )

    def make(engine: Engine) -> Environment:
        return Environment(engine, bridge, AsyncDatabase(engine, bridge))

    opening = OpeningEnvironment(loop=bridge.loop)
    Opening(bridge, opening, os.fspath(path), settings, make).begin()
    return opening


class Database(NamedFace[K, V]):
    """What `Environment.open_db` returns: the operations of `NamedFace`, which are described there, as futures."""

    if TYPE_CHECKING:  # what is awaited is a future

        @overload
        def get(self, key: K) -> Future[V | None]: ...
        @overload
        def get(self, key: K, default: D) -> Future[V | D]: ...
        def get(self, key: K, default: Any = None) -> Future[Any]: ...
        def put(self, key: K, value: V, overwrite: bool = True) -> Future[bool]: ...
        def delete(self, key: K) -> Future[bool]: ...
        def pop(self, key: K) -> Future[V | None]: ...
        def replace(self, key: K, value: V) -> Future[V | None]: ...
        def get_multi(self, keys: Iterable[K]) -> Future[dict[K, V | None]]: ...
        def put_multi(self, items: Iterable[tuple[K, V]], overwrite: bool = True) -> Future[int]: ...
        def delete_multi(self, keys: Iterable[K]) -> Future[dict[K, bool]]: ...
        def pop_multi(self, keys: Iterable[K]) -> Future[dict[K, V | None]]: ...
        def replace_multi(self, items: Iterable[tuple[K, V]]) -> Future[dict[K, V | None]]: ...
        def drop(self) -> Future[None]: ...
        def stat(self) -> Future[dict[str, int]]: ...
        def run(
            self, function: Callable[[BoundDatabase[K, V], *Ts], T], *args: *Ts, write: bool = False
        ) -> Future[T]: ...
        def select(
            self,
            from_key: K | None = None,
            to_key: K | None = None,
            *,
            prefix: K | None = None,
            reverse: bool = False,
            limit: int | None = None,
        ) -> Future[list[tuple[K, V]]]: ...


class Batch(BatchFace):
    """What `Environment.batch` returns: see `BatchFace`."""

    if TYPE_CHECKING:

        def submit(self) -> Future[list[Any]]: ...


class Environment(EnvironmentFace):
    """What `open` opens: the operations of `EnvironmentFace`, which are described there, as futures."""

    _batch_face = Batch

    @overload
    def open_db(self, name: str | bytes) -> Database[bytes, bytes]: ...
    @overload
    def open_db(self, name: str | bytes, key_coder: Coder[K]) -> Database[K, bytes]: ...
    @overload
    def open_db(self, name: str | bytes, *, value_coder: Coder[V]) -> Database[bytes, V]: ...
    @overload
    def open_db(self, name: str | bytes, key_coder: Coder[K], value_coder: Coder[V]) -> Database[K, V]: ...
    def open_db(
        self, name: str | bytes, key_coder: Coder[Any] | None = None, value_coder: Coder[Any] | None = None
    ) -> Database[Any, Any]:
        """Return the database of this name, or the default one for ""; reads and writes nothing, on any thread.

        It is made by the first write. Coders are `IdentityCoder` unless given.

        Raises:
            WrongType, WrongValue: it is no name, or no coder.
        """
        return Database(*self._named(name, key_coder, value_coder))

    @overload
    def get_default_database(self) -> Database[bytes, bytes]: ...
    @overload
    def get_default_database(self, key_coder: Coder[K]) -> Database[K, bytes]: ...
    @overload
    def get_default_database(self, *, value_coder: Coder[V]) -> Database[bytes, V]: ...
    @overload
    def get_default_database(self, key_coder: Coder[K], value_coder: Coder[V]) -> Database[K, V]: ...
    def get_default_database(
        self, key_coder: Coder[Any] | None = None, value_coder: Coder[Any] | None = None
    ) -> Database[Any, Any]:
        """Return the default database, among whose records LMDB keeps the names of the others, which stay unseen."""
        return Database(*self._named("", key_coder, value_coder))

    if TYPE_CHECKING:  # what is awaited is a future

        def run(
            self, function: Callable[[EnvironmentTransaction, *Ts], T], *args: *Ts, write: bool = False
        ) -> Future[T]: ...
        def batch(self) -> Batch: ...
        def copy(self, path: str | os.PathLike[str], compact: bool = False) -> Future[int]: ...
        def sync(self) -> Future[None]: ...
        def stat(self) -> Future[dict[str, int]]: ...
        def info(self) -> Future[dict[str, int]]: ...
        def names(self) -> Future[list[bytes]]: ...
        def close(self, deadline: float | None = None) -> Future[int]: ...


class OpeningEnvironment(Future[Environment]):
    """A future that ``async with`` takes too: it opens the environment and closes it at the end of the block."""

    async def __aenter__(self) -> Environment:
        return await self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.result().close()
