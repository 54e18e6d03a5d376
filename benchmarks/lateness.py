# SPDX-License-Identifier: MIT
"""How late the event loop is while events are committed: a call each millisecond notes how late it comes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import cbor2
import lmdb
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

import zlmdb
from benchmarks.data import Data, event_key
from zlmdb.twisted import AsyncDatabase

_INTERVAL: Final = 0.001  # seconds
_EVENTS: Final = 10_000  # of a batch
_BATCHES: Final = 5
_PORTION: Final = 100  # events that arrive in one turn of the loop


async def lateness(reactor: Any, data: Data, db: AsyncDatabase, env: lmdb.Environment) -> list[dict[str, Any]]:
    """Return what was noted while nothing happens, while raw LMDB writes in a thread, and while this package does."""
    events = [data.events[number % data.records] for number in range(_EVENTS)]
    encoded = [(b"\0\2" + event_key(key), cbor2.dumps(event)) for key, event in events]
    table = zlmdb.MapTimestampUuidCbor(2)
    ours = db.map(table)

    def insert(txn: zlmdb.Transaction) -> None:
        for key, event in events:
            table[txn, key] = event

    async def idle() -> None:
        await deferLater(reactor, 0.2, lambda: None)

    async def raw() -> None:
        await deferToThread(_insert, env, encoded)

    async def function() -> None:
        await db.write(insert)

    async def portions() -> None:
        done: list[Deferred[Any]] = []
        for start in range(0, _EVENTS, _PORTION):
            done.append(ours.put_many(events[start : start + _PORTION]))
            await deferLater(reactor, 0, lambda: None)
        await gatherResults(done)

    return [
        await _noted("idle", idle, events=0),
        await _noted("raw LMDB, encoded, in a thread", raw),
        await _noted("ours: db.write(fn)", function),
        await _noted(f"ours: put_many of {_PORTION} in each turn", portions),
    ]


def _insert(env: lmdb.Environment, items: list[tuple[bytes, bytes]]) -> None:
    with env.begin(write=True) as txn:
        for key, value in items:
            txn.put(key, value)


async def _noted(title: str, work: Callable[[], Awaitable[None]], *, events: int = _EVENTS) -> dict[str, Any]:
    late: list[float] = []
    previous = time.perf_counter()

    def note() -> None:
        nonlocal previous
        now = time.perf_counter()
        late.append(max(0.0, now - previous - _INTERVAL))
        previous = now

    ticking = LoopingCall(note)
    ticking.start(_INTERVAL, now=False)
    began = time.perf_counter()
    for _ in range(_BATCHES):
        await work()
    seconds = time.perf_counter() - began
    ticking.stop()
    late.sort()
    return {
        "title": title,
        "p99": late[int(len(late) * 0.99)],
        "max": late[-1],
        "events_per_second": events * _BATCHES / seconds,
    }
