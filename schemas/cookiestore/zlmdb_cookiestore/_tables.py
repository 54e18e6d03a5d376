# SPDX-License-Identifier: MIT
"""The tables of cookies: two as in existing files (FORMAT.md section 6.1), and two more indexes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final
from uuid import UUID

from zlmdb import (
    Database,
    MapStringUuid,
    MapStringUuidSet,
    MapUint64UuidSet,
    MapUuidFlatBuffers,
    Schema,
    Transaction,
    table,
)
from zlmdb.errors import DecodeError
from zlmdb_cookiestore._cookie import Cookie

NAME: Final = "cookiestore"
"""Of the plugin."""
VERSION: Final = 1
"""Of these tables."""

_SECOND: Final = 1_000_000_000  # in nanoseconds
_LATEST: Final = 2**64 - 1
_INDEXED: Final = 100  # characters of an authid, 400 bytes at most: a key of the 0.9 format has 511


@table("62f8c8c9-c50b-4686-bafe-38b221c64a0c", build=Cookie.build, cast=Cookie.cast)
class Cookies(MapUuidFlatBuffers[Cookie]):
    """Cookies by oid."""


@table("65e1d8c1-fa8b-459d-ae43-cb320d28cc97")
class IndexCookiesByValue(MapStringUuid):
    """Index of cookies by value."""


@table("8849c254-fa25-4f1c-abbe-a86e4e2e4575")
class IndexCookiesByAuthid(MapStringUuidSet):
    """Index of authenticated cookies by the beginning of their authid."""


@table("9ffbab20-c6c3-4b1b-a909-df6c1badbb84")
class IndexCookiesByExpiry(MapUint64UuidSet):
    """Index of cookies by expiry, in nanoseconds since 1970 UTC."""


def expiry_of(cookie: Cookie) -> int:
    """Return when the cookie expires, in nanoseconds since 1970 UTC; one without times has expired."""
    return end_of_life(cookie.created or 0, cookie.max_age)


def end_of_life(begin: int, seconds: int) -> int:
    """Return when so many seconds after ``begin`` are over; it and ``begin`` are in nanoseconds since 1970 UTC."""
    return min(begin + seconds * _SECOND, _LATEST)


def authid_key(cookie: Cookie) -> str | None:
    """Return the key of the cookie in `IndexCookiesByAuthid`; None if it is not authenticated."""
    return cookie.authid[:_INDEXED] if cookie.authid else None


class CookieStoreSchema(Schema):
    """Cookies and their indexes. A database opened read-only is attached without the indexes that only writes need."""

    cookies: Cookies
    by_value: IndexCookiesByValue
    by_authid: IndexCookiesByAuthid
    by_expiry: IndexCookiesByExpiry

    def attach(self, db: Database) -> None:
        """Attach the tables to ``db``."""
        self.cookies = db.attach_table(Cookies)
        self.by_value = db.attach_table(IndexCookiesByValue)
        self.cookies.attach_index("idx1", self.by_value, lambda cookie: cookie.value)
        if not db.is_readonly:
            self.by_authid = db.attach_table(IndexCookiesByAuthid)
            self.by_expiry = db.attach_table(IndexCookiesByExpiry)
            self.cookies.attach_index("by_authid", self.by_authid, authid_key, nullable=True, unique=False)
            self.cookies.attach_index("by_expiry", self.by_expiry, expiry_of, unique=False)

    def by_this_value(self, txn: Transaction, value: str) -> Cookie | None:
        """Return the cookie of this value, expired or not."""
        oid = self.oid_of(txn, value)
        return None if oid is None else self.readable(txn, oid)

    def oid_of(self, txn: Transaction, value: str) -> UUID | None:
        """Return the oid of the cookie of this value."""
        try:
            return self.by_value[txn, value]
        except DecodeError:
            return None  # and no error, which would tell the value

    def readable(self, txn: Transaction, oid: UUID) -> Cookie | None:
        """Return the cookie of this oid; None also for one that is damaged, which authenticates nobody."""
        try:
            return self.cookies[txn, oid]
        except DecodeError:
            return None

    def of_authid(self, txn: Transaction, authid: str) -> list[UUID]:
        """Return the oids of the cookies that are authenticated as ``authid``.

        Damaged ones are among them: of these the index alone tells whose they are, by the beginning of the authid.
        """
        return [oid for oid in self.by_authid[txn, authid[:_INDEXED]] if self._may_be_of(txn, oid, authid)]

    def _may_be_of(self, txn: Transaction, oid: UUID, authid: str) -> bool:
        cookie = self.readable(txn, oid)
        return self.is_damaged(txn, oid) if cookie is None else cookie.authid == authid

    def is_damaged(self, txn: Transaction, oid: UUID) -> bool:
        """Tell whether there is a cookie of this oid that cannot be read."""
        return self.readable(txn, oid) is None and (txn, oid) in self.cookies

    def expired(self, txn: Transaction, now: int) -> Iterator[tuple[int, UUID]]:
        """Yield expiry and oid of what has expired by ``now``, all in nanoseconds; the oldest first."""
        for expiry, oids in self.by_expiry.select(txn, to_key=now + 1):
            for oid in oids:
                yield expiry, oid

    def forget_expired(self, txn: Transaction, now: int, limit: int) -> tuple[int, int]:
        """Delete at most ``limit`` cookies that have expired; return how many index records and cookies that were."""
        due = list(islice(self.expired(txn, now), limit))
        forgotten = 0
        for expiry, oid in due:
            cookie = self.readable(txn, oid)
            # of a damaged one the index alone tells when it expires
            if self.is_damaged(txn, oid) if cookie is None else expiry_of(cookie) <= now:
                del self.cookies[txn, oid]
                forgotten += 1
            self.by_expiry[txn, expiry].discard(oid)  # there still if a program that does not know it was here
        return len(due), forgotten

    def rebuild(self, txn: Transaction) -> int:
        """Fill the indexes that existing programs do not know anew, all at once; return the number of cookies.

        Stores do it in slices when they open a file, and only where it is needed.
        """
        self.cookies.rebuild_index(txn, "by_authid")
        return self.cookies.rebuild_index(txn, "by_expiry")[1]
