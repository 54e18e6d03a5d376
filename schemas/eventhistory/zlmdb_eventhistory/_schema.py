# SPDX-License-Identifier: MIT
"""The tables of the history, and what is done with them inside a transaction."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from zlmdb import Database, Map, Schema, Transaction, table
from zlmdb.errors import WrongValue
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._query import Match, Query, check_count

_END: Final = 2**64 - 1  # behind every sequence
_SETBACK: Final = "setback_ns"
_MERGED: Final = 64  # topics whose indexes are read side by side; for more of them all events are looked at


@table("d833d313-49cc-4fa9-b1ad-59393305ccad")
class Events(Map[int, Event]):
    """Events by sequence."""

    key_kind, value_kind, record = "Uint64", "Cbor", Event


@table("fdab0e99-3ae0-4e86-8812-01cd6d8facd7")
class EventsByPublication(Map[int, int]):
    """Publication id to sequence."""

    key_kind, value_kind = "Uint64", "Uint64"


@table("53e96c12-95e9-4ad8-9934-cebed97639bb")
class EventsByTopic(Map[tuple[str, int], int]):
    """(topic, sequence) to sequence."""

    key_kind, value_kind = "StringUint64", "Uint64"


@table("0958f97d-7f8f-45fa-ac78-4d13e0cfa9f9")
class EventsByPublisher(Map[tuple[int, int], int]):
    """(publisher's session, sequence) to sequence."""

    key_kind, value_kind = "Uint64Uint64", "Uint64"


@table("59dc4dfd-dee1-49fd-8945-c1ca3079f2a0")
class EventsByTime(Map[tuple[int, int], int]):
    """(clock, sequence) to sequence, which ascend together."""

    key_kind, value_kind = "Uint64Uint64", "Uint64"


@table("83be5558-804b-4a13-9fb2-b563cdbf24e7")
class EventHistoryFacts(Map[str, int]):
    """Facts about the whole history; ``setback_ns`` is how far an event's time lay behind the clock at most."""

    key_kind, value_kind = "String", "Uint64"


@dataclass(frozen=True, slots=True)
class Page:
    """Some events in order, and the token of the next page: None when there was nothing behind them."""

    events: list[Event]
    token: str | None


class EventHistory(Schema):
    """Publications in the order in which they were appended.

    All methods run inside a transaction of the database that the schema is attached to, on any thread.
    """

    events: Events
    by_publication: EventsByPublication
    by_topic: EventsByTopic
    by_publisher: EventsByPublisher
    by_time: EventsByTime
    facts: EventHistoryFacts

    def attach(self, db: Database) -> None:
        """Attach the tables and the indexes."""
        self.events = events = db.attach_table(Events)
        self.by_publication = db.attach_table(EventsByPublication)
        self.by_topic = db.attach_table(EventsByTopic)
        self.by_publisher = db.attach_table(EventsByPublisher)
        self.by_time = db.attach_table(EventsByTime)
        self.facts = db.attach_table(EventHistoryFacts)
        # first, since it alone can refuse an event that is otherwise in order
        events.attach_index("publication", self.by_publication, lambda event: event.publication)
        events.attach_index("topic", self.by_topic, lambda event: (event.topic, event.sequence))
        events.attach_index(
            "publisher", self.by_publisher, lambda event: (event.publisher, event.sequence), nullable=True
        )
        events.attach_index("time", self.by_time, lambda event: (event.clock_ns, event.sequence))

    def append(self, txn: Transaction, event: Event) -> int:
        """Store an event behind all others and return its sequence, from 1 on.

        ``sequence`` and ``clock_ns`` of the stored event are set here; the object given stays as it is.

        Raises:
            UniqueViolation: there is an event with this publication id.
            EncodeError: a field cannot be stored, or the time lies before 1970.
            KeyTooLong: the topic is too long for the file's format.
        """
        if type(event.time_ns) is not int or not 0 <= event.time_ns < _END:
            expected = "nanoseconds since 1970 as an int from 0 on"
            raise WrongValue("not the time of an event", where="time_ns", got=event.time_ns, expected=expected)
        clock, last = next(self.by_time.select(txn, reverse=True, limit=1, return_values=False), (0, 0))
        stored = event.placed(last + 1, max(clock, event.time_ns))
        self.events.insert(txn, stored.sequence, stored)
        setback = stored.clock_ns - stored.time_ns
        if setback > 0 and setback > (self.facts[txn, _SETBACK] or 0):
            self.facts[txn, _SETBACK] = setback
        return stored.sequence

    def get(self, txn: Transaction, publication: int) -> Event | None:
        """Return the event with this publication id, or None."""
        sequence = self.by_publication[txn, publication]
        return None if sequence is None else self.events[txn, sequence]

    def page(
        self,
        txn: Transaction,
        *,
        topic: str | None = None,
        match: Match = "exact",
        publisher: int | None = None,
        from_ns: int | None = None,
        until_ns: int | None = None,
        reverse: bool = False,
        limit: int = 100,
        after: str | None = None,
        scan_budget: int = 10_000,
        max_bytes: int | None = None,
    ) -> Page:
        """Return the next events that pass all filters, by ascending sequence, or descending with ``reverse``.

        ``topic`` is a pattern compared as ``match`` says; ``publisher`` is a session id; times are
        ``from_ns <= time_ns < until_ns``. ``after`` is the token of the page before. At most ``limit`` events
        come, no more once they have ``max_bytes`` together, and at most ``scan_budget`` are looked at, so a
        pattern that matches rarely may give pages that are short, or empty, with a token. Following the tokens
        gives each event exactly once, those that were appended meanwhile included when ascending.

        Raises:
            ConfigError: an argument is wrong, or ``after`` is no token of a query with these filters.
        """
        check_count("limit", limit)
        check_count("scan_budget", scan_budget)
        if max_bytes is not None:
            check_count("max_bytes", max_bytes)
        query = Query(topic, match, publisher, from_ns, until_ns, bool(reverse))
        low, high = self._bounds(txn, query, after)
        found: list[Event] = []
        size = 0
        for scanned, event in enumerate(self._candidates(txn, query, low, high), start=1):
            if query.takes(event):
                found.append(event)
                size += 0 if max_bytes is None else event.size()
            if len(found) == limit or scanned == scan_budget or (max_bytes is not None and size >= max_bytes):
                return Page(found, query.token(event.sequence))
        return Page(found, None)

    def _bounds(self, txn: Transaction, query: Query, after: str | None) -> tuple[int, int]:
        """Return the sequences ``low <= sequence < high`` outside of which no event can pass the filters."""
        low, high = 0, _END
        if query.from_ns is not None:
            low = self._first_at(txn, query.from_ns)
        if query.until_ns is not None:  # an event may lie behind the clock, by the setback at most
            high = self._first_at(txn, query.until_ns + (self.facts[txn, _SETBACK] or 0))
        if after is not None and query.reverse:
            high = min(high, query.place(after))
        elif after is not None:
            low = max(low, query.place(after) + 1)
        return low, high

    def _first_at(self, txn: Transaction, clock_ns: int) -> int:
        """Return the first sequence at which the clock has this time."""
        if clock_ns > _END:
            return _END
        return next(self.by_time.select(txn, (clock_ns, 0), limit=1, return_keys=False), _END)

    def _candidates(self, txn: Transaction, query: Query, low: int, high: int) -> Iterator[Event]:
        """Yield, in order, the events between these sequences that may pass, as few as an index finds."""
        if query.topic is not None and query.match == "exact":
            return self._of(txn, self._in_topic(txn, query, query.topic, low, high))
        if query.publisher is not None:
            bounds = (query.publisher, low), (query.publisher, high)
            return self._of(txn, self.by_publisher.select(txn, *bounds, return_keys=False, reverse=query.reverse))
        topics = self._topics(txn, query.beginning) if query.beginning else None
        if topics is None:
            return self.events.select(txn, low, high, return_keys=False, reverse=query.reverse)
        found = [self._in_topic(txn, query, topic, low, high) for topic in topics if query.takes_topic(topic)]
        return self._of(txn, heapq.merge(*found, reverse=query.reverse))

    def _in_topic(self, txn: Transaction, query: Query, topic: str, low: int, high: int) -> Iterator[int]:
        return self.by_topic.select(txn, (topic, low), (topic, high), return_keys=False, reverse=query.reverse)

    def _topics(self, txn: Transaction, beginning: str) -> list[str] | None:
        """Return all topics that begin so, one look-up for each; None if there are too many of them."""
        topics: list[str] = []
        place = beginning, 0
        while True:
            topic, _ = next(self.by_topic.select(txn, place, limit=1, return_values=False), ("", 0))
            if not topic.startswith(beginning):
                return topics
            if len(topics) == _MERGED:
                return None
            topics.append(topic)
            place = topic, _END

    def _of(self, txn: Transaction, sequences: Iterator[int]) -> Iterator[Event]:
        for sequence in sequences:
            event = self.events[txn, sequence]
            if event is not None:  # else the index has what the table has not, which `db.check()` finds
                yield event
