# SPDX-License-Identifier: MIT
# ruff: noqa: D102  # the names of tests are sentences
"""`RealmStoreContract`: what any store behind a router's realm-store interface has to do (FORMAT.md section 7.1)."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from zlmdb.errors import DatabaseClosed
from zlmdb.testing.contracts.store import StoreContract


class RouterSession:
    """What a router hands over as a session."""

    def __init__(self, session_id: int | None, authid: str = "joe") -> None:
        self._session_id = session_id
        self._authid = authid
        self._authrole = "user"
        self._realm = "realm1"


class SubscriptionMap:
    """The part of a router's subscription map that a store uses; its ids are other ones in each process."""

    def __init__(self, first: int = 100) -> None:
        self.ids: dict[str, int] = {}
        self.observers: set[Any] = set()
        self._next = first

    def add_observer(self, observer: Any, uri: str, match: str = "exact", **_: Any) -> tuple[Any, bool, bool]:
        """Note an observer."""
        self.observers.add(observer)  # a store has to be hashable
        self.ids[uri] = self._next = self._next + 1
        return SimpleNamespace(id=self._next, uri=uri, match=match), False, True


def session_details(session_id: int, authid: str = "joe", **fields: Any) -> Any:
    """Return the details of a session that joins."""
    known = {"realm": "realm1", "authrole": "user", "authmethod": "ticket", "authprovider": "static"}
    transport = SimpleNamespace(marshal=lambda: {"peer": "tcp4:127.0.0.1:5000"})
    unset = dict.fromkeys(["serializer", "resumed", "resumable", "resume_token"])
    extra = {"authextra": {"seat": 7}, "transport": transport}
    return SimpleNamespace(session=session_id, authid=authid, **{**known, **unset, **extra, **fields})


def publish_message(topic: str, *args: Any, **kwargs: Any) -> Any:
    """Return a publish message."""
    unset = ["payload", "enc_algo", "enc_key", "enc_serializer", "acknowledge", "retain", "exclude_me", "exclude"]
    unset += ["exclude_authid", "exclude_authrole", "eligible", "eligible_authid", "eligible_authrole"]
    return SimpleNamespace(topic=topic, args=list(args) or None, kwargs=kwargs or None, **dict.fromkeys(unset))


