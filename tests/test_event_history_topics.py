# SPDX-License-Identifier: MIT
"""The event history asked by pattern: few among many are found by their topics, in order, in bounded pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cbor2 import CBORTag

import zlmdb
from tests.realm_bench import SubscriptionMap, run_with_store
from zlmdb import errors
from zlmdb_eventhistory import Event, EventHistory, Page
from zlmdb_realmstore import RealmStore


def history_of(db: zlmdb.Database, topics: list[str], **fields: Any) -> EventHistory:
    """Append an event to each topic, with publication ids from 0 on."""
    history = db.attach(EventHistory)
    with db.begin(write=True) as txn:
        for number, topic in enumerate(topics):
            history.append(txn, Event(publication=number, topic=topic, time_ns=1000 + number, **fields))
    return history


def pages(db: zlmdb.Database, history: EventHistory, **query: Any) -> list[Page]:
    found: list[Page] = []
    with db.begin() as txn:
        while not found or found[-1].token is not None:
            found.append(history.page(txn, after=found[-1].token if found else None, **query))
    return found


def publications(found: list[Page]) -> list[int]:
    return [each.publication for page in found for each in page.events]


NOISE = ["com.noisy"] * 300


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("topic", "match"), [("com.rare", "prefix"), ("com.rare.", "wildcard"), ("com.rare.a", "exact")]
)
def test_a_rare_topic_is_found_without_looking_at_the_others(
    db: zlmdb.Database, topic: str, match: str, reverse: bool
) -> None:
    history = history_of(db, ["com.rare.a", *NOISE, "com.rare.a"])
    (page,) = pages(db, history, topic=topic, match=match, reverse=reverse, scan_budget=3)
    assert publications([page]) == ([301, 0] if reverse else [0, 301])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("number", [3, 64, 65, 100])
def test_a_prefix_gives_the_events_of_all_its_topics_in_order(db: zlmdb.Database, number: int, reverse: bool) -> None:
    """Topics that are few are merged; with more than 64 of them, all events are looked at."""
    topics = [f"com.a.{n % number}" if n % 3 else "com.b" for n in range(400)]
    history = history_of(db, topics)
    expected = [n for n in range(400) if n % 3]
    found = pages(db, history, topic="com.a.", match="prefix", limit=50, reverse=reverse)
    assert publications(found) == (expected[::-1] if reverse else expected)


def test_topics_with_nuls_and_with_signs_of_any_size_belong_to_their_prefix(db: zlmdb.Database) -> None:
    topics = ["a", "a\0", "a\0b", "a\U0010ffff", "aé", "b", "a"]
    history = history_of(db, topics)
    assert publications(pages(db, history, topic="a", match="prefix")) == [0, 1, 2, 3, 4, 6]
    assert publications(pages(db, history, topic="a\0", match="prefix")) == [1, 2]


def test_a_page_ends_once_it_has_its_bytes_and_the_token_goes_on(db: zlmdb.Database) -> None:
    history = history_of(db, ["com.a"] * 10, payload=b"x" * 1000)
    found = pages(db, history, topic="com.a", max_bytes=2500)
    assert [len(page.events) for page in found] == [3, 3, 3, 1]
    assert publications(found) == list(range(10))
    assert [len(page.events) for page in pages(db, history, max_bytes=1)] == [1] * 10 + [0]


# --- a subscription's history


def stored(store: RealmStore, topics: list[str]) -> None:
    """Put events into the store's file; their ids count from 1."""
    db = store._db
    assert db is not None
    with db.database.begin(write=True) as txn:
        for number, topic in enumerate(topics, start=1):
            store.schema.history.append(txn, Event(publication=number, topic=topic, time_ns=number))


@pytest.mark.parametrize(("uri", "match"), [("com.rare", "prefix"), (".rare.", "wildcard"), ("com.rare.a", "exact")])
def test_the_history_of_a_subscription_is_found_behind_many_other_events(tmp_path: Path, uri: str, match: str) -> None:
    async def test(store: RealmStore) -> None:
        store.attach_subscription_map(SubscriptionMap())
        stored(store, ["com.rare.a", *["com.noisy"] * 10_500, "com.rare.a"])
        assert [each["publication"] for each in store.get_events(101) or []] == [10_502, 1]
        assert [each["publication"] for each in store.get_events(101, 1) or []] == [10_502]
        await store.publish("com.rare.a", publication=20_000)
        oldest = store.get_event_history(101, None, None)
        assert [each["publication"] for each in oldest or []] == [1, 10_502, 20_000]

    kept = [{"uri": uri, "match": match}, {"uri": "com.noisy"}]
    run_with_store(tmp_path / "db", test, **{"event-history": kept})


# --- what is stored can be read


@pytest.mark.parametrize(
    "content",
    [
        CBORTag(27, ["5f0e1c3a-0b6e-4a25-9a76-1f2d3c4b5a69", {}]),
        CBORTag(28, [CBORTag(29, 0)]),
        CBORTag(0, "yesterday"),
        object(),
        "\ud800",
    ],
)
def test_an_event_that_could_not_be_read_is_not_storable(content: object) -> None:
    with pytest.raises(errors.EncodeError, match="cannot be stored"):
        Event(publication=1, topic="com.a", time_ns=1, args=[content]).storable()


def test_a_storable_event_is_what_reading_gives() -> None:
    inner: list[Any] = []
    event = Event(publication=1, topic="com.a", time_ns=1, args=[(1, 2.5, inner)], kwargs={"a": b"b"}, payload=b"")
    copy = event.storable()
    inner.append(1)
    assert copy == Event(publication=1, topic="com.a", time_ns=1, args=[[1, 2.5, []]], kwargs={"a": b"b"}, payload=b"")
