# SPDX-License-Identifier: MIT
"""The records that are stored and looked up, made once from a seed, so that every contestant and run has the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import cbor2
import numpy as np

SEED: Final = 20260
USER_SIZE: Final = 231  # bytes of CBOR
EVENT_SIZE: Final = 172
ARRAYS: Final = 64
ARRAY_SIZE: Final = 131_072  # float64: 1 MiB
_FIRST_EVENT: Final = 1_767_225_600_000_000_000  # ns: 2026-01-01
_TEXT: Final = "The quick brown fox jumps over the lazy dog, again and again, until night falls. " * 4


@dataclass
class User:
    """The record of the user tables: eight plain fields."""

    name: str
    email: str
    city: str
    about: str
    age: int
    balance: float
    active: bool
    created: int


Event = dict[str, Any]
EventKey = tuple[np.datetime64, UUID]


class Data:
    """``records`` users and as many events, and the keys that are asked for, in random order.

    ``counted`` is how many events `many` gives, for the tables that are too large to be kept in memory.
    """

    def __init__(self, records: int, counted: int) -> None:
        rng = random.Random(SEED)
        self.records, self.counted = records, counted
        self.users = [(_uuid(rng), _user(number, rng)) for number in range(records)]
        self.events = [(_event_key(number, rng), _event(number, rng)) for number in range(records)]
        self.arrays = [np.random.default_rng(number).random(ARRAY_SIZE) for number in range(ARRAYS)]
        self.last_user = max(self.users, key=itemgetter(0))[1]  # in the order of the keys
        self.dicts = [(oid, vars(user)) for oid, user in self.users]
        some = rng.sample(range(records), min(records, 10_000))
        self.reads = [self.users[number] for number in some]
        self.lookups = self.reads[:5000]
        self.puts = self.reads[:3000]
        starts = [rng.randrange(records - 10) for _ in range(2000)]
        self.seeks = [(self.events[start][0], self.events[start + 9]) for start in starts]

    def many(self) -> Iterator[tuple[EventKey, Event]]:
        """Make ``counted`` events in the order of their keys."""
        for number in range(self.counted):
            at = np.datetime64(_FIRST_EVENT + number * 1_000_000, "ns")
            yield (at, UUID(int=number)), self.events[number % self.records][1]


def event_key(key: EventKey) -> bytes:
    """Return the key of an event as bytes."""
    at, oid = key
    return int(at.astype(int)).to_bytes(8, "big") + oid.bytes


def _uuid(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def _user(number: int, rng: random.Random) -> User:
    user = User(
        name=f"user number {number}",
        email=f"user.{number}@example.com",
        city=rng.choice(("Erlangen", "Bordeaux", "Nagoya", "Porto Alegre")),
        about="",
        age=rng.randrange(18, 99),
        balance=rng.random() * 1000,
        active=rng.random() < 0.8,
        created=_FIRST_EVENT + rng.randrange(10**15),
    )
    missing = USER_SIZE - len(cbor2.dumps(vars(user))) - 1  # the longer length of a longer text
    user.about = _text(rng, missing)
    return user


def _event_key(number: int, rng: random.Random) -> EventKey:
    return np.datetime64(_FIRST_EVENT + number * 1_000_000 + rng.randrange(1_000_000), "ns"), _uuid(rng)


def _event(number: int, rng: random.Random) -> Event:
    event: Event = {
        "topic": f"com.example.sensor.{number % 100}.changed",
        "publisher": rng.getrandbits(53),
        "publication": rng.getrandbits(53),
        "args": [number, rng.random(), ""],
        "kwargs": {"unit": "kWh", "valid": True},
    }
    event["args"][2] = _text(rng, EVENT_SIZE - len(cbor2.dumps(event)) - 1)
    return event


def _text(rng: random.Random, length: int) -> str:
    start = rng.randrange(80)
    return _TEXT[start : start + length]
