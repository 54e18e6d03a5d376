# SPDX-License-Identifier: MIT
"""Configured patterns: their indexes, how they are filled and dropped, and what they keep."""

from __future__ import annotations

from typing import Any

import pytest

import zlmdb
from zlmdb import errors
from zlmdb_eventhistory import Event, EventHistory, Maintenance, Pattern, Subscription

SECOND = 10**9


@pytest.fixture
def history(db: zlmdb.Database) -> EventHistory:
    return clocked(db.attach(EventHistory), 0)


def clocked(history: EventHistory, now: int) -> EventHistory:
    history.clock = lambda: now
    return history


def append(db: zlmdb.Database, history: EventHistory, topics: list[str], begin: int = 1, **fields: Any) -> None:
    with db.begin(write=True) as txn:
        for number, topic in enumerate(topics, start=begin):
            history.append(txn, Event(**{"publication": number, "topic": topic, "time_ns": number * SECOND, **fields}))


def configure(db: zlmdb.Database, history: EventHistory, *patterns: Pattern) -> bool:
    with db.begin(write=True) as txn:
        return history.configure(txn, patterns)


def slices(db: zlmdb.Database, history: EventHistory, limit: int = 1000) -> list[Maintenance]:
    found: list[Maintenance] = []
    while not found or found[-1].more:
        with db.begin(write=True) as txn:
            found.append(history.maintain(txn, limit))
        assert len(found) < 10_000
    return found


def publications(db: zlmdb.Database, history: EventHistory, **query: Any) -> list[int]:
    found: list[int] = []
    token = None
    with db.begin() as txn:
        while True:
            page = history.page(txn, after=token, **query)
            found += [event.publication for event in page.events]
            if (token := page.token) is None:
                return found


def indexed(db: zlmdb.Database, history: EventHistory) -> dict[tuple[int, int], int]:
    with db.begin() as txn:
        return dict(history.by_pattern.select(txn))


def sound(db: zlmdb.Database, history: EventHistory) -> bool:
    with db.begin() as txn:
        assert history.problems(txn) == []
    report = db.check(history)
    assert report.ok, str(report)
    return True


# --- indexes


@pytest.mark.parametrize(("uri", "match"), [("com.a.", "prefix"), ("com..x", "wildcard"), ("com.a.x", "exact")])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_configured_pattern_is_a_range_of_an_index(
    db: zlmdb.Database, history: EventHistory, uri: str, match: Any, reverse: bool
) -> None:
    configure(db, history, Pattern(uri, match))
    noise = [f"org.{n}" for n in range(100)]
    append(db, history, [*noise, "com.a.x", *noise, "com.a.x"])
    with db.begin() as txn:
        page = history.page(txn, topic=uri, match=match, reverse=reverse, scan_budget=3)
    assert [event.publication for event in page.events] == ([202, 101] if reverse else [101, 202])
    assert page.token is None
    assert sound(db, history)


def test_a_new_pattern_is_filled_in_slices_while_events_are_appended(db: zlmdb.Database, history: EventHistory) -> None:
    topics = [f"com.{n % 70}.x" for n in range(200)]
    append(db, history, topics)
    query: dict[str, Any] = {"topic": "com.", "match": "prefix"}
    assert configure(db, history, Pattern("com.", "prefix"))
    done = 0
    for number in range(20):
        with db.begin(write=True) as txn:
            told = history.maintain(txn, 15)
            assert told.filled <= 15
            done += told.filled
        append(db, history, ["com.new"], begin=300 + number)
        assert publications(db, history, **query) == [*range(1, 201), *range(300, 301 + number)]
        assert sound(db, history)
    assert done == 200
    with db.begin() as txn:
        assert history.patterns_kept(txn) == {Pattern("com.", "prefix"): True}
        assert len(history.page(txn, **query, limit=50, scan_budget=50).events) == 50


def test_filling_goes_on_after_the_database_was_opened_again(tmp_path: Any) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        history = clocked(db.attach(EventHistory), 0)
        append(db, history, ["com.a"] * 50)
        configure(db, history, Pattern("com.", "prefix"))
        with db.begin(write=True) as txn:
            assert history.maintain(txn, 20) == Maintenance(filled=20, more=True)
    with zlmdb.Database(tmp_path / "db") as db:
        history = clocked(db.attach(EventHistory), 0)
        assert sum(told.filled for told in slices(db, history, 20)) == 30
        assert len(indexed(db, history)) == 50
        assert sound(db, history)


