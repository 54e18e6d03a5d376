# SPDX-License-Identifier: MIT
"""What a page of the history is asked for, and the token that continues it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from zlmdb.errors import BadToken, ConfigError
from zlmdb_eventhistory._event import Event

Match: TypeAlias = Literal["exact", "prefix", "wildcard"]
"""How a pattern is compared with topics, as WAMP subscriptions do: the whole, its start, or part by part."""

_MATCHES: Final = get_args(Match)
_LARGEST: Final = 2**64 - 1
_DIGEST: Final = 12


def matches(topic: str, pattern: str, match: Match) -> bool:
    """Tell whether a topic matches a pattern; an empty part of a wildcard pattern stands for any one part."""
    if match == "exact":
        return topic == pattern
    if match == "prefix":
        return topic.startswith(pattern)
    parts, wanted = topic.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(want in ("", part) for part, want in zip(parts, wanted, strict=True))


class Subscription(NamedTuple):
    """What a subscription is known by for ever: its URI and how that is compared with topics.

    The ids that a router gives to subscriptions are new after each start.
    """

    uri: str
    match: Match = "exact"

    @property
    def name(self) -> str:
        """The two as one text, as they are stored."""
        return f"{self.match}:{self.uri}"


@dataclass(frozen=True, slots=True)
class Query:
    """The filters and the direction of a page; raises `ConfigError` for those that cannot be."""

    topic: str | None = None
    match: Match = "exact"
    publisher: int | None = None
    subscription: Subscription | None = None
    from_ns: int | None = None
    until_ns: int | None = None
    reverse: bool = False

    def __post_init__(self) -> None:
        if self.topic is not None:
            check_uri("topic", self.topic)
        check_match(self.match)
        if self.subscription is not None:
            check_subscription(self.subscription)
        for name in ("publisher", "from_ns", "until_ns"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 0 <= value <= _LARGEST):
                raise _wrong(name, value, f"an int from 0 to {_LARGEST}, or None")

    def takes(self, event: Event) -> bool:
        """Tell whether an event passes all filters."""
        return (
            self.takes_topic(event.topic)
            and (self.publisher is None or event.publisher == self.publisher)
            and (self.from_ns is None or event.time_ns >= self.from_ns)
            and (self.until_ns is None or event.time_ns < self.until_ns)
        )

    def takes_topic(self, topic: str) -> bool:
        """Tell whether a topic matches the pattern."""
        return self.topic is None or matches(topic, self.topic, self.match)

    @property
    def beginning(self) -> str:
        """What all topics begin with that the pattern matches."""
        if self.topic is None or self.match != "wildcard":
            return self.topic or ""
        return ".".join(takewhile(bool, self.topic.split(".")))

    def token(self, sequence: int) -> str:
        """Return the token that continues this query behind an event."""
        place = sequence.to_bytes(8, "big")
        return base64.urlsafe_b64encode(place + self._digest(place)).decode()

    def place(self, token: str) -> int:
        """Return the sequence that a token of this query stands for; raises `BadToken` for any other token."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError, TypeError):
            raw = b""
        if len(raw) != 8 + _DIGEST or raw[8:] != self._digest(raw[:8]):
            raise BadToken(
                "not a token of this query",
                where="event history, page",
                got=token,
                expected="the token of a page with the same filters and direction",
                next_step="ask for the first page without a token",
            )
        return int.from_bytes(raw[:8], "big")

    def _digest(self, place: bytes) -> bytes:
        # guards against mistakes, not against forgery: a token gives no right that its query does not
        filters: tuple[Any, ...] = (self.topic, self.match, self.publisher, self.from_ns, self.until_ns, self.reverse)
        if self.subscription is not None:
            filters += (self.subscription.name,)
        return hashlib.blake2b(repr(filters).encode() + place, digest_size=_DIGEST, person=b"eventhistory 1").digest()


def check_count(name: str, value: object) -> None:
    """Raise `ConfigError` for what is not a number of records."""
    if type(value) is not int or value < 1:
        raise _wrong(name, value, "an int of at least 1")


def check_uri(name: str, value: object) -> None:
    """Raise `ConfigError` for what is not a text that can be compared with topics."""
    if not isinstance(value, str):
        raise _wrong(name, value, "a str")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong(name, value, "a str without lone surrogates") from None


def check_match(value: object) -> None:
    """Raise `ConfigError` for what is not a way to compare."""
    if value not in _MATCHES:
        raise _wrong("match", value, " or ".join(map(repr, _MATCHES)))


def check_subscription(value: object) -> None:
    """Raise `ConfigError` for what is not a `Subscription`."""
    if not isinstance(value, Subscription):
        raise _wrong("subscription", value, "a Subscription(uri, match)")
    check_uri("subscription", value.uri)
    check_match(value.match)


def _wrong(name: str, got: object, expected: str) -> ConfigError:
    """Return the error for an argument that cannot be used."""
    return ConfigError("not a usable argument", where=f"event history, {name}", got=got, expected=expected)
