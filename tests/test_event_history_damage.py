# SPDX-License-Identifier: MIT
"""Hostile topics and damaged records: typed errors, nothing else touched, and an end to every loop."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors
from zlmdb_eventhistory import Event, EventHistory, Page, Pattern, Subscription, matches

HOSTILE = ["", ".", "..", "#", "com.#", "\0", "com.\0.a", "com..a", "a" * 480, "é.\U0010ffff", "com. .a", "*.+.?", "%"]


@pytest.fixture
def history(db: zlmdb.Database) -> EventHistory:
    history = db.attach(EventHistory)
    history.clock = lambda: 5_000
    return history


def append(db: zlmdb.Database, history: EventHistory, topics: list[Any], begin: int = 1) -> None:
    with db.begin(write=True) as txn:
        for number, topic in enumerate(topics, start=begin):
            history.append(txn, Event(publication=number, topic=topic, time_ns=number, publisher=3))


def follow(db: zlmdb.Database, history: EventHistory, **query: Any) -> list[Page]:
    pages: list[Page] = []
    with db.begin() as txn:
        while not pages or pages[-1].token is not None:
            pages.append(history.page(txn, after=pages[-1].token if pages else None, **query))
            assert len(pages) < 1_000
    return pages


def publications(pages: list[Page]) -> list[int]:
    return [event.publication for page in pages for event in page.events]


# --- topics


def test_hostile_topics_are_ordinary_topics(db: zlmdb.Database, history: EventHistory) -> None:
    with db.begin(write=True) as txn:
        history.configure(txn, [Pattern("com.", "prefix"), Pattern("..", "wildcard"), Pattern("\0"), Pattern("")])
    append(db, history, HOSTILE)
    for topic in HOSTILE:
        for match in ("exact", "prefix", "wildcard"):
            expected = [n for n, each in enumerate(HOSTILE, 1) if matches(each, topic, match)]  # type: ignore[arg-type]
            assert publications(follow(db, history, topic=topic, match=match, limit=2)) == expected
    with db.begin() as txn:
        assert history.problems(txn) == []
    assert db.check(history).ok


NO_TOPICS = [None, 5, b"com.a", ["com"], "\ud800", "x" * 2_000, "\0" * 1_000, "x" * 10_000_000]


@pytest.mark.parametrize("topic", NO_TOPICS, ids=range(len(NO_TOPICS)))
def test_what_is_no_topic_is_refused_and_changes_nothing(db: zlmdb.Database, history: EventHistory, topic: Any) -> None:
    with db.begin(write=True) as txn:
        history.configure(txn, [Pattern("", "prefix", max_count=2)])
    append(db, history, ["com.a"])
    with db.begin(write=True) as txn:
        with pytest.raises(errors.DataError):
            history.append(txn, Event(publication=2, topic=topic, time_ns=1))
        assert history.append(txn, Event(publication=2, topic="com.a", time_ns=1)) == 2
        assert history.problems(txn) == []
    assert db.check(history).ok


@pytest.mark.parametrize("publication", [True, 1.0, "1", None, -1, 2**64])
def test_what_is_no_publication_id_is_refused(db: zlmdb.Database, history: EventHistory, publication: Any) -> None:
    with db.begin(write=True) as txn:
        with pytest.raises(errors.DataError):
            history.append(txn, Event(publication=publication, topic="com.a", time_ns=1))
        assert history.append(txn, Event(publication=2, topic="com.a", time_ns=1)) == 1


@given(st.text(max_size=60) | st.binary(max_size=40) | st.integers() | st.none())
def test_no_text_is_taken_for_a_token(token: Any) -> None:
    with zlmdb.Database(sync=False) as db:
        history = db.attach(EventHistory)
        append(db, history, ["com.a"])
        with db.begin() as txn:
            if token is None:
                return
            with pytest.raises(errors.BadToken):
                history.page(txn, after=token)


def test_a_rare_wildcard_stops_at_its_budget_and_goes_on(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, [f"com.t{n % 100}.a" for n in range(500)])
    append(db, history, ["com.rare.b"], begin=1000)
    pages = follow(db, history, topic="..b", match="wildcard", scan_budget=100)
    assert [len(page.events) for page in pages] == [0, 0, 0, 0, 0, 1]
    assert publications(pages) == [1000]


# --- damage


GARBAGE = [
    b"",
    b"\xff" * 9,
    cbor2.dumps(5),
    cbor2.dumps({"topic": "com.a"}),
    cbor2.dumps({"topic": 5, "publication": 3, "time_ns": 3, "sequence": 3, "clock_ns": 3}),
    cbor2.dumps({"topic": "com.a", "publication": 3, "time_ns": None, "sequence": 3, "clock_ns": 3}),
    cbor2.dumps({"topic": "com.a", "publication": 3, "time_ns": 3, "sequence": 3, "clock_ns": 3, "other": 1}),
]


def damaged(db: zlmdb.Database, history: EventHistory, data: bytes, *patterns: Pattern) -> None:
    """Append ten events, and write garbage over the third."""
    with db.begin(write=True) as txn:
        history.configure(txn, patterns)
    clock, history.clock = history.clock, lambda: 5
    for number in range(1, 11):
        append(db, history, ["com.a"], begin=number)
        with db.begin(write=True) as txn:
            history.dispatch(txn, number, Subscription("com.a"))
    with db.begin(write=True) as txn:
        txn.put(history.events.raw_key(3), data)
    history.clock = clock


QUERIES: list[dict[str, Any]] = [
    {},
    {"topic": "com.a"},
    {"topic": "com.", "match": "prefix"},
    {"topic": ".a", "match": "wildcard"},
    {"publisher": 3},
    {"subscription": Subscription("com.a")},
    {"from_ns": 2, "until_ns": 20},
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("reverse", [False, True])
def test_a_damaged_event_is_told_and_can_be_passed_over(
    db: zlmdb.Database, history: EventHistory, data: bytes, reverse: bool
) -> None:
    damaged(db, history, data, Pattern("com.", "prefix"))
    for query in QUERIES:
        with db.begin() as txn:
            with pytest.raises(errors.DecodeError) as caught:
                history.page(txn, **query, reverse=reverse)
            assert caught.value.key == 3
            with pytest.raises(errors.DecodeError):
                list(history.select(txn, **query))
        pages = follow(db, history, **query, reverse=reverse, limit=2, skip_damaged=True)
        rest = [n for n in range(1, 11) if n != 3 and n >= query.get("from_ns", 0)]
        assert publications(pages) == (rest[::-1] if reverse else rest)
        assert [sequence for page in pages for sequence in page.damaged] == [3]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("limits", [{"max_age_ns": 100}, {"max_count": 2}, {"max_bytes": 150}])
def test_a_damaged_event_does_not_stop_the_sweep_and_stays_as_it_is(
    db: zlmdb.Database, history: EventHistory, data: bytes, limits: dict[str, int]
) -> None:
    damaged(db, history, data, Pattern("com.", "prefix", **limits))
    told = []
    for _ in range(20):
        with db.begin(write=True) as txn:
            told.append(history.maintain(txn, 2))
    assert [sequence for each in told for sequence in each.damaged] == [3]
    assert not told[-1].more
    with db.begin() as txn:
        assert txn.get(history.events.raw_key(3)) == data
        left = list(history.events.select(txn, return_values=False))
        assert 3 in left
        assert len(left) == (1 if "max_age_ns" in limits else 3)


@pytest.mark.parametrize("field", ["publication", "clock_ns", "publisher", "expires_ns"])
def test_a_record_with_an_impossible_number_does_not_stop_the_sweep(
    db: zlmdb.Database, history: EventHistory, field: str
) -> None:
    fields = {"topic": "com.a", "publication": 3, "time_ns": 3, "sequence": 3, "clock_ns": 3, "expires_ns": 103}
    damaged(db, history, cbor2.dumps(fields | {field: 2**70}), Pattern("com.", "prefix", max_age_ns=100))
    for _ in range(20):
        with db.begin(write=True) as txn:
            told = history.maintain(txn, 2)
    assert not told.more
    with db.begin() as txn:
        assert list(history.events.select(txn, return_values=False)) == [3]
        assert history.by_expiry.count(txn) == 0


def test_filling_passes_over_a_damaged_event_and_tells_it(db: zlmdb.Database, history: EventHistory) -> None:
    damaged(db, history, b"garbage")
    with db.begin(write=True) as txn:
        history.configure(txn, [Pattern("com.", "prefix")])
        told = history.maintain(txn, 100)
    assert (told.filled, told.damaged) == (10, (3,))
    assert publications(follow(db, history, topic="com.", match="prefix")) == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    with db.begin() as txn:
        assert history.problems(txn) == []


@pytest.mark.parametrize("query", QUERIES)
def test_an_index_entry_without_an_event_is_passed_over(
    db: zlmdb.Database, history: EventHistory, query: dict[str, Any]
) -> None:
    damaged(db, history, b"", Pattern("com.", "prefix", max_count=8))
    with db.begin(write=True) as txn:
        txn.delete(history.events.raw_key(3))
        txn.delete(history.events.raw_key(1))
    assert 5 in publications(follow(db, history, **query, limit=2))
    for _ in range(20):
        with db.begin(write=True) as txn:
            told = history.maintain(txn, 1)
    assert not told.more
    with db.begin() as txn:
        assert any("has no event" in line or "is not there" in line for line in history.problems(txn))


def test_lost_index_entries_end_in_no_endless_loop(db: zlmdb.Database, history: EventHistory) -> None:
    damaged(db, history, b"", Pattern("com.", "prefix", max_count=3))
    with db.begin(write=True) as txn:
        history.by_pattern.truncate(txn)
    append(db, history, ["com.a"] * 5, begin=100)
    with db.begin(write=True) as txn:
        assert not history.maintain(txn, 100).more
        assert history.problems(txn)
