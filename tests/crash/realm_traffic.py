# SPDX-License-Identifier: MIT
"""A child that publishes through realm stores, and what its files have to hold after its end.

Arguments: folder, acks, durability, how it is run (``direct`` or ``service``), and how many publications it makes
before it stops by itself (0: until it is ended). Publications go to the stores in turn; each is acknowledged when
its Deferred fired.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zlmdb
from zlmdb_eventhistory import Event, EventHistory

STORES = {"direct": ["db"], "service": ["db", "other"]}


def topic(number: int) -> str:
    return f"com.topic{number % 7}"


def content(number: int) -> list[Any]:
    return [number, "x" * (number * 37 % 900)]


def config(folder: str, name: str, durability: str) -> dict[str, Any]:
    return {"path": str(Path(folder, name)), "durability": durability, "buffer-flush": 20, "max-buffer": 400}


def missing(folder: Path, acked: list[str], names: Sequence[str] = ("db",)) -> list[str]:
    """Return what is wrong in the files: acknowledged events that are not there as published, indexes that differ."""
    faults: list[str] = []
    for position, name in enumerate(names):
        with zlmdb.Database(folder / name) as db:
            rows = _rows(db, faults)
        stored = {event.publication: event for event in rows}
        for number in map(int, acked):
            if number % len(names) == position:
                event = stored.get(number)
                if event is None:
                    faults.append(f"{number} is lost")
                elif (event.topic, event.args, event.publisher) != (topic(number), content(number), number % 5):
                    faults.append(f"{number} is {event}")
        if len(stored) != len(rows):
            faults.append("an event is there twice")
    return faults


def _rows(db: zlmdb.Database, faults: list[str]) -> list[Event]:
    history = db.attach(EventHistory)
    with db.begin() as txn:
        table: dict[int, Event] = dict(history.events.select(txn))
        expected: dict[str, dict[Any, int]] = {
            "publication": {event.publication: key for key, event in table.items()},
            "topic": {(event.topic, key): key for key, event in table.items()},
            "publisher": {(event.publisher, key): key for key, event in table.items()},
            "time": {(event.clock_ns, key): key for key, event in table.items()},
        }
        for name, index in expected.items():
            if dict(history.events.index(name).map.select(txn)) != index:
                faults.append(f"index {name} differs from the table")
    if sorted(table) != list(range(1, len(table) + 1)):
        faults.append("sequences have gaps")
    return list(table.values())


class Traffic:
    """Publishes in bursts of twenty, as fast as the reactor turns, up to a thousand ahead of the acknowledgements."""

    def __init__(self, stores: list[Any], acks: str, count: int, done: Callable[[], object]) -> None:
        self._stores = stores
        self._acks = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._count = count
        self._done = done
        self._number = self._fired = 0
        self._closed = False

    def burst(self) -> None:
        from twisted.internet import reactor

        for _ in range(20 if self._number - self._fired < 1000 else 0):
            number = self._number = self._number + 1
            store = self._stores[number % len(self._stores)]
            fired = store.publish(topic(number), content(number), publication=number, publisher=number % 5)
            fired.addCallbacks(self._acknowledge, self._refused, callbackArgs=(number,))
            if number == self._count:
                return
        if not self._closed:
            reactor.callLater(0.001, self.burst)  # type: ignore[attr-defined]

    def _acknowledge(self, _: object, number: int) -> None:
        os.write(self._acks, b"ACK %d\n" % number)
        self._fired += 1
        if self._fired == self._count:
            self._done()

    def _refused(self, failure: Any) -> None:
        failure.trap(zlmdb.errors.DatabaseClosed)
        self._closed = True


async def main(folder: str, acks: str, durability: str, how: str, count: int) -> None:
    from twisted.internet import reactor

    stores = await started(folder, durability, how)
    Traffic(stores, acks, count, reactor.stop).burst()  # type: ignore[attr-defined]


async def started(folder: str, durability: str, how: str) -> list[Any]:
    from twisted.internet import reactor

    configs = [config(folder, name, durability) for name in STORES[how]]
    if how == "service":
        from zlmdb.twisted.stores import StoreService

        named = [{"type": "zlmdb_realmstore:plugin", "name": each["path"], **each} for each in configs]
        service = StoreService({"stores": named}, reactor, strict=True)
        service.startService()
        await service.started
        return [service.store(each["path"]) for each in configs]
    from zlmdb.plugins import Context, check
    from zlmdb.twisted import open_database
    from zlmdb_realmstore import Config, RealmStore

    context = Context(open_database=open_database, call_later=reactor.callLater, reactor=reactor)  # type: ignore[attr-defined]
    stores = [RealmStore(check(Config, each), context) for each in configs]
    for store in stores:
        await store.start()
    return stores


if __name__ == "__main__":
    from twisted.internet import defer, reactor

    *words, last = sys.argv[1:]
    reactor.callWhenRunning(  # type: ignore[attr-defined]
        lambda: defer.ensureDeferred(main(*words, int(last))).addErrback(lambda f: (f.printTraceback(), os._exit(3)))
    )
    reactor.run()  # type: ignore[attr-defined]
    print("the reactor has ended", flush=True)