class RealmStoreContract(StoreContract):
    """The tests of a realm store; see `StoreContract` for how to run them on yours.

    `configuration` has to give a store that keeps the history of ``history`` and queues the calls of ``calls``, which
    are items as the configuration of a router has them. Its methods are synchronous, but for the steps of its life.
    """

    history: ClassVar[list[dict[str, Any]]] = [
        {"uri": "com.exact"},
        {"uri": "com.pre.", "match": "prefix", "limit": 5},
        {"uri": "com..wild", "match": "wildcard"},
    ]
    calls: ClassVar[list[dict[str, Any]]] = [{"uri": "com.slow", "limit": 2}, {"uri": "com.slower", "limit": 2}]

    def configuration(self, directory: Path) -> dict[str, Any]:
        """Return the keys of a router's configuration."""
        return {"path": str(directory / "store"), "event-history": self.history, "call-queue": self.calls}

    def publish(self, store: Any, publication: int, topic: str, *args: Any, session: Any = None) -> None:
        """Have the store keep a publication, a second after the last one, as the router does for two receivers."""
        self.clock.advance(1)
        store.store_event(session or RouterSession(7), publication, publish_message(topic, *args))
        for receiver in (8, 9):
            store.store_event_history(publication, 101, RouterSession(receiver))

    # --- history

    def test_the_history_of_a_subscription_is_newest_first_and_has_each_publication_once(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            ids = observed(store)
            for number in range(1, 6):
                self.publish(store, number, "com.exact", number)
            self.publish(store, 6, "com.other")
            events = store.get_events(ids["com.exact"])
            assert [event["publication"] for event in events] == [5, 4, 3, 2, 1]
            assert [event["args"] for event in events] == [[5], [4], [3], [2], [1]]
            assert [event["publication"] for event in store.get_events(ids["com.exact"], 2)] == [5, 4]

        self.run(tmp_path, test)

    def test_an_event_tells_what_was_published_by_whom_and_when_in_plain_types(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            ids = observed(store)
            self.publish(store, 2**53, "com.exact", 1, "two", [3], {"four": None})
            (event,) = store.get_events(ids["com.exact"])
            assert json.loads(json.dumps(event)) == event
            assert event["args"] == [1, "two", [3], {"four": None}]
            assert (event["topic"], event["publication"]) == ("com.exact", 2**53)
            assert (event["session_id"], event["authid"], event["authrole"]) == (7, "joe", "user")
            assert (event["realm"], event["time_ns"]) == ("realm1", self.clock.now)

        self.run(tmp_path, test)

    def test_patterns_see_what_they_match_and_no_more(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            ids = observed(store)
            topics = [
                "com.pre.a",
                "com.pre.b.c",
                "com.pre",
                "com.any.wild",
                "com.wild",
                "com.any.wild.x",
                "net.any.wild",
            ]
            for number, topic in enumerate(topics, start=1):
                self.publish(store, number, topic)
            assert [event["publication"] for event in store.get_events(ids["com.pre."])] == [2, 1]
            assert [event["publication"] for event in store.get_events(ids["com..wild"])] == [4]

        self.run(tmp_path, test)

    def test_no_history_is_none_and_an_empty_one_is_empty(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            ids = observed(store)
            assert store.get_events(ids["com.exact"]) == []
            assert store.get_events(999) is None
            assert store.get_event_history(999, 0, self.clock.now) is None

        self.run(tmp_path, test)

    def test_a_history_is_bounded_by_times_in_either_order(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            ids = observed(store)
            times = []
            for number in range(1, 6):
                self.publish(store, number, "com.exact")
                times.append(self.clock.now)
            between = ids["com.exact"], times[1], times[3]
            ascending = [event["publication"] for event in store.get_event_history(*between)]
            descending = [event["publication"] for event in store.get_event_history(*between, reverse=True, limit=1)]
            assert (ascending, descending) == ([2, 3], [3])

        self.run(tmp_path, test)

    def test_history_is_there_after_a_restart_under_other_subscription_ids(self, tmp_path: Path) -> None:
        self.need_persistence()

        async def first(store: Any) -> None:
            observed(store)
            for number in range(1, 4):
                self.publish(store, number, "com.exact", number)

        async def then(store: Any) -> None:
            ids = observed(store, first=5000)
            assert [event["args"] for event in store.get_events(ids["com.exact"])] == [[3], [2], [1]]
            self.publish(store, 4, "com.exact", 4)
            assert [event["args"] for event in store.get_events(ids["com.exact"], 2)] == [[4], [3]]

        self.run(tmp_path, first)
        self.run(tmp_path, then)

    def test_a_stop_loses_nothing_of_what_it_took(self, tmp_path: Path) -> None:
        self.need_persistence()

        async def first(store: Any) -> None:
            observed(store)
            for number in range(1, 101):
                self.publish(store, number, "com.exact", number)

        async def then(store: Any) -> None:
            found = store.get_events(observed(store)["com.exact"], 1000)
            assert [event["publication"] for event in found] == list(range(100, 0, -1))

        self.run(tmp_path, first)
        self.run(tmp_path, then)

    # --- sessions

    def test_sessions_are_found_by_id_and_by_authid_newest_first(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            joined = []
            for session_id, authid in ((1, "joe"), (2, "ann"), (3, "joe"), (1, "joe")):
                self.clock.advance(1)
                store.store_session_joined(RouterSession(session_id, authid), session_details(session_id, authid))
                joined.append(self.clock.now)
            found = store.get_session_by_session_id(2)
            assert (found["session"], found["authid"], found["realm"]) == (2, "ann", "realm1")
            assert (found["authrole"], found["authmethod"], found["authextra"]) == ("user", "ticket", {"seat": 7})
            assert store.get_session_by_session_id(99) is None
            assert list(map(tuple, store.get_sessions_by_authid("joe"))) == [
                (1, joined[3]),
                (3, joined[2]),
                (1, joined[0]),
            ]
            assert not store.get_sessions_by_authid("nobody")

        self.run(tmp_path, test)

    def test_a_session_that_left_is_still_known_after_a_restart(self, tmp_path: Path) -> None:
        async def first(store: Any) -> None:
            session = RouterSession(1)
            store.store_session_joined(session, session_details(1))
            self.clock.advance(5)
            session._session_id = None  # as the router may have done by now
            store.store_session_left(session, SimpleNamespace(reason="wamp.close.normal", message=None))
            assert store.get_session_by_session_id(1)["authid"] == "joe"

        async def then(store: Any) -> None:
            assert store.get_session_by_session_id(1)["authid"] == "joe"

        self.run(tmp_path, first)
        self.need_persistence()
        self.run(tmp_path, then)

    # --- calls

    def test_calls_wait_in_their_order_for_each_registration_up_to_the_limit(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            one, two = (SimpleNamespace(id=number, uri=uri) for number, uri in ((1, "com.slow"), (2, "com.slower")))
            calls = [SimpleNamespace(request=number) for number in range(4)]
            assert store.get_queued_call(one) is None
            assert store.pop_queued_call(one) is None
            queued = [store.maybe_queue_call(RouterSession(7), call, one, {"allow": True}) for call in calls[:3]]
            assert list(map(bool, queued)) == [True, True, False]
            assert store.maybe_queue_call(RouterSession(7), calls[3], two, None)
            assert store.get_queued_call(one).call is calls[0]
            popped = store.pop_queued_call(one)
            assert (popped.call, popped.registration, popped.authorization) == (calls[0], one, {"allow": True})
            assert store.pop_queued_call(one).call is calls[1]
            assert store.pop_queued_call(one) is None
            assert store.pop_queued_call(two).call is calls[3]

        self.run(tmp_path, test)

    def test_calls_of_a_procedure_without_a_queue_are_not_queued(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            registration = SimpleNamespace(id=1, uri="com.quick")
            assert not store.maybe_queue_call(RouterSession(7), SimpleNamespace(), registration, None)
            assert store.get_queued_call(registration) is None

        self.run(tmp_path, test)

    # --- the end

    def test_a_stopped_store_takes_nothing_more(self, tmp_path: Path) -> None:
        async def get(store: Any) -> Any:
            observed(store)
            return store

        store = self.run(tmp_path, get)
        with pytest.raises(DatabaseClosed):
            self.publish(store, 1, "com.exact")
        with pytest.raises(DatabaseClosed):
            store.store_session_joined(RouterSession(1), session_details(1))


def observed(store: Any, first: int = 100) -> dict[str, int]:
    """Have the store observe its subscriptions, and return their ids by URI."""
    subscriptions = SubscriptionMap(first)
    store.attach_subscription_map(subscriptions)
    return subscriptions.ids
