# SPDX-License-Identifier: MIT
"""Realm stores on a real reactor, and the objects that a router hands to them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher

import zlmdb
from tests.reactor_bench import run
from zlmdb.plugins import Context, check
from zlmdb.twisted import AsyncDatabase, open_database
from zlmdb_eventhistory import Event, EventHistory
from zlmdb_realmstore import Config, RealmStore

NEVER = 3_600_000  # a flush interval that no test lives to see


class Clock:
    """Nanoseconds that count the questions, from 1000 on; those of the history, which has it too, stand still."""

    def __init__(self) -> None:
        self.now = 999

    def __call__(self) -> int:
        if sys._getframe(1).f_globals["__name__"].startswith("zlmdb_eventhistory."):
            return self.now
        self.now += 1
        return self.now


class RouterSession:
    """What a router hands over as a session; its id may be unset at any time."""

    def __init__(self, session_id: int | None, authid: str = "joe") -> None:
        self._session_id = session_id
        self._authid = authid
        self._authrole = "user"
        self._realm = "realm1"


class SubscriptionMap:
    """The part of a router's subscription map that a store uses."""

    def __init__(self) -> None:
        self.observed: list[tuple[Any, str, str]] = []

    def add_observer(self, observer: Any, uri: str, match: str) -> tuple[Any, bool, bool]:
        self.observed.append((observer, uri, match))
        return SimpleNamespace(id=100 + len(self.observed)), False, True


def details(session: int, authid: str = "joe", **fields: Any) -> SimpleNamespace:
    transport = SimpleNamespace(marshal=lambda: {"peer": "tcp4:127.0.0.1:5000"})
    known = {"realm": "realm1", "authrole": "user", "authmethod": "anonymous", "authprovider": "static"}
    return SimpleNamespace(session=session, authid=authid, authextra={"a": 1}, transport=transport, **known, **fields)


def message(topic: str, *args: Any, **fields: Any) -> SimpleNamespace:
    """A publish message."""
    return SimpleNamespace(topic=topic, args=list(args) or None, **fields)


def make(reactor: Any, path: Path, *, time_ns: Callable[[], int] | None = None, **options: Any) -> RealmStore:
    def opened(*args: Any, **kwargs: Any) -> Any:
        return open_database(*args, reactor=reactor, **kwargs)

    config = check(Config, {"path": str(path), "buffer-flush": NEVER, "sync": False, **options})
    clock = time_ns or Clock()
    return RealmStore(
        config, Context(open_database=opened, call_later=reactor.callLater, time_ns=clock, reactor=reactor)
    )


def run_with_store(path: Path, test: Callable[[RealmStore], Coroutine[Any, Any, Any]], **options: Any) -> None:
    """Run a test with a started store, and stop it."""

    async def main(reactor: Any) -> None:
        store = make(reactor, path, **options)
        await store.start()
        await test(store)
        await store.stop()

    run(main)


def stored_events(path: Path) -> list[Event]:
    """Read the events out of the file."""
    with zlmdb.Database(path, sync=False) as db:
        history = db.attach(EventHistory)
        with db.begin() as txn:
            return list(history.events.select(txn, return_keys=False))


def database(store: RealmStore) -> AsyncDatabase:
    db = store._db
    assert db is not None
    return db


def publications(events: list[Event]) -> list[int]:
    return [each.publication for each in events]


@contextmanager
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: Any) -> None:
        lines.append(str(formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)


def pause(store: RealmStore) -> Deferred[None]:
    """Give the reactor a turn."""
    turn: Deferred[None] = Deferred()
    store._context.call_later(0.001, lambda: turn.callback(None))
    return turn
