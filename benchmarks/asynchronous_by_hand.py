# SPDX-License-Identifier: MIT
"""What one writes for Twisted without this package: reads on the loop's thread, and one thread that writes batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import cbor2
import lmdb
from twisted.internet.defer import Deferred, succeed

from benchmarks.asynchronous_calls import Objects, Together, encoded, filled
from benchmarks.data import Data, User
from benchmarks.raw import MAP_SIZE

Queued = tuple[bytes, bytes, Deferred[None]]
Deliver = Callable[[Callable[[], None]], object]


class Writer:
    """A thread that puts all that is queued into one transaction; ``deliver`` calls a function on the loop's thread."""

    def __init__(self, env: lmdb.Environment, deliver: Deliver) -> None:
        self.env, self.deliver = env, deliver
        self.queue: SimpleQueue[Queued | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def put(self, key: bytes, value: bytes) -> Deferred[None]:
        """Queue a record; the Deferred fires when it is committed."""
        done: Deferred[None] = Deferred()
        self.queue.put((key, value, done))
        return done

    def close(self) -> None:
        """Wait until all that was queued is written and the thread has ended."""
        self.queue.put(None)
        self.thread.join()

    def _run(self) -> None:
        while (first := self.queue.get()) is not None:
            batch, ends = self._queued(first)
            self.deliver(partial(_settle, batch, self._write(batch)))
            if ends:
                return

    def _queued(self, first: Queued) -> tuple[list[Queued], bool]:
        """Return all that waits, and whether the end is reached."""
        batch, get = [first], self.queue.get_nowait
        try:
            while (item := get()) is not None:
                batch.append(item)
        except Empty:
            return batch, False
        return batch, True

    def _write(self, batch: list[Queued]) -> Exception | None:
        """Commit a batch; return why it failed, if it did."""
        try:
            with self.env.begin(write=True) as txn:
                put = txn.put
                for key, value, _ in batch:
                    put(key, value)
        except Exception as error:  # noqa: BLE001  those who wait for it are told, whatever it is
            return error
        return None


def _settle(batch: list[Queued], error: Exception | None) -> None:
    for _, _, done in batch:
        if error is None:
            done.callback(None)
        else:
            done.errback(error)


class ByHand(Objects):
    """py-lmdb and cbor2, called directly."""

    name = "by hand"

    def __init__(self, data: Data, directory: Path, together: Together) -> None:
        from twisted.internet import reactor

        super().__init__(data, directory, together)
        deliver: Any = reactor
        self.fast = filled(directory / "fast", encoded(data))
        self.durable = lmdb.open(str(directory / "durable"), map_size=MAP_SIZE, lib_version=1)
        self.writer = Writer(self.fast, deliver.callFromThread)
        self.durable_writer = Writer(self.durable, deliver.callFromThread)

    async def close(self) -> None:
        for writer in (self.writer, self.durable_writer):
            writer.close()
            writer.env.close()

    def get(self, key: UUID) -> Deferred[User | None]:
        with self.fast.begin() as txn:
            data = txn.get(b"\0\1" + key.bytes)
        return succeed(None if data is None else User(**cbor2.loads(data)))

    def put(self, item: tuple[UUID, User]) -> Deferred[None]:
        return self.writer.put(b"\0\1" + item[0].bytes, cbor2.dumps(vars(item[1])))

    def durable_put(self, item: tuple[UUID, User]) -> Deferred[None]:
        return self.durable_writer.put(b"\0\1" + item[0].bytes, cbor2.dumps(vars(item[1])))
