# SPDX-License-Identifier: MIT
"""How the life of a realm store begins and ends: other programs' files, newer files, full buffers, shutdowns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import gatherResults

import zlmdb
from tests.reactor_bench import busy, error_of, run
from tests.realm_bench import (
    NEVER,
    RouterSession,
    SubscriptionMap,
    database,
    details,
    make,
    message,
    publications,
    run_with_store,
    stored_events,
)
from zlmdb import errors
from zlmdb.plugins import SchemaVersions, State
from zlmdb.twisted.stores import StoreService
from zlmdb_eventhistory import OldHistory
from zlmdb_eventhistory._importing import OldPublication
from zlmdb_realmstore import RealmSchema, RealmStore, Session


@pytest.fixture
def using(tmp_path: Path) -> Callable[..., None]:
    return partial(run_with_store, tmp_path / "db")


def sessions(path: Path) -> dict[int, Session]:
    with zlmdb.Database(path) as db, db.begin() as txn:
        return {each.session: each for each in db.attach(RealmSchema).sessions.select(txn, return_keys=False)}


# --- sessions


def test_why_a_session_left_is_stored(using: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        session = RouterSession(7)
        store.store_session_joined(session, details(7))
        session._session_id = None
        store.store_session_left(session, SimpleNamespace(reason="wamp.close.normal", message="bye"))

    using(test)
    left = sessions(tmp_path / "db")[7]
    assert (left.left_at, left.left_reason, left.left_message) == (1001, "wamp.close.normal", "bye")


def test_sessions_that_are_there_at_the_stop_leave_with_it(using: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        staying = [RouterSession(number) for number in (7, 8)]
        for session in staying:
            store.store_session_joined(session, details(session._session_id or 0))
        stopped = store.stop()
        for session in staying:
            store.store_session_left(session, None)  # a router says so too, when its connections close
        with pytest.raises(errors.DatabaseClosed):
            store.store_session_left(staying[0], None)
        await stopped

    using(test)
    stored = sessions(tmp_path / "db")
    assert {number: (each.left_at, each.left_reason) for number, each in stored.items()} == {
        7: (1002, "wamp.close.system_shutdown"),
        8: (1003, "wamp.close.system_shutdown"),
    }


def test_a_session_is_found_by_when_it_joined(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        for authid in ("first", "second"):
            store.store_session_joined(RouterSession(7, authid), details(7, authid))
        await store.flushed()

        def authid(*args: Any, **options: Any) -> Any:
            return (store.get_session_by_session_id(7, *args, **options) or {}).get("authid")

        assert [authid(), authid(1001), authid(1000)] == ["second", "first", None]
        assert [authid(joined_at=1001), authid(joined_at=1002), authid(0)] == ["second", None, None]

    using(test)


# --- the buffer of callers that do not wait


def test_what_a_router_was_told_is_kept_though_the_buffer_is_full_and_the_file_too(using: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            for number in range(1, 30):
                store.store_event(RouterSession(7), number, message("com.a"))
            assert store.is_full
            waits = store.publish("com.a", publication=100)
            assert not waits.called
        await waits
        assert not store.is_full
        assert store.stats().refused == 0

    using(test, **{"max-buffer": 5})
    assert sorted(publications(stored_events(tmp_path / "db"))) == [*range(1, 30), 100]


def test_a_router_that_does_not_stop_is_refused_at_last(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            store.store_event(RouterSession(7), 1, message("com.a"))
            first = store.flushed()
            for number in range(2, 10_007):
                store.store_event(RouterSession(7), number, message("com.a"))
            with pytest.raises(errors.Backpressure):
                store.store_event(RouterSession(7), 99_999, message("com.a"))
        await gatherResults([first, store.flushed()])
        assert store.stats().written == 10_006

    using(test, **{"max-buffer": 5})


# --- a start that fails


def test_a_store_that_could_not_start_refuses_with_the_cause(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "data.mdb").write_bytes(b"no database" * 1000)

    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **{"event-history": [{"uri": "com.a"}]})
        store.attach_subscription_map(SubscriptionMap())
        early = store.publish("com.a")
        started = error_of(store.start())
        assert isinstance(await error_of(early), errors.NotADatabase)
        assert isinstance(await started, errors.NotADatabase)
        with pytest.raises(errors.NotADatabase):
            store.store_event(RouterSession(7), 1, message("com.a"))
        with pytest.raises(errors.NotADatabase):
            store.store_session_joined(RouterSession(7), details(7))
        assert store.get_events(101) == []
        await store.stop()

    run(main)


def test_records_of_a_router_whose_store_never_opened_are_counted_at_the_stop(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db")
        store.store_session_joined(RouterSession(7), details(7))
        error = await error_of(store.stop())
        assert isinstance(error, errors.NotWritten)
        assert "1 acknowledged" in str(error)

    run(main)


def test_a_newer_file_and_other_options_stop_one_store_and_no_other(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "newer") as db, db.begin(write=True) as txn:
        db.attach_table(SchemaVersions)[txn, "realmstore"] = 99

    async def main(reactor: Any) -> None:
        common = {"type": "realmstore", "buffer-flush": NEVER}
        stores = [
            {**common, "name": "good", "path": str(tmp_path / "db")},
            {**common, "name": "newer", "path": str(tmp_path / "newer")},
            {**common, "name": "other", "path": str(tmp_path / "db"), "sync": False},
        ]
        service = StoreService({"stores": stores}, reactor)
        service.startService()
        await service.started
        reasons = service.reasons()
        assert isinstance(reasons["newer"].__cause__, errors.SchemaTooNew)
        assert isinstance(reasons["other"].__cause__, errors.OptionsConflict)
        assert service.states() == {"good": State.STARTED, "newer": State.FAILED, "other": State.FAILED}
        await service.store("good", RealmStore).publish("com.a", publication=1)
        await service.stopService()

    run(main)
    assert publications(stored_events(tmp_path / "db")) == [1]
    with zlmdb.Database(tmp_path / "newer") as db:
        assert db.stats()["num_slots"] == 1


# --- files of other programs


def test_publications_of_other_programs_are_in_the_history_once(tmp_path: Path) -> None:
    history = {"event-history": [{"uri": "com.", "match": "prefix"}], "sweep-slice": 2}
    with zlmdb.Database(tmp_path / "db") as db:
        old = db.attach(OldHistory).publications
        with db.begin(write=True) as txn:
            for number, time_ns in ((3, 500), (1, 700), (2, 600)):
                old[txn, number] = OldPublication(
                    publication=number, timestamp=time_ns, topic="com.old", publisher=7, args=[number]
                )

    async def life(reactor: Any, expected: list[int]) -> None:
        store = make(reactor, tmp_path / "db", **history)
        subscriptions = SubscriptionMap()
        store.attach_subscription_map(subscriptions)
        await store.start()
        found = store.get_events(101) or []
        assert [event["publication"] for event in found] == expected
        assert [event["time_ns"] for event in found if event["publication"] < 10] == [700, 600, 500]
        store.store_event(RouterSession(7), 10 + len(expected), message("com.new"))
        await store.stop()

    async def main(reactor: Any) -> None:
        await life(reactor, [1, 2, 3])
        await life(reactor, [13, 1, 2, 3])

    run(main)


# --- bounds of the history


def test_events_beyond_the_bounds_are_neither_shown_nor_kept(tmp_path: Path) -> None:
    bounds = {"event-history": [{"uri": "com.a", "max-count": 3}, {"uri": "com.b"}], "sweep-interval": 0.01}

    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **bounds)
        store.attach_subscription_map(SubscriptionMap())
        await store.start()
        for number in range(1, 9):
            store.store_event(RouterSession(7), number, message("com.a" if number % 2 else "com.b"))
        await store.flushed()
        assert [event["publication"] for event in store.get_events(101) or []] == [7, 5, 3]
        assert [event["publication"] for event in store.get_events(102) or []] == [8, 6, 4, 2]
        while await database(store).read(lambda txn: store.schema.history.events.count(txn)) > 7:
            pass
        await store.stop()

    run(main)
