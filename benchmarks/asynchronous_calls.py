# SPDX-License-Identifier: MIT
"""The far end of the asynchronous rows: the contestants of one event loop, which take turns when they are asked to."""

from __future__ import annotations

import gc
import json
import random
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO
from uuid import UUID

import cbor2
import lmdb

import zlmdb
from benchmarks.contestant import Stopwatch, expect
from benchmarks.data import SEED, Data, User
from benchmarks.raw import MAP_SIZE
from benchmarks.rows import LATENESS

_RECORDS: Final = 5000
_CALLS: Final = 1000  # of each measurement, a multiple of what runs at the same time
_DURABLE_CALLS: Final = 200
_CONCURRENT: Final = 100
_REQUIRED: Final = ("raw", "ours")  # without them there is nothing to compare

Together = Callable[[list[Any]], Awaitable[Any]]
"""What waits for all of a list: `gatherResults`, or `gather`."""
Late = Callable[[dict[str, "Calls"]], Awaitable[list[dict[str, Any]]]]
"""What measures the lateness of the loop with some of the contestants."""


def made() -> Data:
    """Return the records of these rows."""
    return Data(_RECORDS, 0)


def encoded(data: Data) -> list[tuple[bytes, bytes]]:
    """Return the users as bytes, with the slot's two bytes before each key."""
    return [(b"\0\1" + oid.bytes, cbor2.dumps(vars(user))) for oid, user in data.users]


def filled(directory: Path, items: list[tuple[bytes, bytes]]) -> lmdb.Environment:
    """Return a new database with these records, which is not synced."""
    env = lmdb.open(str(directory), map_size=MAP_SIZE, sync=False, lib_version=1)
    with env.begin(write=True) as txn:
        for key, value in items:
            txn.put(key, value)
    return env


class Calls:
    """Has a method for each row that returns when all calls of one measurement are done.

    What `get` and `put` return is awaited; ``reads`` and ``puts`` are their arguments. The last of ``reads`` finds
    ``found``.
    """

    name: str
    remark: str | None = None
    """What the report is to say when it takes part."""
    puts: list[Any]
    reads: list[Any]
    found: Any

    def __init__(self, data: Data, directory: Path, together: Together) -> None:
        self.data, self.directory, self.together = data, directory, together
        directory.mkdir(parents=True)

    async def open(self) -> None:
        """Open and fill the databases, if that waits for something."""

    async def close(self) -> None:
        """Close the databases."""

    def get(self, key: Any) -> Awaitable[Any]:
        """Begin to read one record."""
        raise NotImplementedError

    def put(self, item: Any) -> Awaitable[Any]:
        """Begin to write one record in a database that is not synced."""
        raise NotImplementedError

    def durable_put(self, item: Any) -> Awaitable[Any]:
        """Begin to write one record in a database that is synced."""
        raise NotImplementedError

    async def async_read(self) -> None:
        for key in self.reads:
            await self.get(key)

    async def async_read_100(self) -> None:
        await self._concurrently(self.get, self.reads)

    async def async_write(self) -> None:
        for item in self.puts:
            await self.put(item)

    async def async_write_100(self) -> None:
        await self._concurrently(self.put, self.puts)

    async def async_durable_100(self) -> None:
        await self._concurrently(self.durable_put, self.puts[:_DURABLE_CALLS])

    async def _concurrently(self, function: Callable[[Any], Awaitable[Any]], arguments: list[Any]) -> None:
        for start in range(0, len(arguments), _CONCURRENT):
            await self.together([function(argument) for argument in arguments[start : start + _CONCURRENT]])


class Encoded(Calls):
    """Takes part with bytes, which are made before the time is taken."""

    def __init__(self, data: Data, directory: Path, together: Together) -> None:
        super().__init__(data, directory, together)
        self.items = encoded(data)
        self.puts = self.items[:_CALLS]
        self.reads = [key for key, _ in self.puts]
        self.found = self.puts[-1][1]


