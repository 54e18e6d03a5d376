# SPDX-License-Identifier: MIT
"""The configuration of a realm store: the keys of FORMAT.md section 7.2, and how writes are acknowledged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias

from annotated_types import Ge, Gt, Le, MaxLen, MinLen

from zlmdb.errors import ConfigError
from zlmdb_eventhistory import Match, Pattern

_KIBIBYTE: Final = 1024
_DAY: Final = 86_400_000  # in milliseconds
_CENTURY: Final = 3_155_760_000  # in seconds
_SHORTEST_PAUSE: Final = 0.01  # seconds; sweeps without any pause would leave the loop to nothing else
_MOST: Final = 10_000_000  # records that are held in memory, or given at once
_LARGEST: Final = 2**64 - 1  # events or bytes that the history counts
_LONGEST_URI: Final = 450  # characters; a key has 511 bytes in files of the older format

Durability: TypeAlias = Literal["queued", "commit"]
"""When a write is acknowledged: when it is buffered, or after its synced commit."""
Overflow: TypeAlias = Literal["wait", "drop-oldest", "error"]
"""What happens to a write for which the buffer has no room."""


@dataclass(frozen=True, kw_only=True)
class EventHistoryItem:
    """Topics whose events are kept, and what is kept of them.

    ``limit`` is how many events `RealmStore.get_events` shows at most, None stands for the ``limit`` of the store.
    Of all topics together, events are deleted that are older than ``max_age`` seconds, or are not among the newest
    ``max_count``, or do not fit into ``max_bytes``; None for no such bound.
    """

    uri: Annotated[str, MaxLen(_LONGEST_URI)]
    match: Match = "exact"
    limit: Annotated[int, Ge(1), Le(_MOST)] | None = None
    max_age: Annotated[float, Gt(0), Le(_CENTURY)] | None = None
    max_count: Annotated[int, Ge(1), Le(_LARGEST)] | None = None
    max_bytes: Annotated[int, Ge(1), Le(_LARGEST)] | None = None

    def __post_init__(self) -> None:
        _check_pattern(self.uri, self.match)

    def pattern(self) -> Pattern:
        """Return it as the history takes it."""
        age = None if self.max_age is None else max(round(self.max_age * 1e9), 1)
        return Pattern(self.uri, self.match, age, self.max_count, self.max_bytes)


@dataclass(frozen=True, kw_only=True)
class CallQueueItem:
    """Procedures whose calls may be queued, ``limit`` of them for each registration; None for that of the store."""

    uri: Annotated[str, MaxLen(_LONGEST_URI)]
    match: Match = "exact"
    limit: Annotated[int, Ge(1), Le(_MOST)] | None = None

    def __post_init__(self) -> None:
        _check_pattern(self.uri, self.match)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The keys of the store, spelt with dashes in a configuration file.

    ``maxsize`` is in bytes, None reserves address space; ``max_buffer`` counts records, and ``max_buffer_bytes`` what
    they have in the file, which in memory is several times as much; ``buffer_flush`` is in milliseconds. Every
    ``sweep_interval`` seconds events are deleted that are not to be kept any longer, about ``sweep_slice`` in a
    transaction.
    """

    path: Annotated[str, MinLen(1)]
    maxsize: Annotated[int, Ge(128 * _KIBIBYTE), Le(128 * _KIBIBYTE**3)] | None = None
    readonly: bool = False
    sync: bool = True
    max_buffer: Annotated[int, Ge(1), Le(_MOST)] = 10_000
    max_buffer_bytes: Annotated[int, Ge(64 * _KIBIBYTE), Le(128 * _KIBIBYTE**3)] = 64 * _KIBIBYTE**2
    buffer_flush: Annotated[int, Ge(1), Le(_DAY)] = 200
    durability: Durability = "queued"
    overflow: Overflow = "wait"
    limit: Annotated[int, Ge(1), Le(_MOST)] = 100
    event_history: list[EventHistoryItem] = field(default_factory=list)
    call_queue: list[CallQueueItem] = field(default_factory=list)
    sweep_interval: Annotated[float, Ge(_SHORTEST_PAUSE), Le(_CENTURY)] = 1.0
    sweep_slice: Annotated[int, Ge(1), Le(100_000)] = 1_000

    def __post_init__(self) -> None:
        for key, items in (("event-history", self.event_history), ("call-queue", self.call_queue)):
            patterns = Counter((item.uri, item.match) for item in items)
            if twice := sorted({f"{uri!r} ({match})" for (uri, match), times in patterns.items() if times > 1}):
                raise ConfigError(f"{key} has {', '.join(twice)} twice, expected each once")


def _check_pattern(uri: str, match: Match) -> None:
    if not uri and match == "exact":
        raise ConfigError("no topic has an empty uri; one with match prefix stands for all")
    try:
        uri.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("uri has no UTF-8 form, expected a str without lone surrogates") from error
