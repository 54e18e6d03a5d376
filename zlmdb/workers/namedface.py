# SPDX-License-Identifier: MIT
"""What can be done with a named database asynchronously, whatever the event loop; the faces add the types."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Generic, TypeVar, TypeVarTuple, cast, overload

from zlmdb.codecs.coders import Coder
from zlmdb.errors import WrongType, WrongValue
from zlmdb.orm.functions import call, check_function, describe
from zlmdb.storage import NamedTransaction, Transaction
from zlmdb.workers.bridge import Bridge
from zlmdb.workers.coded import BoundDatabase, Coded
from zlmdb.workers.engine import Engine
from zlmdb.workers.limits import check_positive
from zlmdb.workers.namedhandle import NamedHandle
from zlmdb.workers.operation import Operation
from zlmdb.workers.pace import Pace

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Access:
    """The ways into an environment: reads on its readers' threads, writes on its writer's, in the order of the calls.

    Work is a function of a transaction and of what is to be called for each record.
    """

    def __init__(self, engine: Engine, bridge: Bridge) -> None:
        self.handle = cast("NamedHandle", engine.database)
        self.bridge = bridge
        self._engine = engine

    def read(self, work: Callable[[NamedTransaction, Callable[[], object]], Any]) -> Awaitable[Any]:
        """Return a waiter for what ``work`` returns in a read transaction."""
        return self.threaded(self.handle.read, work, Pace(time.sleep))

    def write(
        self,
        work: Callable[[NamedTransaction, Callable[[], object]], T],
        *,
        what: str,
        records: int = 1,
        size: int = 0,
    ) -> Awaitable[Any]:
        """Return a waiter for what ``work`` returns in a savepoint of a write transaction, after the commit."""
        writer = self._engine.writer

        def job(txn: Transaction) -> T:  # what `NamedHandle.begin` gives
            return call(cast("Callable[..., T]", work), (writer.pace,), txn)

        def submit() -> Operation[T]:
            return writer.submit(job, what=what, records=records, size=size)

        outcome: Awaitable[Any] = self.bridge.submitted(submit)
        return outcome

    def run(
        self, function: Callable[..., Any], bind: Callable[..., Any], args: tuple[Any, ...], write: bool
    ) -> Awaitable[Any]:
        """Return a waiter for ``function(bind(txn, pace), *args)``; `WrongType` for what cannot run at one go."""
        try:
            check_function(function)
        except WrongType as error:
            return self.failed(error)

        def work(txn: NamedTransaction, pace: Callable[[], object]) -> Any:
            return call(function, args, bind(txn, pace))

        return self.write(work, what=describe(function)) if write else self.read(work)

    def threaded(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Return a waiter for ``function(*args)``, called on a reader's thread."""
        outcome: Awaitable[Any] = self.bridge.threaded(self._engine.readers, function, *args)
        return outcome

    def failed(self, error: Exception) -> Awaitable[Any]:
        """Return a waiter that has failed; away from the loop it raises `WrongThread`."""
        self.bridge.check()
        outcome: Awaitable[Any] = self.bridge.outcome(None, error)
        return outcome


