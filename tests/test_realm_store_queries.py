# SPDX-License-Identifier: MIT
"""The realm store read: buffer and file are one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from twisted.internet.defer import gatherResults

import zlmdb
from tests.reactor_bench import error_of, run
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
from zlmdb.plugins import Context, check
from zlmdb.twisted import open_database
from zlmdb_eventhistory import Event
from zlmdb_realmstore import Config, RealmSchema, RealmStore, Session, plugin

SESSION_DETAILS = "realm session authid authrole authmethod authprovider authextra serializer transport"
SESSION_DETAILS += " resumed resumable resume_token"


@pytest.fixture
def using(tmp_path: Path) -> Callable[..., None]:
    return partial(run_with_store, tmp_path / "db")


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[], list[Event]]:
    return partial(stored_events, tmp_path / "db")


# --- reading


def test_events_pages_through_buffer_and_file_as_one(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        found: list[int] = []
        token = None
        for number in range(20):
            await gatherResults([store.publish("com.a", publication=3 * number + n) for n in range(1, 4)])
            page = await store.events(topic="com.", match="prefix", limit=2, after=token)
            found += publications(page.events)
            token = page.token
        while token is not None:
            page = await store.events(topic="com.", match="prefix", limit=2, after=token)
            found += publications(page.events)
            token = page.token
        assert found == list(range(1, 61))
        assert isinstance(await error_of(store.events(limit=0)), errors.ConfigError)

    using(test)


HISTORY = [
    {"uri": "com.a", "limit": 5},
    {"uri": "com.", "match": "prefix"},
    {"uri": "com..b", "match": "wildcard"},
]


def test_get_events_answers_at_once_from_buffer_and_file(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        subscriptions = SubscriptionMap()
        store.attach_subscription_map(subscriptions)
        assert subscriptions.observed == [(store, item["uri"], item.get("match", "exact")) for item in HISTORY]
        assert store.get_events(101) == []
        assert store.get_events(100) is None
        for n in range(1, 4):
            store.store_event(RouterSession(7), n, message("com.a", n))
            store.store_event_history(n, 101, RouterSession(8))
            store.store_event_history(n, 101, RouterSession(9))
        await store.flushed()
        store.store_event(RouterSession(7), 4, message("com.x.b", 4))
        store.store_event(RouterSession(7), 5, message("org.a", 5))
        store.store_event(RouterSession(7), 6, message("com.a", 6))
        assert ids(store.get_events(101)) == [6, 3, 2, 1]
        assert ids(store.get_events(102)) == [6, 4, 3, 2, 1]
        assert ids(store.get_events(103)) == [4]
        assert ids(store.get_events(102, limit=2)) == [6, 4]
        assert ids(store.get_events(102, 3)) == [6, 4, 3]
        assert store.get_events(102, 0) == []
        assert (store.get_events(101) or [])[0] == {
            "time_ns": 1004,
            "realm": "realm1",
            "session_id": 7,
            "authid": "joe",
            "authrole": "user",
            "publication": 6,
            "topic": "com.a",
            "args": [6],
            "kwargs": None,
        }
        await gatherResults([store.publish("com.a", publication=n) for n in range(7, 20)])
        assert ids(store.get_events(101, 100)) == [19, 18, 17, 16, 15]
        assert store.stats().written == 3  # nothing was flushed for it

    using(test, **{"event-history": HISTORY})


def ids(events: list[dict[str, Any]] | None) -> list[int]:
    assert events is not None
    return [event["publication"] for event in events]


def test_a_batch_that_is_being_written_is_shown_once(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        store.attach_subscription_map(SubscriptionMap())
        await store.publish("com.a", publication=1)
        await store.flushed()
        await gatherResults([store.publish("com.a", publication=n) for n in (2, 3)])
        flushed = store.flushed()
        # the writer's thread commits whenever it likes; what this thread sees must not depend on it
        for _ in range(200):
            assert ids(store.get_events(101)) == [3, 2, 1]
            assert ids(store.get_event_history(101, None, None)) == [1, 2, 3]
        await flushed
        assert ids(store.get_events(101)) == [3, 2, 1]

    using(test, **{"event-history": HISTORY})


@pytest.mark.parametrize("flush", [False, True])
def test_history_between_times(using: Any, flush: bool) -> None:
    async def test(store: RealmStore) -> None:
        store.attach_subscription_map(SubscriptionMap())
        for n in range(1, 6):
            await store.publish("com.x", publication=n)
            if flush and n == 3:
                await store.flushed()
        assert ids(store.get_event_history(102, 1001, 1004)) == [2, 3, 4]
        assert ids(store.get_event_history(102, 1001, 1004, reverse=True)) == [4, 3, 2]
        assert ids(store.get_event_history(102, 1001, 1004, limit=2)) == [2, 3]
        assert ids(store.get_event_history(102, 1001, 1004, True, 1)) == [4]
        assert store.get_event_history(102, 0, 0) == []
        assert ids(store.get_event_history(102, 0, None)) == [1, 2, 3, 4, 5]
        assert store.get_event_history(999, 0, None) is None

    using(test, **{"event-history": HISTORY})


def test_topics_that_are_not_listed_are_not_kept(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        store.store_event(RouterSession(7), 1, message("org.a"))
        store.store_event(RouterSession(7), 2, message("com.a"))
        assert isinstance(await error_of(store.publish("org.a")), errors.WrongValue)

    using(test, **{"event-history": [{"uri": "com.a"}]})
    assert publications(stored()) == [2]


def test_an_empty_list_keeps_everything_only_without_a_subscription_map(using: Any, stored: Any) -> None:
    async def test(store: RealmStore) -> None:
        store.store_event(RouterSession(7), 1, message("com.a"))
        store.attach_subscription_map(SubscriptionMap())
        store.store_event(RouterSession(7), 2, message("com.a"))

    using(test)
    assert publications(stored()) == [1]


# --- sessions


@pytest.mark.parametrize("flush", [False, True])
def test_sessions_are_found_in_buffer_and_file(using: Any, flush: bool) -> None:
    async def test(store: RealmStore) -> None:
        for number, authid in enumerate(["joe", "ann", "joe", "joe"]):
            session_id = 7 if number < 3 else 8
            store.store_session_joined(RouterSession(session_id), details(session_id, authid))
            if flush:
                await store.flushed()
        found = store.get_session_by_session_id(7)
        assert found is not None
        assert list(found) == SESSION_DETAILS.split()
        assert (found["realm"], found["session"], found["authid"]) == ("realm1", 7, "joe")
        assert (found["authextra"], found["transport"]) == ({"a": 1}, {"peer": "tcp4:127.0.0.1:5000"})
        assert (store.get_session_by_session_id(7, joined_before=1002) or {})["authid"] == "ann"
        assert store.get_session_by_session_id(7, joined_before=1000) is None
        assert store.get_session_by_session_id(7, joined_before=0) is None
        assert store.get_session_by_session_id(9) is None
        assert store.get_sessions_by_authid("joe") == [(8, 1003), (7, 1002), (7, 1000)]
        assert store.get_sessions_by_authid("jo") == []

    using(test)


def test_the_time_of_leaving_is_stored(using: Any, tmp_path: Path) -> None:
    async def test(store: RealmStore) -> None:
        sessions = [RouterSession(1), RouterSession(2), RouterSession(3)]
        for session in sessions:
            store.store_session_joined(session, details(session._session_id or 0))
        sessions[0]._session_id = None  # the router unsets it first
        store.store_session_left(sessions[0], SimpleNamespace(reason="wamp.close.normal"))
        await store.flushed()
        store.store_session_left(sessions[1], None)

    async def restarted(store: RealmStore) -> None:
        store.store_session_left(RouterSession(3), None)
        with logged() as lines:
            store.store_session_left(RouterSession(99), None)
            await store.flushed()
        assert any("left that did not join" in line and "session_id=99" in line for line in lines)

    using(test)
    using(restarted, time_ns=lambda: 5000)
    with zlmdb.Database(tmp_path / "db") as db:
        schema = db.attach(RealmSchema)
        with db.begin() as txn:
            found = sorted((s.session, s.joined_at, s.left_at) for s in schema.sessions.select(txn, return_keys=False))
    assert found == [(1, 1000, 1003), (2, 1001, 1004), (3, 1002, 5000)]


def test_a_session_without_an_id_is_refused(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        with pytest.raises(errors.WrongValue):
            store.store_session_joined(RouterSession(None), SimpleNamespace(session=None))

    using(test)


def test_sessions_of_existing_files_are_found_by_authid_too(using: Any, tmp_path: Path) -> None:
    """The tables have the identities and the layout of FORMAT.md section 6.1."""

    @zlmdb.table("403ecc06-f564-4ea9-92f2-c4c13bd2ba5a", build=Session.build, cast=Session.cast)
    class OldSessions(zlmdb.Map[UUID, Session]):
        key_kind, value_kind = "Uuid", "FlatBuffers"

    @zlmdb.table("0ea1ea1a-45f2-4352-a4a0-1fafff099c96")
    class OldIndex(zlmdb.Map[Any, UUID]):
        key_kind, value_kind = "Uint64Timestamp", "Uuid"

    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        old, index = db.attach_table(OldSessions), db.attach_table(OldIndex)
        old.attach_index("idx1", index, lambda session: (session.session, session.joined_at))
        with db.begin(write=True) as txn:
            for n in range(1, 4):
                oid = UUID(int=n)
                old[txn, oid] = Session(
                    oid=oid, session=n, joined_at=n, realm="realm1", authid="joe" if n > 1 else None
                )

    async def test(store: RealmStore) -> None:
        assert store.get_sessions_by_authid("joe") == [(3, 3), (2, 2)]
        assert (store.get_session_by_session_id(1) or {})["session"] == 1
        with database(store).begin() as txn:
            assert store.schema.sessions.slot == old.slot
            assert store.schema.sessions.count(txn) == 3

    using(test)


@pytest.mark.parametrize("wrong", ["x", 1.5, True, [1]])
def test_what_is_no_time_is_refused_whether_anything_is_buffered_or_not(using: Any, wrong: Any) -> None:
    async def test(store: RealmStore) -> None:
        store.attach_subscription_map(SubscriptionMap())
        for _ in range(2):
            store.store_session_joined(RouterSession(7), details(7))
            store.store_event(RouterSession(7), 1, message("com.a"))
            questions: list[Callable[[], object]] = [
                lambda: store.get_session_by_session_id(7, joined_before=wrong),
                lambda: store.get_session_by_session_id(7, joined_at=wrong),
                lambda: store.get_event_history(101, wrong, None),
                lambda: store.get_event_history(101, None, wrong),
            ]
            for question in questions:
                with pytest.raises(errors.WrongType, match="nanoseconds"):
                    question()
            await store.flushed()

    using(test, **{"event-history": [{"uri": "com.a"}]})


# --- options


def test_a_store_opened_read_only_reads(using: Any) -> None:
    async def write(store: RealmStore) -> None:
        await store.publish("com.a", publication=1)
        store.store_session_joined(RouterSession(7), details(7))

    async def read(store: RealmStore) -> None:
        assert publications((await store.events()).events) == [1]
        assert store.get_session_by_session_id(7) is not None
        assert isinstance(await error_of(store.publish("com.a")), errors.ReadonlyTransaction)
        with pytest.raises(errors.ReadonlyTransaction):
            store.store_event(RouterSession(7), 1, message("com.a"))

    using(write)
    using(read, readonly=True)


def test_the_configuration_is_that_of_existing_files_and_is_checked() -> None:
    config = check(Config, {"type": "realmstore", "path": "db", "event-history": [{"uri": "com.a"}]})
    assert (config.max_buffer, config.buffer_flush, config.durability, config.overflow) == (
        10_000,
        200,
        "queued",
        "wait",
    )
    assert (config.limit, config.event_history[0].match, config.event_history[0].limit) == (100, "exact", None)
    wrong = {
        "sweep-interval": 1e-300,
        "max-buffer": 0,
        "overflow": "drop",
        "event-history": [{"match": "regex"}],
        "call-queue": [{"uri": 5}],
    }
    with pytest.raises(errors.ConfigError) as caught:
        check(Config, wrong)
    assert {problem.partition(":")[0] for problem in caught.value.problems} == {
        "store.path",
        "store.sweep-interval",
        "store.max-buffer",
        "store.overflow",
        "store.event-history[0].uri",
        "store.event-history[0].match",
        "store.call-queue[0].uri",
    }
    assert (plugin.name, plugin.api, plugin.config) == ("realmstore", (1, 0), Config)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"event-history": [{"uri": "a", "max-count": 2**70}]}, "store.event-history[0].max-count"),
        ({"event-history": [{"uri": "a", "max-bytes": 2**64}]}, "store.event-history[0].max-bytes"),
        ({"event-history": [{"uri": "a", "limit": 2**70}]}, "store.event-history[0].limit"),
        ({"event-history": [{"uri": "\ud800"}]}, "store.event-history[0].uri"),
        ({"event-history": [{"uri": "a"}, {"uri": "a"}]}, "store"),
        ({"call-queue": [{"uri": "a", "limit": 2**70}]}, "store.call-queue[0].limit"),
        ({"limit": 2**70}, "store.limit"),
        ({"sweep-interval": 1e-9}, "store.sweep-interval"),
        ({"path": ""}, "store.path"),
    ],
)
def test_what_could_not_be_started_is_refused_by_the_check(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        check(Config, {"path": "db", **wrong})
    (problem,) = caught.value.problems
    assert problem.partition(": ")[0] == place
    assert "expected" in problem


def test_the_largest_limit_that_the_check_takes_can_be_asked_for(using: Any) -> None:
    async def test(store: RealmStore) -> None:
        store.attach_subscription_map(SubscriptionMap())
        await store.publish("com.a", publication=1)
        for asked in (None, 2**70, 10_000_000):
            assert [each["publication"] for each in store.get_events(101, asked) or []] == [1]

    using(
        test, limit=10_000_000, **{"event-history": [{"uri": "com.a", "max-count": 2**64 - 1, "max-bytes": 2**64 - 1}]}
    )


def test_without_a_reactor_it_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="Twisted"):
        RealmStore(Config(path=str(tmp_path)), Context(open_database=open_database, call_later=lambda *_: None))


def test_the_router_can_treat_it_as_an_observer(tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        stores = {make(reactor, tmp_path / "db"), make(reactor, tmp_path / "db")}
        assert len(stores) == 2
        assert {(store._session_id, store.type, store.is_running) for store in stores} == {(None, "realmstore", False)}

    run(main)
