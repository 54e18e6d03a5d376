# SPDX-License-Identifier: MIT
"""Configured patterns: whose events have an index of their own, and how long and how many of them are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from zlmdb.errors import ConfigError, WrongType
from zlmdb_eventhistory._query import Match, Query, check_count, check_match, check_uri, matches

LARGEST: Final = 2**64 - 1
"""Nanoseconds, events or bytes of a limit at most."""
LONGEST_URI: Final = 1_966
"""Bytes of a topic at most, in files of the format that takes the longer keys."""
_CACHED: Final = 10_000  # topics whose patterns are remembered
_LONGEST: Final = 2_000  # characters of a topic that is remembered: no file takes longer ones


@dataclass(frozen=True, slots=True)
class Pattern:
    """Topics that belong together: their events are indexed, and kept within the limits that are given.

    ``max_age_ns`` counts from an event's ``time_ns``, in nanoseconds; ``max_count`` events and ``max_bytes`` bytes
    of records are what all topics of the pattern have together, of which the newest stay. An event that matches
    several patterns goes as soon as one of them lets it go.
    """

    uri: str
    match: Match = "exact"
    max_age_ns: int | None = None
    max_count: int | None = None
    max_bytes: int | None = None


class Phase(StrEnum):
    """How far the index of a pattern is."""

    FILLING = "filling"  # older events are being entered; queries do not use it yet
    COUNTING = "counting"  # complete; its events are being counted anew, because limits were changed
    READY = "ready"
    DROPPING = "dropping"  # the pattern was removed, and its entries are being deleted


@dataclass(frozen=True, slots=True)
class Rule:
    """A configured pattern as it is stored."""

    number: int
    phase: str
    uri: str
    match: Match
    max_age_ns: int | None = None
    max_count: int | None = None
    max_bytes: int | None = None

    @property
    def pattern(self) -> Pattern:
        """What was configured."""
        return Pattern(self.uri, self.match, self.max_age_ns, self.max_count, self.max_bytes)

    @property
    def is_indexed(self) -> bool:
        """Whether its index has all events that match it."""
        return self.phase in (Phase.COUNTING, Phase.READY)

    @property
    def is_counted(self) -> bool:
        """Whether its events are counted."""
        return self.max_count is not None or self.max_bytes is not None

    @property
    def is_filling(self) -> bool:
        """Whether older events are not counted yet."""
        return self.phase in (Phase.FILLING, Phase.COUNTING)

    def is_exceeded(self, count: int, size: int) -> bool:
        """Tell whether so many events, or bytes, are too many."""
        return (self.max_count is not None and count > self.max_count) or (
            self.max_bytes is not None and size > self.max_bytes
        )

    def governs(self, query: Query) -> bool:
        """Tell whether all topics that a query can find match this pattern, as far as that is easily seen."""
        if query.topic is not None and query.match == "exact":
            return matches(query.topic, self.uri, self.match)
        if self.match == "prefix":
            return query.beginning.startswith(self.uri)
        return (self.uri, self.match) == (query.topic, query.match)


class Rules:
    """All configured patterns at one time. Any thread."""

    def __init__(self, stamp: int, stored: Sequence[Rule]) -> None:
        self.stamp = stamp
        self.stored = stored
        self.present = [rule for rule in stored if rule.phase != Phase.DROPPING]
        self.limits_anything = any(rule.is_counted or rule.max_age_ns is not None for rule in self.present)
        self._matching: dict[str, tuple[Rule, ...]] = {}

    def matching(self, topic: str) -> tuple[Rule, ...]:
        """Return the patterns that a topic matches."""
        found = self._matching.get(topic)
        if found is None:
            found = tuple([rule for rule in self.present if matches(topic, rule.uri, rule.match)])
            if len(self._matching) >= _CACHED:
                self._matching = {}
            if len(topic) <= _LONGEST:
                self._matching[topic] = found
        return found

    def indexing(self, query: Query) -> Rule | None:
        """Return the pattern whose index has exactly the events with the topics of a query."""
        wanted = (query.topic, query.match)
        return next((rule for rule in self.present if (rule.uri, rule.match) == wanted and rule.is_indexed), None)


def expiry(rules: Iterable[Rule], time_ns: int) -> int | None:
    """Return when an event that matches these patterns expires; None if it does not."""
    ages = [rule.max_age_ns for rule in rules if rule.max_age_ns is not None]
    return min(time_ns + min(ages), LARGEST) if ages else None


def check_patterns(patterns: object) -> list[Pattern]:
    """Return patterns as a list; raise `WrongType` or `ConfigError` for what cannot be configured."""
    if isinstance(patterns, (str, bytes)) or not isinstance(patterns, Iterable):
        raise WrongType("no patterns", where="event history", got=patterns, expected="a list of Pattern")
    found: dict[tuple[str, Match], Pattern] = {}
    for pattern in patterns:
        if not isinstance(pattern, Pattern):
            raise WrongType("no pattern", where="event history", got=pattern, expected="a Pattern(uri, match, …)")
        check_uri("uri", pattern.uri)
        if len(pattern.uri.encode()) > LONGEST_URI:
            expected = f"at most {LONGEST_URI} bytes in UTF-8, as topics have"
            raise ConfigError("the uri is too long", where="event history, uri", got=pattern.uri, expected=expected)
        check_match(pattern.match)
        for name in ("max_age_ns", "max_count", "max_bytes"):
            if (value := getattr(pattern, name)) is not None:
                check_count(name, value)
                if value > LARGEST:
                    raise ConfigError("too large", where=f"event history, {name}", got=value, expected=f"<= {LARGEST}")
        if found.setdefault((pattern.uri, pattern.match), pattern) is not pattern:
            raise ConfigError(
                "a pattern is there twice",
                where="event history",
                got=pattern,
                expected="different patterns",
                next_step="give all limits of a pattern together",
            )
    return list(found.values())
