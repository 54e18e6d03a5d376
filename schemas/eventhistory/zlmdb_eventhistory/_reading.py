# SPDX-License-Identifier: MIT
"""How events are found: the index that has the fewest candidates, in the order of sequences, within a budget."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from zlmdb import Map, Transaction
from zlmdb.errors import DecodeError
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._keeping import Sight
from zlmdb_eventhistory._query import Query
from zlmdb_eventhistory._tables import END, Tables

_MERGED: Final = 64  # topics whose indexes are read side by side; for more of them all events are looked at

Found: TypeAlias = tuple[int, Event | DecodeError | None]
"""A sequence that was looked at, and its event: an error if it cannot be read, None if there is none."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some events in order, and the token of the next page: None when there was nothing behind them."""

    events: list[Event]
    token: str | None
    damaged: tuple[int, ...] = ()
    """Sequences of the records that could not be read, and were passed over, where that was asked for."""


class Search:
    """One pass of a query through a history: what it looks at, and what of that it takes."""

    def __init__(self, tables: Tables, txn: Transaction, query: Query, after: str | None) -> None:
        self._tables = tables
        self._txn = txn
        self._query = query
        self._rules = tables.rules(txn)
        self._sight = Sight(tables, txn, self._rules)
        self._low, self._high = self._bounds(after)

    def takes(self, sequence: int, event: Event) -> bool:
        """Tell whether an event passes all filters and is seen."""
        return self._query.takes(event) and self._sight.shows(sequence, event)

    # --- between which sequences

    def _bounds(self, after: str | None) -> tuple[int, int]:
        """Return the sequences ``low <= sequence < high`` outside of which no event can be taken."""
        query = self._query
        low, high = 0, END
        from_ns = query.from_ns or 0
        if self._rules.limits_anything:
            for rule in self._rules.present:
                if rule.governs(query):
                    low = max(low, self._sight.floor(rule))
                    from_ns = max(from_ns, self._sight.earliest(rule))
        if from_ns:
            low = max(low, self._first_at(from_ns))
        if query.until_ns is not None:  # an event may lie behind the clock, by the setback at most
            high = self._first_at(query.until_ns + self._tables.state(self._txn).setback_ns)
        if after is not None and query.reverse:
            high = min(high, query.place(after))
        elif after is not None:
            low = max(low, query.place(after) + 1)
        return low, high

    def _first_at(self, clock_ns: int) -> int:
        """Return the first sequence at which the clock has this time."""
        if clock_ns > END:
            return END
        return next(self._tables.by_time.select(self._txn, (clock_ns, 0), limit=1, return_keys=False), END)

    # --- what is looked at

    def candidates(self, budget: int) -> Iterator[Found]:
        """Yield in order what may be taken, as little as an index finds; topics are sought within the budget too."""
        query, tables = self._query, self._tables
        if query.subscription is not None:
            return self._of(self._keys(tables.sent_by_subscription, query.subscription.name))
        if query.topic is not None and query.match == "exact":
            return self._of(self._keys(tables.by_topic, query.topic))
        rule = self._rules.indexing(query)
        if rule is not None:
            return self._of(self._keys(tables.by_pattern, rule.number))
        if query.publisher is not None:
            return self._of(self._keys(tables.by_publisher, query.publisher))
        topics = None if query.topic is None else self._topics(query.beginning, min(budget, _MERGED))
        if topics is None:
            return self._all()
        found = [self._keys(tables.by_topic, topic) for topic in topics if query.takes_topic(topic)]
        return self._of(heapq.merge(*found, reverse=query.reverse))

    def _keys(self, index: Map[Any, Any], begin: str | int) -> Iterator[int]:
        """Return the sequences that an index has under the first part of its keys."""
        bounds = (begin, self._low), (begin, self._high)
        keys = index.select(self._txn, *bounds, return_values=False, reverse=self._query.reverse)
        return (sequence for _, sequence in keys)

    def _topics(self, beginning: str, most: int) -> list[str] | None:
        """Return all topics that begin so, one look-up for each; None if there are more than ``most``."""
        topics: list[str] = []
        place = beginning, 0
        while True:
            topic, _ = next(self._tables.by_topic.select(self._txn, place, limit=1, return_values=False), (None, 0))
            if topic is None or not topic.startswith(beginning):
                return topics
            if len(topics) == most:
                return None
            topics.append(topic)
            place = topic, END

    def _of(self, sequences: Iterator[int]) -> Iterator[Found]:
        for sequence in sequences:
            yield sequence, self.read(sequence)

    def read(self, sequence: int) -> Event | DecodeError | None:
        """Return an event, or the error of one that cannot be read."""
        try:
            return self._tables.events[self._txn, sequence]
        except DecodeError as error:
            return error

    def _all(self) -> Iterator[Found]:
        return scan(self._tables, self._txn, self._low, self._high, reverse=self._query.reverse)


def scan(tables: Tables, txn: Transaction, low: int, high: int, *, reverse: bool = False) -> Iterator[Found]:
    """Yield the events themselves, and behind a damaged one those that follow it."""
    while True:
        try:
            yield from tables.events.select(txn, low, high, reverse=reverse)
        except DecodeError as error:
            if type(error.key) is not int or not low <= error.key < high:
                raise  # it is the key that is damaged
            yield error.key, error
            low, high = (low, error.key) if reverse else (error.key + 1, high)
        else:
            return


def page(search: Search, query: Query, limit: int, budget: int, max_bytes: int | None, skip_damaged: bool) -> Page:
    """Return the next events that a search takes; see `EventHistory.page`."""
    found: list[Event] = []
    damaged: list[int] = []
    size = 0
    for scanned, (sequence, event) in enumerate(search.candidates(budget), start=1):
        if isinstance(event, DecodeError):
            if not skip_damaged:
                raise event
            damaged.append(sequence)
        elif event is not None and search.takes(sequence, event):
            found.append(event)
            size += 0 if max_bytes is None else event.size()
        if len(found) == limit or scanned == budget or (max_bytes is not None and size >= max_bytes):
            return Page(found, query.token(sequence), tuple(damaged))
    return Page(found, None, tuple(damaged))
