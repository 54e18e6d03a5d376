# SPDX-License-Identifier: MIT
"""Pages of a range: a few records at a time, each page in a transaction of its own, none twice and none left out."""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from zlmdb.errors import BadToken, ConfigError
from zlmdb.orm import ranges
from zlmdb.storage import Transaction, end_of_prefix, scan

if TYPE_CHECKING:
    from zlmdb.orm.reading import RangeReads
    from zlmdb.orm.sets import SetMap

K = TypeVar("K")
V = TypeVar("V")

_DIGEST: Final = 8  # bytes: a guard against mistakes, not against attackers


@dataclass(frozen=True, slots=True)
class Page(Generic[K, V]):
    """Some records of a range in order, and the token that the next page is asked for with.

    It is iterable and has a length. It holds plain values and outlives the transaction it was read in.
    """

    records: list[tuple[K, V]]
    token: str | None
    """URL-safe text; None when the end of the range was reached."""

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True, slots=True)
class Query:
    """What a token belongs to: a raw range of one map, read in one direction."""

    map: RangeReads[Any, Any]
    low: bytes
    high: bytes | None
    reverse: bool

    def token(self, raw: bytes) -> str:
        """Return the text that stands for "behind the raw key ``raw``"."""
        key = raw[2:]
        return urlsafe_b64encode(self._digest(key) + key).decode("ascii").rstrip("=")

    def last_key(self, token: object) -> bytes:
        """Return the raw key that a token of this query was made from; raise `BadToken` for any other."""
        try:
            text = token.encode("ascii")  # type: ignore[attr-defined]
            decoded = b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (AttributeError, UnicodeEncodeError, binascii.Error):
            raise self._bad(token) from None
        raw = self.low[:2] + decoded[_DIGEST:]
        if token != self.token(raw):
            raise self._bad(token)
        return raw

    def _digest(self, key: bytes) -> bytes:
        asked = (self.map.kind, self.low, self.high, self.reverse, key)
        import hashlib  # four milliseconds, for those who page

        return hashlib.blake2b(repr(asked).encode(), digest_size=_DIGEST, usedforsecurity=False).digest()

    def _bad(self, token: object) -> BadToken:
        return BadToken(
            "the token was not made by this query",
            where=self.map.title,
            got=token,
            expected="the token of a page of the same map, bounds, prefix and direction",
            next_step="begin again without a token",
        )


def checked_limit(map_: RangeReads[Any, Any], limit: int) -> int:
    """Return ``limit``; raise `ConfigError` unless it is a number of records that a page can have."""
    if type(limit) is not int or limit < 1:
        raise ConfigError("not a size of a page", where=map_.title, got=limit, expected="an int >= 1")
    return limit


def page(query: Query, txn: Transaction, limit: int, after: str | None) -> Page[Any, Any]:
    """Return up to ``limit`` records of the query, behind those of the page that had the token ``after``."""
    from zlmdb.orm.sets import SetMap

    low, high, map_ = query.low, query.high, query.map
    sets = map_ if isinstance(map_, SetMap) else None
    if after is not None:
        last = query.last_key(after)
        if query.reverse:
            high = last
        else:  # the least key behind it; behind a set, behind all of its members
            behind = last + b"\0" if sets is None else end_of_prefix(last)
            if behind is None:
                return Page([], None)
            low = behind
    return _records(query, txn, low, high, limit) if sets is None else _sets(query, sets, txn, low, high, limit)


def _records(query: Query, txn: Transaction, low: bytes, high: bytes | None, limit: int) -> Page[Any, Any]:
    raws: list[bytes] = []
    datas: list[Any] = []
    for more_raws, more_datas in scan(txn, low, high, reverse=query.reverse, limit=limit + 1, live=False):
        raws += more_raws
        datas += map(bytes, more_datas) if txn.buffers else more_datas  # a page outlives views
    token = query.token(raws[limit - 1]) if len(raws) > limit else None
    del raws[limit:], datas[limit:]
    return Page(list(zip(ranges.keys(query.map, raws), ranges.values(query.map, raws, datas), strict=True)), token)


def _sets(
    query: Query, map_: SetMap[Any, Any], txn: Transaction, low: bytes, high: bytes | None, limit: int
) -> Page[Any, Any]:
    found = list(map_._sets(txn, low, high, keys=True, values=True, reverse=query.reverse, limit=limit + 1))
    token = query.token(map_.raw_set(found[limit - 1][0])[0]) if len(found) > limit else None
    return Page([(key, frozenset(members)) for key, members in found[:limit]], token)