def test_a_removed_pattern_loses_its_index_in_slices_and_queries_find_the_same(
    db: zlmdb.Database, history: EventHistory
) -> None:
    configure(db, history, Pattern("com.", "prefix"), Pattern("", "prefix"))
    append(db, history, ["com.a", "org.b"] * 30)
    assert len(indexed(db, history)) == 90
    assert configure(db, history, Pattern("", "prefix"))
    told = slices(db, history, 25)
    assert sum(each.dropped for each in told) == 30
    assert all(each.dropped <= 25 for each in told)
    assert len(indexed(db, history)) == 60
    assert publications(db, history, topic="com.", match="prefix") == list(range(1, 61, 2))
    assert configure(db, history)
    slices(db, history)
    assert indexed(db, history) == {}
    with db.begin() as txn:
        assert history.patterns.count(txn) == 0
    assert sound(db, history)


def test_a_pattern_that_comes_back_while_it_is_dropped_is_a_new_one(db: zlmdb.Database, history: EventHistory) -> None:
    pattern = Pattern("com.", "prefix")
    configure(db, history, pattern)
    append(db, history, ["com.a"] * 30)
    configure(db, history)
    with db.begin(write=True) as txn:
        history.maintain(txn, 10)
    configure(db, history, pattern)
    slices(db, history, 7)
    assert len(indexed(db, history)) == 30
    assert publications(db, history, topic="com.", match="prefix") == list(range(1, 31))
    assert sound(db, history)


def test_the_same_configuration_changes_nothing(db: zlmdb.Database, history: EventHistory) -> None:
    patterns = Pattern("com.", "prefix", max_count=5), Pattern("org")
    assert configure(db, history, *patterns)
    append(db, history, ["com.a"] * 3)
    before = indexed(db, history)
    assert not configure(db, history, *patterns[::-1])
    assert slices(db, history) == [Maintenance()]
    assert indexed(db, history) == before


def test_a_configuration_that_was_rolled_back_is_forgotten(db: zlmdb.Database, history: EventHistory) -> None:
    with pytest.raises(ZeroDivisionError), db.begin(write=True) as txn:
        history.configure(txn, [Pattern("com.", "prefix")])
        history.append(txn, Event(publication=1, topic="com.a", time_ns=1))
        raise ZeroDivisionError
    append(db, history, ["com.a"])
    assert indexed(db, history) == {}
    assert sound(db, history)


def test_another_handle_sees_the_patterns_of_the_file(db: zlmdb.Database, history: EventHistory) -> None:
    other = clocked(db.attach(EventHistory), 0)
    append(db, other, ["com.a"])
    configure(db, history, Pattern("com.", "prefix"))
    append(db, other, ["com.a"], begin=2)
    assert list(indexed(db, history)) == [(1, 2)]
    slices(db, other)
    assert list(indexed(db, history)) == [(1, 1), (1, 2)]


@pytest.mark.parametrize(
    "wrong",
    [
        "com.",
        5,
        ["com."],
        [Pattern(5)],  # type: ignore[arg-type]
        [Pattern("a\ud800")],
        [Pattern("a", "regex")],  # type: ignore[arg-type]
        [Pattern("a", max_count=0)],
        [Pattern("a", max_count=True)],
        [Pattern("a", max_age_ns=-1)],
        [Pattern("a", max_age_ns=2**64)],
        [Pattern("x" * 1_967)],
        [Pattern("a", max_bytes=1.5)],  # type: ignore[arg-type]
        [Pattern("a"), Pattern("a", max_count=1)],
    ],
)
def test_what_is_no_pattern_is_refused_and_changes_nothing(
    db: zlmdb.Database, history: EventHistory, wrong: Any
) -> None:
    kept = Pattern("com.", "prefix")
    configure(db, history, kept)
    with db.begin(write=True) as txn:
        with pytest.raises((errors.ConfigError, errors.WrongType)) as caught:
            history.configure(txn, wrong)
        assert caught.value.expected
        assert list(history.patterns_kept(txn)) == [kept]
        with pytest.raises(errors.ConfigError):
            history.maintain(txn, 0)


# --- retention


def test_what_has_had_its_time_is_not_seen_before_it_is_swept(db: zlmdb.Database, history: EventHistory) -> None:
    configure(db, history, Pattern("com.", "prefix", max_age_ns=10 * SECOND))
    append(db, history, ["com.a", "org.b"] * 10)
    with db.begin(write=True) as txn:
        history.dispatch(txn, 1, Subscription("com.a"))
    clocked(history, 20 * SECOND)  # those of second 10 and before have had their ten seconds
    kept = [n for n in range(1, 21) if n % 2 == 0 or n > 10]
    for reverse in (False, True):
        assert publications(db, history, reverse=reverse) == (kept[::-1] if reverse else kept)
    assert publications(db, history, topic="com.", match="prefix", limit=1) == [11, 13, 15, 17, 19]
    assert publications(db, history, topic="com.a") == [11, 13, 15, 17, 19]
    assert publications(db, history, subscription=Subscription("com.a")) == []
    with db.begin() as txn:
        assert (history.get(txn, 9), history.dispatches(txn, 1)) == (None, [])
        assert history.get(txn, 11) is not None
        assert [event.publication for event in history.select(txn)] == kept
        assert history.events.count(txn) == 20
    told = slices(db, history, 2)
    assert sum(each.swept for each in told) == 5
    assert all(each.swept <= 2 for each in told)
    with db.begin() as txn:
        assert (history.events.count(txn), history.sent.count(txn)) == (15, 0)
    assert publications(db, history) == kept
    assert sound(db, history)


