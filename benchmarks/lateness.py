# SPDX-License-Identifier: MIT
"""How late the event loop is while events are committed: a call each millisecond notes how late it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import cbor2
import lmdb
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

import zlmdb
from benchmarks.data import Data, Event, EventKey, event_key
from benchmarks.rows import BY_HAND
from zlmdb import aio
from zlmdb.twisted import AsyncDatabase

_INTERVAL: Final = 0.001  # seconds
_EVENTS: Final = 10_000  # of a batch
_BATCHES: Final = 5
_PORTION: Final = 100  # events that arrive in one turn of the loop
_EVERY: Final = 200  # events between two pauses of what is written by hand
_PAUSE: Final = 0.0001  # seconds
_TABLE: Final = zlmdb.MapTimestampUuidCbor(2)

Events = list[tuple[EventKey, Event]]
Ticking = Callable[[Callable[[], None]], Callable[[], object]]
"""What begins to call a function each millisecond, and returns what ends that."""


async def lateness(reactor: Any, data: Data, db: AsyncDatabase, env: lmdb.Environment) -> list[dict[str, Any]]:
    """Return what was noted while nothing happens, while raw LMDB writes in a thread, and while this package does."""
    events = _events(data)
    encoded = [(b"\0\2" + event_key(key), cbor2.dumps(event)) for key, event in events]
    ours = db.map(_TABLE)

    async def idle() -> None:
        await deferLater(reactor, 0.2, lambda: None)

    async def raw() -> None:
        await deferToThread(_insert, env, encoded)

    async def by_hand() -> None:
        await deferToThread(_insert_by_hand, env, events)

    async def function() -> None:
        await db.write(_insert_ours, events)

    async def portions() -> None:
        done: list[Deferred[Any]] = []
        for start in range(0, _EVENTS, _PORTION):
            done.append(ours.put_many(events[start : start + _PORTION]))
            await deferLater(reactor, 0, lambda: None)
        await gatherResults(done)

    return [
        await _noted("idle", _looping, idle, events=0),
        await _noted("raw LMDB, encoded, in a thread", _looping, raw),
        await _noted(BY_HAND, _looping, by_hand),
        await _noted("ours: db.write(fn)", _looping, function),
        await _noted(f"ours: put_many of {_PORTION} in each turn", _looping, portions),
    ]


async def lateness_on_asyncio(data: Data, db: aio.AsyncDatabase) -> dict[str, Any]:
    """Return what was noted while this package writes, on asyncio's loop."""
    events = _events(data)

    async def function() -> None:
        await db.write(_insert_ours, events)

    return await _noted("ours, asyncio: db.write(fn)", _calling_later, function)


def _events(data: Data) -> Events:
    return [data.events[number % data.records] for number in range(_EVENTS)]


def _insert(env: lmdb.Environment, items: list[tuple[bytes, bytes]]) -> None:
    with env.begin(write=True) as txn:
        for key, value in items:
            txn.put(key, value)


def _insert_by_hand(env: lmdb.Environment, events: Events) -> None:
    with env.begin(write=True) as txn:
        for number, ((at, oid), event) in enumerate(events, 1):
            key = int(at).to_bytes(8, "big") + oid.int.to_bytes(16, "big")  # `event_key` takes three times as long
            txn.put(b"\0\3" + key, cbor2.dumps(event))
            if number % _EVERY == 0:
                time.sleep(_PAUSE)  # lets the loop's thread have the interpreter


def _insert_ours(txn: zlmdb.Transaction, events: Events) -> None:
    for key, event in events:
        _TABLE[txn, key] = event


def _looping(function: Callable[[], None]) -> Callable[[], object]:
    call = LoopingCall(function)
    call.start(_INTERVAL, now=False)
    return call.stop


def _calling_later(function: Callable[[], None]) -> Callable[[], object]:
    """Do on asyncio's loop as `LoopingCall` does on the reactor: a call that is late does not delay the next."""
    loop = asyncio.get_running_loop()
    began, handles = loop.time(), list[asyncio.TimerHandle]()

    def schedule() -> None:
        passed = (loop.time() - began) // _INTERVAL
        handles[:] = [loop.call_at(began + (passed + 1) * _INTERVAL, call)]

    def call() -> None:
        function()
        schedule()

    def stop() -> None:
        handles[0].cancel()

    schedule()
    return stop


async def _noted(
    title: str, ticking: Ticking, work: Callable[[], Awaitable[None]], *, events: int = _EVENTS
) -> dict[str, Any]:
    late: list[float] = []
    previous = time.perf_counter()

    def note() -> None:
        nonlocal previous
        now = time.perf_counter()
        late.append(max(0.0, now - previous - _INTERVAL))
        previous = now

    stop = ticking(note)
    began = time.perf_counter()
    for _ in range(_BATCHES):
        await work()
    seconds = time.perf_counter() - began
    stop()
    late.sort()
    return {
        "title": title,
        "p99": late[int(len(late) * 0.99)],
        "max": late[-1],
        "events_per_second": events * _BATCHES / seconds,
    }