class NamedFace(Generic[K, V]):
    """A named database of an environment, or its main one. To be used on the loop's thread.

    All encoding and decoding happens on worker threads: that of a write as part of its operation on the writer's
    thread, in the order of the calls, so objects must not be changed until it is answered. Away from the loop
    every call raises `WrongThread`; nothing else raises: what `BoundDatabase` raises, and use after closing
    (`DatabaseClosed`), fail what is awaited. Each call is one atomic operation, answered after its commit; reads
    see what is committed. Cancelling a write takes it back if it has not begun; otherwise its outcome is logged.
    """

    def __init__(self, access: Access, name: bytes | None, key_coder: Coder[K], value_coder: Coder[V]) -> None:
        self._access = access
        self._name = name
        self._title = "the default database" if name is None else f"database {name.decode(errors='backslashreplace')}"
        self.key_coder = key_coder
        self.value_coder = value_coder

    def __repr__(self) -> str:
        return f"<{self._title} of {self._access.handle.path}>"

    # --- what it is

    @property
    def name(self) -> bytes | None:
        """The name; None for the default database."""
        return self._name

    @property
    def owner(self) -> object:
        """The environment's handle."""
        return self._access.handle

    @property
    def coded(self) -> Coded[K, V]:
        """What it is and how it is read now."""
        return Coded(self._name, self._title, self._key_coder, self._value_coder)

    @property
    def key_coder(self) -> Coder[K]:
        """The coder of keys; another one is used by calls from then on (checkers keep the types of the first)."""
        return self._key_coder

    @key_coder.setter
    def key_coder(self, coder: Coder[Any]) -> None:
        self._key_coder: Coder[K] = checked_coder("key_coder", coder)

    @property
    def value_coder(self) -> Coder[V]:
        """The coder of values, likewise."""
        return self._value_coder

    @value_coder.setter
    def value_coder(self, coder: Coder[Any]) -> None:
        self._value_coder: Coder[V] = checked_coder("value_coder", coder)

    # --- single records

    @overload
    def get(self, key: K) -> Awaitable[V | None]: ...
    @overload
    def get(self, key: K, default: D) -> Awaitable[V | D]: ...
    def get(self, key: K, default: Any = None) -> Awaitable[Any]:
        """Return the value, or ``default``."""
        return self._read(BoundDatabase.get, key, default)

    def put(self, key: K, value: V, overwrite: bool = True) -> Awaitable[bool]:
        """Store a record; return False, and store nothing, if there is one and ``overwrite`` is False."""
        return self._write(BoundDatabase.put, (key, value, overwrite), size=_size(value))

    def delete(self, key: K) -> Awaitable[bool]:
        """Delete a record; return whether there was one."""
        return self._write(BoundDatabase.delete, (key,))

    def pop(self, key: K) -> Awaitable[V | None]:
        """Delete a record; return its value, or None."""
        return self._write(BoundDatabase.pop, (key,))

    def replace(self, key: K, value: V) -> Awaitable[V | None]:
        """Store a record; return the value it replaces, or None."""
        return self._write(BoundDatabase.replace, (key, value), size=_size(value))

    # --- many records, all or none

    def get_multi(self, keys: Iterable[K]) -> Awaitable[dict[K, V | None]]:
        """Return the values by key, None where there is none."""
        try:
            keys = list(keys)
        except Exception as error:  # noqa: BLE001 - it is the outcome
            return self._access.failed(error)
        return self._read(BoundDatabase.get_multi, keys)

    def put_multi(self, items: Iterable[tuple[K, V]], overwrite: bool = True) -> Awaitable[int]:
        """Store records; return how many were, which with ``overwrite`` are all."""
        return self._write_multi(BoundDatabase.put_multi, items, overwrite)

    def delete_multi(self, keys: Iterable[K]) -> Awaitable[dict[K, bool]]:
        """Delete records; return by key whether there was one."""
        return self._write_multi(BoundDatabase.delete_multi, keys)

    def pop_multi(self, keys: Iterable[K]) -> Awaitable[dict[K, V | None]]:
        """Delete records; return their values by key, None where there was none."""
        return self._write_multi(BoundDatabase.pop_multi, keys)

    def replace_multi(self, items: Iterable[tuple[K, V]]) -> Awaitable[dict[K, V | None]]:
        """Store records; return by key the values they replace, None where there was none."""
        return self._write_multi(BoundDatabase.replace_multi, items)

    def drop(self) -> Awaitable[None]:
        """Delete all records. The name stays, since other threads may be reading."""
        return self._write(BoundDatabase.drop)

    def stat(self) -> Awaitable[dict[str, int]]:
        """Return LMDB's figures: ``entries``, ``depth``, pages by kind, and ``psize``, the bytes of a page."""
        return self._read(BoundDatabase.stat)

    def run(self, function: Callable[[BoundDatabase[K, V], *Ts], T], *args: *Ts, write: bool = False) -> Awaitable[T]:
        """Return ``function(database, *args)``, run whole in one transaction on a worker's thread.

        ``database`` is a `BoundDatabase`. The function may be run again, so it must not do anything but work on
        it; what it wrote is undone if it raises. Fails with `WrongType` for coroutine and generator functions.
        """
        return self._access.run(function, partial(_bind, self.coded), args, write)

    # --- ranges

    def select(
        self,
        from_key: K | None = None,
        to_key: K | None = None,
        *,
        prefix: K | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Awaitable[list[tuple[K, V]]]:
        """Return the records with ``from_key <= key < to_key`` as a list: see `BoundDatabase.select`.

        For ranges that may be long, `iterate` needs less memory.
        """

        def rows(database: BoundDatabase[K, V]) -> list[tuple[K, V]]:
            return list(database.select(from_key, to_key, prefix=prefix, reverse=reverse, limit=limit))

        return self._read(rows)

    async def iterate(
        self,
        from_key: K | None = None,
        to_key: K | None = None,
        *,
        prefix: K | None = None,
        reverse: bool = False,
        page_size: int = 500,
    ) -> AsyncIterator[tuple[K, V]]:
        """Iterate with ``async for`` over a range in pages of ``page_size`` records, or about a MiB of them.

        No transaction is held between pages: each page sees what is committed by then, every record that is
        there all the time comes exactly once, and keys are in order.
        """
        check_positive("page_size", page_size)
        after: bytes | None = None
        while True:
            rows, after = await self._read(BoundDatabase.page, after, page_size, from_key, to_key, prefix, reverse)
            for row in rows:
                yield row
            if after is None:
                return

    # --- the way there

    def _read(self, method: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        coded = self.coded
        return self._access.read(lambda txn, pace: method(BoundDatabase(txn, coded, pace), *args))

    def _write(
        self, method: Callable[..., Any], args: tuple[Any, ...] = (), *, records: int = 1, size: int = 0
    ) -> Awaitable[Any]:
        coded = self.coded

        def work(txn: NamedTransaction, pace: Callable[[], object]) -> Any:
            return method(BoundDatabase(txn, coded, pace), *args)

        return self._access.write(work, what=f"{method.__name__} in {self._title}", records=records, size=size)

    def _write_multi(self, method: Callable[..., Any], items: Iterable[Any], *args: Any) -> Awaitable[Any]:
        try:
            items = list(items)
        except Exception as error:  # noqa: BLE001 - it is the outcome
            return self._access.failed(error)
        size = sum(_size(item[1]) for item in items if isinstance(item, tuple) and len(item) == 2)
        return self._write(method, (items, *args), records=len(items), size=size)


def checked_coder(what: str, coder: Any) -> Coder[Any]:
    """Return a coder; raise `WrongType` for what is none."""
    if not isinstance(coder, type) and all(
        callable(getattr(coder, name, None)) for name in ("serialize", "deserialize")
    ):
        return cast("Coder[Any]", coder)
    raise WrongType(
        "not a coder", where=what, got=coder, expected="an object with serialize and deserialize, such as JSONCoder()"
    )


def checked_name(name: object, limit: int) -> bytes | None:
    """Return the name of a database in bytes, of at most ``limit``; None for the default one, called ""."""
    if not isinstance(name, (str, bytes)):
        raise WrongType("not a name", where="open_db", got=name, expected='a str or bytes, "" for the default database')
    try:
        raw = name.encode() if isinstance(name, str) else name
    except UnicodeEncodeError as error:
        raise WrongValue("not a name", where="open_db", got=name, expected="text that UTF-8 has bytes for") from error
    if b"\0" in raw or len(raw) > limit:
        raise WrongValue("not a name", where="open_db", got=name, expected=f"at most {limit} bytes, none of them 0")
    return raw or None


def _bind(coded: Coded[K, V], txn: NamedTransaction, pace: Callable[[], object]) -> BoundDatabase[K, V]:
    return BoundDatabase(txn, coded, pace)


def _size(value: object) -> int:
    """Return what is known of the bytes of a value that is yet to be encoded."""
    return len(value) if isinstance(value, (bytes, bytearray, memoryview, str)) else 0
