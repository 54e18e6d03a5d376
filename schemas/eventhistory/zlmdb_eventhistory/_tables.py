# SPDX-License-Identifier: MIT
"""The tables of the history, and the records that say how far it has come."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from zlmdb import Database, Map, Schema, Transaction, table
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._patterns import Rule, Rules
from zlmdb_eventhistory._query import Match, Subscription

END: Final = 2**64 - 1  # behind every sequence
_STATE: Final = "state"
_FILL: Final = "fill"
_FOUR: Final = struct.Struct(">4Q")
_TWO: Final = struct.Struct(">2Q")


@dataclass(kw_only=True)
class Dispatch:
    """That an event was sent to the receivers of a subscription, one record however many they are."""

    sequence: int
    """Of the event."""
    uri: str
    match: Match
    time_ns: int
    """When it was first sent, in nanoseconds since 1970 UTC."""
    receivers: list[int] = field(default_factory=list)
    """The sessions it was sent to, as far as they were told."""
    retained: bool = False
    """Whether it was sent because it was retained."""
    acknowledged: bool = False
    """Whether receivers were asked to acknowledge it."""

    @property
    def subscription(self) -> Subscription:
        """What it was sent to."""
        return Subscription(self.uri, self.match)


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


@table("13dd4fde-8b3a-47d0-94aa-5b96a2d4f093")
class EventsByExpiry(Map[tuple[int, int], int]):
    """(when it expires, sequence) to sequence, of the events that a pattern keeps for some time only."""

    key_kind, value_kind = "Uint64Uint64", "Uint64"


@table("0aba0144-ff5a-425a-a862-adb838171ca3")
class EventsByPattern(Map[tuple[int, int], int]):
    """(number of a configured pattern, sequence) to the size of the record in bytes."""

    key_kind, value_kind = "Uint64Uint64", "Uint64"


@table("932d9695-da79-4863-a7ec-d6556e528acb")
class Dispatches(Map[int, Dispatch]):
    """Dispatches by numbers of their own."""

    key_kind, value_kind, record = "Uint64", "Cbor", Dispatch


@table("ee3c8a2d-6f14-4a53-9d0b-5d1c2f7a9e61")
class DispatchesByEvent(Map[tuple[int, str], int]):
    """(sequence, name of the subscription) to the number of the dispatch."""

    key_kind, value_kind = "Uint64String", "Uint64"


@table("2eabc9ca-d588-4489-8b7f-3acc7455e63c")
class DispatchesBySubscription(Map[tuple[str, int], int]):
    """(name of the subscription, sequence) to the number of the dispatch."""

    key_kind, value_kind = "StringUint64", "Uint64"


@table("f780cd70-ef82-4a63-a50a-a9ca5aa36321")
class Patterns(Map[int, Rule]):
    """The configured patterns by their numbers, which are never used again while anything remains of them."""

    key_kind, value_kind, record = "Uint64", "Cbor", Rule


@table("bcb37c2c-541f-4cce-ae95-37978a290404")
class HistoryFacts(Map[str, bytes]):
    """Facts about the whole history, as big-endian integers of 64 bits; see `State` and `Filling`."""

    key_kind, value_kind = "String", "Bytes"


class State(NamedTuple):
    """How far the history has come."""

    last: int = 0
    """The last sequence that was given."""
    clock_ns: int = 0
    """The latest time of any event."""
    setback_ns: int = 0
    """How far an event's time lay behind the clock at most."""
    stamp: int = 0
    """A random number that changes with the configured patterns."""


class Filling(NamedTuple):
    """Which events the configured patterns have still to be compared with: ``following <= sequence <= until``."""

    following: int
    until: int


class Tables(Schema):
    """The attached tables, and the facts in them. Inside a transaction of their database, on any thread."""

    clock: Callable[[], int] = staticmethod(time.time_ns)
    """What tells the time in nanoseconds since 1970 UTC, by which events expire; another may be set."""
    events: Events
    by_publication: EventsByPublication
    by_topic: EventsByTopic
    by_publisher: EventsByPublisher
    by_time: EventsByTime
    by_expiry: EventsByExpiry
    by_pattern: EventsByPattern
    sent: Dispatches
    sent_by_event: DispatchesByEvent
    sent_by_subscription: DispatchesBySubscription
    patterns: Patterns
    facts: HistoryFacts
    _rules: Rules = Rules(0, [])

    def attach(self, db: Database) -> None:
        """Attach the tables and the indexes."""
        super().attach(db)
        index = self.events.attach_index
        # first, since it alone can refuse an event that is otherwise in order
        index("publication", self.by_publication, lambda event: event.publication)
        index("topic", self.by_topic, lambda event: (event.topic, event.sequence))
        index("publisher", self.by_publisher, lambda event: (event.publisher, event.sequence), nullable=True)
        index("time", self.by_time, lambda event: (event.clock_ns, event.sequence))
        index("expiry", self.by_expiry, lambda event: (event.expires_ns, event.sequence), nullable=True)
        sent = self.sent
        sent.attach_index("event", self.sent_by_event, lambda sent: (sent.sequence, sent.subscription.name))
        sent.attach_index(
            "subscription", self.sent_by_subscription, lambda sent: (sent.subscription.name, sent.sequence)
        )

    def state(self, txn: Transaction) -> State:
        """Return how far the history has come."""
        data = self.facts[txn, _STATE]
        if data is not None:
            return State(*_FOUR.unpack(data))
        last = next(self.by_time.select(txn, reverse=True, limit=1, return_values=False), (0, 0))
        return State(last[1], last[0])

    def set_state(self, txn: Transaction, state: State) -> None:
        """Store how far the history has come."""
        self.facts[txn, _STATE] = _FOUR.pack(*state)

    def filling(self, txn: Transaction) -> Filling | None:
        """Return which events are still to be compared with the patterns, None if there are none."""
        data = self.facts[txn, _FILL]
        return None if data is None else Filling(*_TWO.unpack(data))

    def set_filling(self, txn: Transaction, filling: Filling | None) -> None:
        """Store which events are still to be compared with the patterns."""
        if filling is None:
            del self.facts[txn, _FILL]
        else:
            self.facts[txn, _FILL] = _TWO.pack(*filling)

    def rules(self, txn: Transaction, stamp: int | None = None) -> Rules:
        """Return the configured patterns; ``stamp`` is that of the present state, if it is known."""
        stamp = self.state(txn).stamp if stamp is None else stamp
        rules = self._rules
        if rules.stamp != stamp:  # stamps are random: one of a transaction that was rolled back never comes again
            rules = self._rules = Rules(stamp, list(self.patterns.select(txn, return_keys=False)))
        return rules
