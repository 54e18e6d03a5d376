# SPDX-License-Identifier: MIT
"""Rows that can be read, behind others that cannot: one of these keeps no other back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from zlmdb import Map, Transaction
from zlmdb.errors import DecodeError

V = TypeVar("V")

_UUID: Final = 16  # bytes of a key
_NUMBER: Final = 8

Unreadable: TypeAlias = dict[Any, Exception]
"""Keys of rows that cannot be read, and why; the bytes of a key that cannot be read either."""


def readable_sessions(sessions: Map[UUID, V], txn: Transaction, unreadable: Unreadable) -> Iterator[tuple[UUID, V]]:
    """Yield the rows that can be read, and enter the others into ``unreadable``."""
    return _readable(sessions, txn, unreadable, _UUID, lambda place: UUID(int=place))


def readable_calls(calls: Map[int, V], txn: Transaction, unreadable: Unreadable) -> Iterator[tuple[int, V]]:
    """Yield the rows that can be read, and enter the others into ``unreadable``."""
    return _readable(calls, txn, unreadable, _NUMBER, int)


def _readable(
    rows: Map[Any, V], txn: Transaction, unreadable: Unreadable, width: int, key: Callable[[int], Any]
) -> Iterator[tuple[Any, V]]:
    place = 0
    while place < 1 << 8 * width:
        given = None
        try:
            for given, value in rows.select(txn, key(place), live=False):
                yield given, value
        except DecodeError as error:
            unreadable[error.key] = error
            behind = _behind(error.key, width)
            if isinstance(error.key, bytes):  # keys are read some at a time: the last before it were not given yet
                place = place if given is None else _behind(given, width)
                yield from _between(rows, txn, unreadable, map(key, (place, behind - 1)))
            place = behind
        else:
            return


def _between(
    rows: Map[Any, V], txn: Transaction, unreadable: Unreadable, ends: Iterable[Any]
) -> Iterator[tuple[Any, V]]:
    first, last = ends
    if last < first:
        return
    keys = list(rows.select(txn, first, last, return_values=False))
    for key in [*keys, last]:
        try:
            value = rows[txn, key]
        except DecodeError as error:
            unreadable[key] = error
        else:
            if value is not None:
                yield key, value


def _behind(key: object, width: int) -> int:
    """Return the first place behind a key: the number that a key of this width is, big-endian."""
    if isinstance(key, bytes):  # a damaged one, shorter or longer than those between which it stands
        return int.from_bytes(key[:width].ljust(width, b"\0"), "big") + (len(key) >= width)
    return (key.int if isinstance(key, UUID) else int(str(key))) + 1
