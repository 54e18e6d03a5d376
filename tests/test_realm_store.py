# SPDX-License-Identifier: MIT
"""The realm store: when it acknowledges, and that a stop loses nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults

import zlmdb
from tests.reactor_bench import busy, error_of, run
from tests.realm_bench import (
    RouterSession,
    SubscriptionMap,
    database,
    details,
    logged,
    make,
    message,
    publications,
    run_with_store,
    stored_events,
)
from zlmdb import errors
from zlmdb_eventhistory import Event, EventHistory
from zlmdb_realmstore import Acknowledgement, Publisher, RealmSchema, RealmStore


@pytest.fixture
def using(tmp_path: Path) -> Callable[..., None]:
    return partial(run_with_store, tmp_path / "db")


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], list[Event]]:
    return partial(stored_events, tmp_path / "db")


# --- acknowledging


def test_queued_acknowledges_at_once_and_a_stop_writes_it(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        fired = [store.publish("com.a", [n], {"k": n}, publication=n) for n in range(1, 4)]
        assert all(deferred.called for deferred in fired)
        assert await gatherResults(fired) == [Acknowledgement(n, 999 + n) for n in range(1, 4)]
        assert (store.stats().buffered, store.stats().written) == (3, 0)

    using(test, durability="queued")
    assert [(each.publication, each.time_ns, each.args, each.kwargs) for each in stored()] == [
        (n, 999 + n, [n], {"k": n}) for n in range(1, 4)
    ]


def test_commit_acknowledges_what_another_reader_sees(using: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        def look(acknowledged: Acknowledgement) -> Event | None:
            with zlmdb.Database(tmp_path / "db", sync=False) as db, db.begin() as txn:
                return db.attach(EventHistory).get(txn, acknowledged.publication)

        first = store.publish("com.a", publication=5)
        assert not first.called
        found = await first.addCallback(look)
        assert found is not None
        assert (found.publication, found.time_ns) == (5, 1000)

    using(test, durability="commit")  # long before the interval is over


def test_while_a_batch_is_written_the_next_one_gathers(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        with busy(database(store)):
            first = store.publish("com.a", publication=1)
            flushed = store.flushed()
            others = [store.publish("com.a", publication=n) for n in range(2, 50)]
        await gatherResults([first, flushed, *others])
        assert store.stats().flushes == 2
        assert store.stats().written == 49
        assert store.stats().total_flush >= store.stats().last_flush > 0

    using(test, durability="commit")


def test_the_time_of_an_event_is_that_of_its_publication(using: Any, stored: Any) -> None:
    now = [5]

    async def test(store: RealmStore) -> None:
        await store.publish("com.a", publication=1)
        store.store_event(RouterSession(7), 2, message("com.a"))
        now[0] = 900
        await store.flushed()

    using(test, time_ns=lambda: now[0])
    assert [each.time_ns for each in stored()] == [5, 5]


def test_what_was_published_is_stored_though_it_is_changed_afterwards(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        state = {"list": [1]}
        await store.publish("com.a", [state], state)
        state["list"].append(2)

    using(test)
    (event,) = stored()
    assert (event.args, event.kwargs) == ([{"list": [1]}], {"list": [1]})


def test_a_publication_gets_an_id_of_its_own(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        acknowledged = await gatherResults([store.publish("com.a") for _ in range(100)])
        ids = {each.publication for each in acknowledged}
        assert len(ids) == 100
        assert all(1 <= publication <= 2**53 for publication in ids)

    using(test)


@pytest.mark.parametrize(
    ("publisher", "expected"),
    [
        (None, (None, None, None, None)),
        (7, (7, None, None, None)),
        (Publisher(7, "joe", "user", "realm1"), (7, "joe", "user", "realm1")),
        (RouterSession(8, "ann"), (8, "ann", "user", "realm1")),
        (details(9), (9, "joe", "user", "realm1")),
    ],
)
def test_a_publisher_is_stored(using: Any, stored: Any, publisher: Any, expected: Any) -> None:
    async def test(store: RealmStore) -> None:
        await store.publish("com.a", publisher=publisher)

    using(test)
    (event,) = stored()
    assert (event.publisher, event.publisher_authid, event.publisher_authrole, event.realm) == expected


@pytest.mark.parametrize("durability", ["queued", "commit"])
def test_what_cannot_be_stored_is_refused_before_it_is_acknowledged(using: Any, stored: Any, durability: str) -> None:
    async def test(store: RealmStore) -> None:
        bad: list[Deferred[Any]] = [
            store.publish("com.a", [object()]),
            store.publish("com.a", kwargs={"f": print}),
            store.publish("com.a", 5),
            store.publish(""),
            store.publish(None),  # type: ignore[arg-type]
            store.publish("x" * 2000),
            store.publish("com.a", publication=0),
            store.publish("com.a", publication=2**53 + 1),
        ]
        for deferred in bad:
            await error_of(deferred)
        await store.publish("x" * 1900, payload=b"p")

    using(test, durability=durability)
    assert [(each.topic, each.payload) for each in stored()] == [("x" * 1900, b"p")]


# --- bad records


def test_a_bad_record_fails_alone_and_is_logged_with_its_content(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        with logged() as lines:
            before = store.publish("com.a", publication=1)
            twice = store.publish("com.a", ["the other"], publication=1)
            store.store_event(RouterSession(7), 1, message("com.a", "a third", exclude=[1]))
            after = store.publish("com.a", publication=3)
            await before
            assert isinstance(await error_of(twice), errors.UniqueViolation)
            await after
        complaints = [line for line in lines if "a record was refused" in line]
        assert len(complaints) == 2
        assert "another record owns the key 1" in complaints[0]
        assert "['the other']" in complaints[0]
        assert "a third" in complaints[1]
        assert (store.stats().written, store.stats().failed) == (2, 2)

    using(test, durability="commit")
    assert publications(stored()) == [1, 3]


@pytest.mark.parametrize("fields", [{"exclude": [1, 2, 2**53]}, {"exclude_authid": ["a"]}, {"exclude_authrole": ["b"]}])
def test_publish_options_survive(using: Any, stored: Any, fields: dict[str, Any]) -> None:
    async def test(store: RealmStore) -> None:
        store.store_event(
            RouterSession(7), 1, message("com.a", eligible=5, payload=memoryview(b"x"), enc_algo="mqtt", **fields)
        )

    using(test)
    (event,) = stored()
    assert {name: getattr(event, name) for name in fields} == fields
    assert (event.eligible, event.payload, event.enc_algo, event.args) == ([5], b"x", "mqtt", None)


# --- stopping


def test_stop_writes_what_is_in_flight_buffered_and_waiting(tmp_path: Path, stored: Any) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **{"max-buffer": 2})
        await store.start()
        assert store.is_running
        with busy(database(store)):
            fired = [store.publish("com.a", publication=n) for n in range(1, 7)]
            store.store_session_joined(RouterSession(7), details(7))
            stopped = [store.stop(), store.stop()]
            assert not stopped[0].called
        await gatherResults([*stopped, *fired])
        await store.stop()
        assert not store.is_running

    run(main)
    assert publications(stored()) == [1, 2, 3, 4, 5, 6]
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        assert db.attach(RealmSchema).latest_session(txn, 7) is not None


def test_after_stop_nothing_is_taken(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db", **{"event-history": [{"uri": "com.a"}]})
        await store.start()
        store.attach_subscription_map(SubscriptionMap())
        await store.stop()
        assert isinstance(await error_of(store.publish("com.a")), errors.DatabaseClosed)
        assert isinstance(await error_of(store.events()), errors.DatabaseClosed)
        refused: list[Callable[[], Any]] = [
            lambda: store.store_event(RouterSession(7), 1, message("com.a")),
            lambda: store.store_session_joined(RouterSession(7), details(7)),
            lambda: store.store_session_left(RouterSession(7), None),
            lambda: store.get_session_by_session_id(7),
            lambda: store.get_sessions_by_authid("joe"),
            lambda: store.get_events(101),
        ]
        for call in refused:
            with pytest.raises(errors.DatabaseClosed):
                call()
        assert isinstance(await error_of(store.start()), errors.DatabaseError)

    run(main)


def test_what_comes_before_the_start_waits_for_it(tmp_path: Path, stored: Any) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db")
        early = store.publish("com.a", publication=1)
        store.store_session_joined(RouterSession(7), details(7))
        started = store.start()
        assert not early.called
        await started
        assert (await early).publication == 1
        assert isinstance(await error_of(store.start()), errors.DatabaseError)
        await store.stop()

    run(main)
    assert publications(stored()) == [1]


def test_a_store_that_is_stopped_before_it_opened_fails_what_waited(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        store = make(reactor, tmp_path / "db")
        early = store.publish("com.a")
        started = store.start()
        await store.stop()
        assert isinstance(await error_of(early), errors.DatabaseClosed)
        assert isinstance(await error_of(started), errors.DatabaseClosed)

    run(main)
