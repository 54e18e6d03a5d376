# SPDX-License-Identifier: MIT
"""Bring the indexes up to date that programs leave as they are which know two tables only (FORMAT.md section 6.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias
from uuid import UUID

from zlmdb import Transaction
from zlmdb.errors import DecodeError
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._tables import CookieStoreSchema, authid_key, expiry_of

log = logging.getLogger(__name__)
Step: TypeAlias = Callable[[Transaction], None]
Stale: TypeAlias = tuple[int | str, UUID]
"""An index record that fits no cookie: its key, an expiry or an authid, and the oid."""


class Mending:
    """Find index records that are missing or wrong, and set them right, ``limit`` of them in a transaction.

    Damaged cookies keep the index records that they have: nothing else tells whose they are and when they expire. One
    that is not indexed by expiry is from now on, at ``due`` (in nanoseconds since 1970 UTC), so that it is swept.

    Call `next_step` in read transactions and what it returns in write transactions, in turn, until it returns
    None. A step may run again, and looks at the cookies as they are by then: other processes may go on writing,
    and what stops the mending is no harm, as the next one goes on.
    """

    def __init__(self, schema: CookieStoreSchema, limit: int, due: int) -> None:
        self._schema = schema
        self._due = due
        self._limit = limit
        self._after: UUID | None = None
        self._read = self._authenticated = self._indexed = self._discarded = 0
        self._damaged: list[UUID] = []
        self._inspected = False
        self._undated: list[UUID] | None = None
        self._stale: list[Stale] | None = None

    def next_step(self, txn: Transaction) -> Step | None:
        """Look for what to do next; None for nothing."""
        while not self._inspected:
            if unindexed := self._inspect(txn):
                self._indexed += len(unindexed)
                return partial(self._index, unindexed)
        if self._undated is None:
            self._undated = self._find_undated(txn)
        if self._undated:
            undated = self._undated[: self._limit]
            del self._undated[: self._limit]
            return partial(self._date, undated)
        if self._stale is None:
            self._stale = list(self._find_stale(txn))
            self._discarded = len(self._stale)
        if not self._stale:
            return None
        step = partial(self._discard, self._stale[: self._limit])
        del self._stale[: self._limit]
        return step

    def report(self, path: str) -> None:
        """Log what was done, if anything was; without the values of cookies."""
        if self._indexed:
            log.info("%s: indexed %d cookies by authid and expiry", path, self._indexed)
        if self._discarded:
            log.info("%s: removed %d index records that fitted no cookie", path, self._discarded)
        if self._damaged:
            oids = ", ".join(map(str, self._damaged[:10]))
            log.error("%s: %d cookies are damaged and let nobody in, such as %s", path, len(self._damaged), oids)

    # --- missing records

    def _inspect(self, txn: Transaction) -> list[UUID]:
        """Look at the next cookies, and return the oids of those that are not indexed."""
        behind = self._schema.cookies.select(txn, self._after, return_values=False, limit=self._limit + 1)
        oids = [oid for oid in behind if oid != self._after][: self._limit]
        if len(oids) < self._limit:
            self._inspected = True
        else:
            self._after = oids[-1]
        self._read += len(oids)
        return [oid for oid in oids if self._is_unindexed(txn, oid)]

    def _is_unindexed(self, txn: Transaction, oid: UUID) -> bool:
        try:
            cookie = self._schema.cookies[txn, oid]
        except DecodeError:
            self._damaged.append(oid)
            return False
        if cookie is None:
            return False
        key = authid_key(cookie)
        self._authenticated += key is not None
        schema = self._schema
        known = oid in schema.by_expiry[txn, expiry_of(cookie)] and (key is None or oid in schema.by_authid[txn, key])
        return not known

    def _index(self, oids: list[UUID], txn: Transaction) -> None:
        for oid in oids:
            cookie = self._schema.readable(txn, oid)
            if cookie is None:
                continue
            self._schema.by_expiry[txn, expiry_of(cookie)].add(oid)
            if (key := authid_key(cookie)) is not None:
                self._schema.by_authid[txn, key].add(oid)

    def _find_undated(self, txn: Transaction) -> list[UUID]:
        """Return the oids of damaged cookies that no sweep would find."""
        undated = set(self._damaged)
        if undated:
            for _, oids in self._schema.by_expiry.select(txn):
                undated.difference_update(oids)
        return sorted(undated)

    def _date(self, oids: list[UUID], txn: Transaction) -> None:
        for oid in oids:
            if self._schema.is_damaged(txn, oid):
                self._schema.by_expiry[txn, self._due].add(oid)

    # --- records too many

    def _find_stale(self, txn: Transaction) -> Iterator[Stale]:
        schema = self._schema
        counted = (schema.by_expiry.count_members(txn), schema.by_authid.count_members(txn))
        if counted == (self._read - len(self._damaged), self._authenticated):
            return  # every cookie has its own by now, so there is none too many
        for index in (schema.by_expiry, schema.by_authid):
            for key, oids in index.select(txn):
                yield from ((key, oid) for oid in oids if not self._fits(txn, key, oid))

    def _fits(self, txn: Transaction, key: int | str, oid: UUID) -> bool:
        cookie: Cookie | None = self._schema.readable(txn, oid)
        if cookie is None:
            return self._schema.is_damaged(txn, oid)
        return key in {expiry_of(cookie), authid_key(cookie)}

    def _discard(self, found: list[Stale], txn: Transaction) -> None:
        for key, oid in found:
            if self._fits(txn, key, oid):
                continue
            if isinstance(key, str):
                self._schema.by_authid[txn, key].discard(oid)
            else:
                self._schema.by_expiry[txn, key].discard(oid)
