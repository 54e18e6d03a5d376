# SPDX-License-Identifier: MIT
"""Which way each kind of table goes. `docs/files.md` says the same, and the tests here find out whether it is so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from zlmdb.codecs import PUBLISHED_MAPS


@dataclass(frozen=True)
class Way:
    """``kinds`` are key kinds, or value kinds; none means all that no other way names.

    ``to_ours``: "yes"; "upgraded" (copied to the new layout when attached); "nothing" (the published package cannot
    write it). ``to_published``: "yes"; "parts differ" (its ``select`` gives parts of keys in another type);
    "by key" (its ``select`` fails); "by select" (its access by key fails); "no".
    """

    kinds: frozenset[str]
    to_ours: str
    to_published: str


ALL_OTHERS: Final = Way(frozenset(), "yes", "yes")
WAYS: Final = [
    Way(frozenset({"StringString", "StringStringString"}), "yes", "parts differ"),
    Way(frozenset({"UuidBytes20Uint8", "UuidBytes20Uint8Uuid", "UuidBytes20Bytes20Uint8Uuid"}), "yes", "parts differ"),
    Way(frozenset({"UuidTimestampUuid"}), "yes", "by key"),
    Way(frozenset({"UuidBytes32"}), "nothing", "by select"),
    Way(
        frozenset({"OidTimestamp", "OidTimestampString", "StringOid", "StringTimestamp", "Uint16UuidTimestamp"}),
        "upgraded",
        "no",
    ),
    Way(frozenset({"OidSet", "UuidSet"}), "upgraded", "no"),
    ALL_OTHERS,
]


def way_of(map_name: str) -> Way:
    """Return the way that tables of a published map go."""
    return next(way for way in WAYS if way is ALL_OTHERS or way.kinds.intersection(PUBLISHED_MAPS[map_name]))


def as_published_selects(map_name: str, key: Any) -> Any:
    """Return a key as the published package's ``select`` gives it."""
    kind = PUBLISHED_MAPS[map_name][0]
    if kind in {"StringString", "StringStringString"}:
        return tuple(part.encode() for part in key)
    if way_of(map_name).to_published == "parts differ":
        return tuple((part,) if type(part) is int else part for part in key)
    return key
