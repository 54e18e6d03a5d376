# SPDX-License-Identifier: MIT
"""Dispatch records: to which subscriptions an event was sent, and the events of a subscription."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors
from zlmdb_eventhistory import Dispatch, Event, EventHistory, Page, Subscription

ALL = Subscription("com.", "prefix")
ONE = Subscription("com.a")


@pytest.fixture
def history(db: zlmdb.Database) -> EventHistory:
    return db.attach(EventHistory)


def append(txn: zlmdb.Transaction, history: EventHistory, *publications: int, **fields: Any) -> None:
    for number in publications:
        history.append(txn, Event(**{"publication": number, "topic": "com.a", "time_ns": 1000, **fields}))


def found(txn: zlmdb.Transaction, history: EventHistory, **query: Any) -> list[int]:
    pages: list[Page] = []
    while not pages or pages[-1].token is not None:
        pages.append(history.page(txn, after=pages[-1].token if pages else None, **query))
    return [event.publication for page in pages for event in page.events]


def test_one_record_is_kept_for_all_receivers(db: zlmdb.Database, history: EventHistory) -> None:
    with db.begin(write=True) as txn:
        append(txn, history, 1, 2)
        assert history.dispatch(txn, 1, ALL, receivers=[5, 6], time_ns=2000) == Dispatch(
            sequence=1, uri="com.", match="prefix", time_ns=2000, receivers=[5, 6]
        )
        again = history.dispatch(txn, 1, ALL, receivers=[6, 7], time_ns=3000, retained=True, acknowledged=True)
        history.dispatch(txn, 1, ONE)
    assert again == Dispatch(
        sequence=1, uri="com.", match="prefix", time_ns=2000, receivers=[5, 6, 7], retained=True, acknowledged=True
    )
    with db.begin() as txn:
        assert history.dispatches(txn, 1) == [Dispatch(sequence=1, uri="com.a", match="exact", time_ns=1000), again]
        assert again.subscription == ALL
        assert history.dispatches(txn, 2) == history.dispatches(txn, 3) == []
        assert found(txn, history, subscription=ALL) == [1]
        assert history.problems(txn) == []
    assert db.check(history).ok


def test_a_subscription_is_its_uri_and_its_policy(db: zlmdb.Database, history: EventHistory) -> None:
    with db.begin(write=True) as txn:
        append(txn, history, 1, 2, 3)
        history.dispatch(txn, 1, Subscription("com.a", "exact"))
        history.dispatch(txn, 2, Subscription("com.a", "prefix"))
        history.dispatch(txn, 3, Subscription("com.a\0", "exact"))
    with db.begin() as txn:
        assert found(txn, history, subscription=Subscription("com.a")) == [1]
        assert found(txn, history, subscription=Subscription("com.a", "prefix")) == [2]
        assert found(txn, history, subscription=Subscription("com.a", "wildcard")) == []
        assert found(txn, history, subscription=Subscription("com.a\0")) == [3]


def test_filters_are_combined(db: zlmdb.Database, history: EventHistory) -> None:
    with db.begin(write=True) as txn:
        for number in range(40):
            topic = "com.a" if number % 2 else "com.b"
            append(txn, history, number, topic=topic, publisher=number % 3, time_ns=number // 5)
            if number % 4 < 3:
                history.dispatch(txn, number, ALL)
    with db.begin() as txn:
        query: dict[str, Any] = {"subscription": ALL, "topic": "com.a", "publisher": 1, "from_ns": 2, "until_ns": 7}
        expected = [n for n in range(10, 35) if n % 4 < 3 and n % 2 and n % 3 == 1]
        assert expected
        assert found(txn, history, **query, limit=2) == expected
        assert found(txn, history, **query, limit=2, reverse=True, scan_budget=3) == expected[::-1]


@pytest.mark.parametrize(
    ("details", "error"),
    [
        ({"receivers": ["joe"]}, errors.WrongValue),
        ({"receivers": [-1]}, errors.WrongValue),
        ({"receivers": [2**64]}, errors.WrongValue),
        ({"time_ns": -1}, errors.WrongValue),
        ({"time_ns": "now"}, errors.WrongValue),
        ({"subscription": "com."}, errors.ConfigError),
        ({"subscription": Subscription("\ud800")}, errors.ConfigError),
        ({"subscription": Subscription("x" * 2000)}, errors.KeyTooLong),
        ({"publication": 9}, errors.RecordMissing),
    ],
)
def test_what_cannot_be_a_dispatch_leaves_nothing(
    db: zlmdb.Database, history: EventHistory, details: dict[str, Any], error: type[Exception]
) -> None:
    with db.begin(write=True) as txn:
        append(txn, history, 1)
        arguments = {"publication": 1, "subscription": ALL, **details}
        with pytest.raises(error):
            history.dispatch(txn, arguments.pop("publication"), arguments.pop("subscription"), **arguments)
        assert history.sent.count(txn) == 0
    assert db.check(history).ok


@given(
    sent=st.lists(st.lists(st.sampled_from([ALL, ONE, Subscription(".b", "wildcard")])), min_size=1, max_size=30),
    limits=st.lists(st.integers(1, 5), min_size=1),
    reverse=st.booleans(),
)
def test_pages_give_each_event_once_though_all_have_one_time_and_others_are_appended(
    sent: list[list[Subscription]], limits: list[int], reverse: bool
) -> None:
    with zlmdb.Database(sync=False) as db:
        history = db.attach(EventHistory)
        made = 0

        def add(subscriptions: list[Subscription]) -> None:
            nonlocal made
            with db.begin(write=True) as txn:
                made += 1
                append(txn, history, made)
                for subscription in subscriptions:
                    history.dispatch(txn, made, subscription, receivers=[made])

        for each in sent:
            add(each)
        expected = [n for n, each in enumerate(sent, start=1) if ALL in each]
        meanwhile, result, token = [[ALL], [ONE], [ALL]], list[int](), None
        for round_ in range(1000):
            with db.begin() as txn:
                limit = limits[round_ % len(limits)]
                page = history.page(txn, subscription=ALL, limit=limit, reverse=reverse, after=token)
            result += [event.publication for event in page.events]
            if (token := page.token) is None:
                break
            if meanwhile:
                add(meanwhile[0])
                if meanwhile.pop(0) == [ALL] and not reverse:
                    expected.append(made)
        assert result == (expected[::-1] if reverse else expected)
