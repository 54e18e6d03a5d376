# SPDX-License-Identifier: MIT
"""The configuration of a realm store: the keys of FORMAT.md section 7.2, and how writes are acknowledged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge

from zlmdb_eventhistory import Match

Durability: TypeAlias = Literal["queued", "commit"]
"""When a write is acknowledged: when it is buffered, or after its synced commit."""
Overflow: TypeAlias = Literal["wait", "drop-oldest", "error"]
"""What happens to a write for which the buffer has no room."""


@dataclass(frozen=True, kw_only=True)
class EventHistoryItem:
    """Topics whose events are kept; ``limit`` is how many of them `RealmStore.get_events` shows at most."""

    uri: str
    match: Match = "exact"
    limit: Annotated[int, Ge(1)] = 100


@dataclass(frozen=True, kw_only=True)
class CallQueueItem:
    """Procedures whose calls may be queued, ``limit`` of them for each registration."""

    uri: str
    match: Match = "exact"
    limit: Annotated[int, Ge(1)] = 100


@dataclass(frozen=True, kw_only=True)
class Config:
    """The keys of the store, spelt with dashes in a configuration file.

    ``maxsize`` is in bytes, None reserves address space; ``max_buffer`` counts records; ``buffer_flush`` is in
    milliseconds.
    """

    path: str
    maxsize: Annotated[int, Ge(131_072)] | None = None
    readonly: bool = False
    sync: bool = True
    max_buffer: Annotated[int, Ge(1)] = 10_000
    buffer_flush: Annotated[int, Ge(1)] = 200
    durability: Durability = "queued"
    overflow: Overflow = "wait"
    event_history: list[EventHistoryItem] = field(default_factory=list)
    call_queue: list[CallQueueItem] = field(default_factory=list)