class Objects(Calls):
    """Takes part with objects, which are encoded and decoded while the time is taken."""

    def __init__(self, data: Data, directory: Path, together: Together) -> None:
        super().__init__(data, directory, together)
        self.puts = data.users[:_CALLS]
        self.reads = [oid for oid, _ in self.puts]
        self.found = self.puts[-1][1]


class Maps(Objects):
    """This package with its defaults, by the ``open_database`` of either face."""

    open_database: Callable[..., Any]

    async def open(self) -> None:
        users = zlmdb.MapUuidCbor[User](1)
        self.db = await self.open_database(self.directory / "fast", sync=False)
        self.durable_db = await self.open_database(self.directory / "durable")
        self.fast, self.durable = self.db.map(users), self.durable_db.map(users)
        await self.fast.put_many(self.data.users)

    async def close(self) -> None:
        await self.db.close()
        await self.durable_db.close()

    def get(self, key: UUID) -> Awaitable[User | None]:
        found: Awaitable[User | None] = self.fast.get(key)
        return found

    def put(self, item: tuple[UUID, User]) -> Awaitable[None]:
        done: Awaitable[None] = self.fast.put(*item)
        return done

    def durable_put(self, item: tuple[UUID, User]) -> Awaitable[None]:
        done: Awaitable[None] = self.durable.put(*item)
        return done


class Turns:
    """The contestants of one event loop. One that fails is noted and takes no further part."""

    def __init__(self) -> None:
        self.contestants: dict[str, Calls] = {}
        self.failed: set[str] = set()
        self.notes: list[str] = []
        self._rng = random.Random(SEED)

    async def prepare(self, makers: Sequence[type[Calls]], data: Data, directory: Path, together: Together) -> None:
        """Let each contestant open and fill its databases below ``directory``."""
        for make in makers:
            with self._noting(make.name, "cannot take part"):
                contestant = self.contestants[make.name] = make(data, directory / make.name, together)
                await contestant.open()
                expect(await contestant.get(contestant.reads[-1]), contestant.found)
                self.notes += [contestant.remark] if contestant.remark else []

    @contextmanager
    def _noting(self, name: str, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if name in _REQUIRED:
                raise
            self.failed.add(name)
            self.notes.append(f"{name}: {what}: {error!r}")

    async def serve(
        self, ask: Callable[[], Awaitable[str]], answer: Callable[[dict[str, Any]], None], late: Late
    ) -> None:
        """Answer when it is ready, and then the rows that are asked for until there are no more."""
        gc.freeze()  # what lives on is not to be looked through again and again
        answer(self._noted({}))
        while row := (await ask()).strip():
            if row == LATENESS:
                answer(self._noted({"lateness": await late(self._able())}))
            else:
                answer(self._noted({"seconds": await self._round(row)}))

    def _able(self) -> dict[str, Calls]:
        return {name: contestant for name, contestant in self.contestants.items() if name not in self.failed}

    def _noted(self, found: dict[str, Any]) -> dict[str, Any]:
        notes, self.notes = self.notes, []
        return {**found, "notes": notes}

    async def _round(self, row: str) -> dict[str, float]:
        """Return what each contestant took for a row, in an order that changes from round to round."""
        able, seconds = self._able(), {}
        for name in self._rng.sample(sorted(able), len(able)):
            with self._noting(name, f"failed in {row}"):
                work: Callable[[], Awaitable[None]] = getattr(able[name], row)
                with Stopwatch() as watch:
                    await work()
                seconds[name] = watch.seconds
        return seconds

    async def close(self) -> None:
        """Close the databases of all contestants, as threads that are left over would keep the process from ending."""
        for contestant in self.contestants.values():
            try:
                await contestant.close()
            except Exception:  # noqa: BLE001  the others are to be closed all the same
                traceback.print_exc()


def answering() -> Callable[[dict[str, Any]], None]:
    """Return what writes an answer; what contestants print goes to the errors from now on."""
    answers: TextIO
    answers, sys.stdout = sys.stdout, sys.stderr
    return lambda answer: print(json.dumps(answer), file=answers, flush=True)
