# SPDX-License-Identifier: MIT
"""A history under anything in any order: nothing is lost, what is let go is not seen, and every index agrees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import zlmdb
from tests.test_event_history_patterns import configure, publications, slices, sound
from zlmdb_eventhistory import Event, EventHistory, Pattern, Subscription, matches

LIMITS = st.one_of(st.none(), st.integers(1, 6))
PATTERNS = [("com.", "prefix"), ("com..x", "wildcard"), ("com.a.x", "exact"), ("", "prefix")]
CONFIGURATIONS = st.dictionaries(st.sampled_from(PATTERNS), st.tuples(LIMITS, LIMITS), max_size=3)
TOPICS = ["com.a.x", "com.b.x", "com.a", "org.a", "com.a.y"]
SUBSCRIPTIONS = [Subscription("com.", "prefix"), Subscription("com.a.x")]


class Histories(RuleBasedStateMachine):
    """Appends, configurations, slices and the passing of time in any order, compared with a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.db = zlmdb.Database(sync=False)
        self.history = self.db.attach(EventHistory)
        self.now = 100
        self.history.clock = lambda: self.now
        self.made: list[Event] = []
        self.ages: list[tuple[str, str, int]] = []  # all limits that ever were
        self.counts: list[tuple[str, str, int]] = []
        self.sent: dict[Subscription, set[int]] = {each: set() for each in SUBSCRIPTIONS}

    def teardown(self) -> None:
        with self.db:
            slices(self.db, self.history, 3)
            assert sound(self.db, self.history)
            self.events_are_kept_and_let_go()

    @rule(rows=st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(-3, 1)), min_size=1, max_size=8))
    def append(self, rows: list[tuple[str, int]]) -> None:
        with self.db.begin(write=True) as txn:
            for topic, ago in rows:
                event = Event(publication=len(self.made), topic=topic, time_ns=self.now + ago)
                assert self.history.append(txn, event) == len(self.made) + 1
                self.made.append(event)

    @rule(wanted=CONFIGURATIONS)
    def configure(self, wanted: dict[tuple[str, Any], tuple[int | None, int | None]]) -> None:
        patterns = [Pattern(*place, max_age_ns=age, max_count=count) for place, (age, count) in wanted.items()]
        configure(self.db, self.history, *patterns)
        self.ages += [(p.uri, p.match, p.max_age_ns) for p in patterns if p.max_age_ns]
        self.counts += [(p.uri, p.match, p.max_count) for p in patterns if p.max_count]

    @rule(limit=st.integers(1, 12))
    def maintain(self, limit: int) -> None:
        with self.db.begin(write=True) as txn:
            told = self.history.maintain(txn, limit)
        assert told.swept + told.filled + told.dropped <= limit
        assert told.damaged == ()

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.made)
    @rule(back=st.integers(1, 5), subscription=st.sampled_from(SUBSCRIPTIONS))
    def dispatch(self, back: int, subscription: Subscription) -> None:
        publication = self.made[-min(back, len(self.made))].publication
        with self.db.begin(write=True) as txn:
            if self.history.get(txn, publication) is not None:
                self.history.dispatch(txn, publication, subscription, receivers=[back])
                self.sent[subscription].add(publication)

    @invariant()
    def the_indexes_agree(self) -> None:
        with self.db.begin() as txn:
            assert self.history.problems(txn) == []

    @invariant()
    def events_are_kept_and_let_go(self) -> None:
        with self.db.begin() as txn:
            seen = [event.publication for event in self.history.select(txn)]
            present = list(self.history.patterns_kept(txn))
            ready = self.history.filling(txn) is None
        for event in self.made:
            if event.publication not in seen:
                assert any(self.let_go(event)), f"{event} is lost"
        for pattern in present:
            held = [n for n in seen if matches(self.made[n].topic, pattern.uri, pattern.match)]
            if pattern.max_age_ns:
                assert all(self.made[n].time_ns + pattern.max_age_ns > self.now for n in held)
            if pattern.max_count and ready:
                assert len(held) <= pattern.max_count

    def let_go(self, event: Event) -> Iterator[bool]:
        for uri, match, age in self.ages:
            yield matches(event.topic, uri, match) and event.time_ns + age <= self.now  # type: ignore[arg-type]
        for uri, match, count in self.counts:
            newer = [e for e in self.made[event.publication + 1 :] if matches(e.topic, uri, match)]  # type: ignore[arg-type]
            yield matches(event.topic, uri, match) and len(newer) >= count  # type: ignore[arg-type]

    @invariant()
    def every_way_finds_the_same(self) -> None:
        seen = publications(self.db, self.history)
        for uri, match in PATTERNS:
            expected = [n for n in seen if matches(self.made[n].topic, uri, match)]  # type: ignore[arg-type]
            query = {"topic": uri, "match": match, "limit": 3, "scan_budget": 4}
            assert publications(self.db, self.history, **query) == expected
            assert publications(self.db, self.history, **query, reverse=True) == expected[::-1]
        for subscription, sent in self.sent.items():
            found = publications(self.db, self.history, subscription=subscription, limit=2)
            assert found == [n for n in seen if n in sent]


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