def test_the_newest_stay_where_a_pattern_has_too_many(db: zlmdb.Database, history: EventHistory) -> None:
    configure(db, history, Pattern("com.", "prefix", max_count=3), Pattern("com.b", max_count=1))
    append(db, history, ["com.a", "com.b", "org.c", "com.b", "com.a", "com.a"])
    assert publications(db, history) == [3, 4, 5, 6]
    assert publications(db, history, topic="com.", match="prefix", scan_budget=3) == [4, 5, 6]
    assert sum(told.swept for told in slices(db, history, 1)) == 2
    assert publications(db, history) == [3, 4, 5, 6]
    assert sound(db, history)


def test_bytes_are_kept_within_their_limit(db: zlmdb.Database, history: EventHistory) -> None:
    configure(db, history, Pattern("com.", "prefix", max_bytes=5_000))
    append(db, history, ["com.a"] * 12, payload=b"x" * 1_000)
    kept = publications(db, history)
    assert kept == [9, 10, 11, 12]
    with db.begin() as txn:
        assert sum(event.size() for event in history.select(txn)) <= 5_000
    slices(db, history)
    assert publications(db, history) == kept
    append(db, history, ["com.a"], begin=20, payload=b"x" * 6_000)
    assert publications(db, history) == []
    assert sound(db, history)


def test_limits_hold_for_what_was_there_before_them(db: zlmdb.Database, history: EventHistory) -> None:
    append(db, history, ["com.a"] * 100)
    configure(db, history, Pattern("com.a", max_count=10))
    assert publications(db, history) == list(range(1, 101))  # not compared with it yet
    slices(db, history, 7)
    assert publications(db, history) == list(range(91, 101))
    configure(db, history, Pattern("com.a", max_count=4, max_age_ns=5 * SECOND))
    assert publications(db, history) == list(range(91, 101))
    clocked(history, 103 * SECOND)
    assert publications(db, history) == [99, 100]
    slices(db, history, 3)
    assert publications(db, history) == [99, 100]
    with db.begin() as txn:
        assert history.events.count(txn) == 2
    assert sound(db, history)


def test_a_longer_age_keeps_what_was_not_swept_yet(db: zlmdb.Database, history: EventHistory) -> None:
    configure(db, history, Pattern("", "prefix", max_age_ns=SECOND))
    append(db, history, ["com.a"] * 5)
    clocked(history, 100 * SECOND)
    assert publications(db, history) == []
    configure(db, history, Pattern("", "prefix", max_age_ns=1000 * SECOND))
    assert publications(db, history) == [1, 2, 3, 4, 5]
    slices(db, history, 1)
    assert publications(db, history) == [1, 2, 3, 4, 5]
    configure(db, history)
    slices(db, history, 2)
    clocked(history, 10_000 * SECOND)
    slices(db, history)
    assert publications(db, history) == [1, 2, 3, 4, 5]
    with db.begin() as txn:
        assert history.by_expiry.count(txn) == 0
    assert sound(db, history)


def test_sequences_go_on_when_everything_was_swept(db: zlmdb.Database, history: EventHistory) -> None:
    configure(db, history, Pattern("", "prefix", max_age_ns=SECOND))
    append(db, history, ["com.a"] * 5)
    with db.begin() as txn:
        token = history.page(txn, limit=3).token
    clocked(history, 100 * SECOND)
    slices(db, history)
    append(db, history, ["com.a"], begin=100)
    with db.begin() as txn:
        page = history.page(txn, limit=3, after=token)
        assert [(event.sequence, event.publication) for event in page.events] == [(6, 100)]


def test_a_clock_that_was_ahead_for_a_while_holds_nothing_back(db: zlmdb.Database, history: EventHistory) -> None:
    configure(db, history, Pattern("", "prefix", max_age_ns=10 * SECOND))
    append(db, history, ["com.a"], begin=1, time_ns=10**18)
    append(db, history, ["com.a"] * 5, begin=2)
    clocked(history, 100 * SECOND)
    slices(db, history)
    assert publications(db, history) == [1]
    assert sound(db, history)
