# SPDX-License-Identifier: MIT
"""What is done with cookies inside transactions, whoever runs these.

Times are in nanoseconds since 1970 UTC, and given: functions that write may run again, and are then the same.
No error of these functions tells the value of a cookie.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Final
from uuid import UUID

from zlmdb import Transaction
from zlmdb.codecs import is_plain
from zlmdb.errors import DataError, KeyExists, WrongType, WrongValue
from zlmdb_cookiestore._config import LONGEST_LIFE, CookieStoreConfig
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._header import IssuedCookie, checked_name, is_lifetime, is_value, set_cookie
from zlmdb_cookiestore._tables import CookieStoreSchema, expiry_of

_SECOND: Final = 1_000_000_000  # in nanoseconds
_DEEPEST: Final = 64
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a cookie authenticates."""

    authid: str | None
    authrole: str | None = None
    authmethod: str | None = None
    authrealm: str | None = None
    authextra: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CookieCounts:
    """What is stored."""

    cookies: int
    """All records, those that have expired and wait for a sweep among them."""
    expired: int
    authenticated: int
    authids: int
    """Different beginnings, of 100 characters, of authids."""


class Operations:
    """Reads and writes of cookies; each is atomic by its transaction."""

    def __init__(self, schema: CookieStoreSchema, config: CookieStoreConfig) -> None:
        self.schema = schema
        self.config = config

    # --- reading: nothing here gives out a cookie that has expired

    def find(self, txn: Transaction, value: object, now: int) -> Cookie | None:
        """Return the cookie of this value."""
        if not isinstance(value, str) or not is_value(value):
            return None
        cookie = self.schema.by_this_value(txn, value)
        if cookie is None or cookie.oid is None or expiry_of(cookie) <= now:
            return None
        return cookie if hmac.compare_digest((cookie.value or "").encode(), value.encode()) else None

    def find_oid(self, txn: Transaction, oid: UUID, now: int) -> Cookie | None:
        """Return the cookie of this oid."""
        cookie = self.schema.readable(txn, oid)
        return None if cookie is None or expiry_of(cookie) <= now else cookie

    def of_authid(self, txn: Transaction, authid: str, now: int) -> list[Cookie]:
        """Return the cookies that authenticate ``authid``, the newest first."""
        _check_authid(authid)
        oids = self._oids(txn) if self.config.readonly else self.schema.of_authid(txn, authid)
        found = [cookie for cookie in self._valid(txn, oids, now) if cookie.authid == authid]
        return sorted(found, key=lambda cookie: cookie.created or 0, reverse=True)

    def expiring(self, txn: Transaction, within: float, limit: int, now: int) -> list[Cookie]:
        """Return up to ``limit`` cookies that expire within so many seconds, the next to expire first."""
        _check_seconds(within)
        if type(limit) is not int or limit < 0:
            raise WrongValue("not a number of cookies", where="limit", got=limit, expected="an int >= 0")
        until = now + int(within * _SECOND)
        if self.config.readonly:
            found = [cookie for cookie in self._valid(txn, self._oids(txn), now) if expiry_of(cookie) <= until]
            return sorted(found, key=expiry_of)[:limit]
        due = self.schema.by_expiry.select(txn, now + 1, until + 1, return_keys=False)
        return list(islice(self._valid(txn, chain.from_iterable(due), now), limit))

    def counts(self, txn: Transaction, now: int) -> CookieCounts:
        """Count what is stored."""
        schema, number = self.schema, self.schema.cookies.count(txn)
        if self.config.readonly:
            cookies = [cookie for oid in self._oids(txn) if (cookie := schema.readable(txn, oid))]
            authids = [cookie.authid[:100] for cookie in cookies if cookie.authid]
            expired = sum(expiry_of(cookie) <= now for cookie in cookies)
            return CookieCounts(number, expired, len(authids), len(set(authids)))
        expired = sum(1 for _ in schema.expired(txn, now))
        return CookieCounts(number, expired, schema.by_authid.count_members(txn), schema.by_authid.count(txn))

    def _oids(self, txn: Transaction) -> Iterable[UUID]:
        # read-only, indexes may be missing, or behind what another program wrote
        return self.schema.cookies.select(txn, return_values=False)

    def _valid(self, txn: Transaction, oids: Iterable[UUID], now: int) -> Iterator[Cookie]:
        for oid in oids:
            if (cookie := self.find_oid(txn, oid, now)) is not None:
                yield cookie

    # --- new cookies

    def issue(self, name: str | None, max_age: int | None) -> IssuedCookie:
        """Make up a cookie, which is nowhere stored yet."""
        name, max_age = self._checked(name, max_age)
        return self._issued(name, self._new_value(), max_age, uuid.uuid4())

    def _new_value(self) -> str:
        return secrets.token_urlsafe(self.config.length)[: self.config.length]

    def insert(self, txn: Transaction, issued: IssuedCookie, now: int) -> None:
        """Store a cookie that `issue` made up."""
        if (txn, issued.value) in self.schema.by_value:
            raise KeyExists("another cookie has this value", where="cookie store", next_step="make another one")
        cookie = Cookie(oid=issued.oid, created=now, max_age=issued.max_age, name=issued.name, value=issued.value)
        self.schema.cookies.insert(txn, issued.oid, cookie)

    def create(self, txn: Transaction, name: str | None, max_age: int | None, now: int) -> IssuedCookie:
        """Make a new cookie."""
        name, max_age = self._checked(name, max_age)
        issued = self._issued(name, self._unused_value(txn), max_age, uuid.uuid4())
        self.insert(txn, issued, now)
        return issued

    def _unused_value(self, txn: Transaction) -> str:
        value = self._new_value()
        while (txn, value) in self.schema.by_value:  # short values repeat now and then
            value = self._new_value()
        return value

    def sign_in(
        self,
        txn: Transaction,
        former: str | None,
        identity: Identity,
        name: str | None,
        max_age: int | None,
        now: int,
    ) -> IssuedCookie:
        """Give the cookie ``former``, or a new one, an identity, a new value and a new lifetime."""
        name, max_age = self._checked(name, max_age)
        if not isinstance(identity.authid, str) or not identity.authid:
            raise WrongValue("nobody to sign in", where="authid", got=identity.authid, expected="a str, not empty")
        known = self.find(txn, former, now)
        if known is None or known.name != name:  # one of the other name may come from an insecure connection
            known = Cookie(oid=uuid.uuid4())
        assert known.oid is not None
        # the record goes on, but who knew its value before the login does not know the new one
        issued = self._issued(name, self._unused_value(txn), max_age, known.oid)
        cookie = replace(known, created=now, max_age=max_age, name=name, value=issued.value)
        if identity.authextra is None:
            identity = replace(identity, authextra=known.authextra)
        self._store(txn, _identified(cookie, identity, now))
        return issued

    # --- changes

    def authenticate(self, txn: Transaction, value: str, identity: Identity, now: int) -> bool:
        """Give a cookie an identity; return whether there was one."""
        cookie = self.find(txn, value, now)
        if cookie is None:
            return False
        self._store(txn, _identified(cookie, identity, now))
        return True

    def lifetime(self, cookie: Cookie, max_age: int | None, now: int) -> int:
        """Return the seconds from its creation on that a touch would have the cookie live; never fewer than now."""
        _, max_age = self._checked(None, max_age)
        age = -(((cookie.created or 0) - now) // _SECOND)  # in whole seconds, upwards
        return max(min(age + max_age, self.config.longest_life or LONGEST_LIFE), cookie.max_age)

    def touch(self, txn: Transaction, value: str, max_age: int | None, now: int) -> IssuedCookie | None:
        """Have a cookie live ``max_age`` seconds from now on; None if there is none, or it would gain too little."""
        cookie = self.find(txn, value, now)
        if cookie is None or cookie.oid is None or not self.gains(cookie, max_age, now):
            return None
        lifetime = self.lifetime(cookie, max_age, now)
        self.schema.cookies[txn, cookie.oid] = replace(cookie, max_age=lifetime)
        left = ((cookie.created or 0) - now) // _SECOND + lifetime
        return self._issued(cookie.name or self.config.cookie_name, value, left, cookie.oid)

    def gains(self, cookie: Cookie, max_age: int | None, now: int) -> bool:
        """Tell whether a touch would gain enough to be written."""
        gained = self.lifetime(cookie, max_age, now) - cookie.max_age
        return gained > 0 and gained >= self.config.touch_interval

    def update_data(self, txn: Transaction, value: str, changes: Mapping[str, Any], now: int) -> bool:
        """Change keys of a cookie's data, and remove those that are None; return whether there was such a cookie."""
        _check_changes(changes)
        cookie = self.find(txn, value, now)
        if cookie is None:
            return False
        data = {**(cookie.authextra or {}), **changes}
        self._store(txn, replace(cookie, authextra={key: item for key, item in data.items() if item is not None}))
        return True

    # --- ends

    def revoke(self, txn: Transaction, value: str) -> bool:
        """Delete the cookie of this value; return whether there was one."""
        oid = self.schema.oid_of(txn, value) if is_value(value) else None
        return oid is not None and self.schema.cookies.delete_many(txn, [oid]) == 1

    def revoke_oid(self, txn: Transaction, oid: UUID) -> bool:
        """Delete the cookie of this oid; return whether there was one."""
        return self.schema.cookies.delete_many(txn, [oid]) == 1

    def revoke_all(self, txn: Transaction, authid: str, keep: str | None = None) -> int:
        """Delete the cookies that authenticate ``authid``, but for the one of the value ``keep``; return how many."""
        _check_authid(authid)
        kept = self.schema.oid_of(txn, keep) if is_value(keep) and keep is not None else None
        return self.schema.cookies.delete_many(txn, [oid for oid in self.schema.of_authid(txn, authid) if oid != kept])

    # --- the way there

    def _checked(self, name: str | None, max_age: int | None) -> tuple[str, int]:
        name = checked_name(self.config, name)
        max_age = self.config.max_age if max_age is None else max_age
        if not is_lifetime(max_age):
            expected = f"an int of seconds, 1 to {LONGEST_LIFE}"
            raise WrongValue("not a lifetime of a cookie", where="max_age", got=max_age, expected=expected)
        return name, max_age

    def _issued(self, name: str, value: str, max_age: int, oid: UUID) -> IssuedCookie:
        return IssuedCookie(name, value, set_cookie(self.config, name, value, max_age), max_age, oid)

    def _store(self, txn: Transaction, cookie: Cookie) -> None:
        """Write a cookie whose data may be new."""
        assert cookie.oid is not None
        if _nests(cookie.authextra, _DEEPEST):
            expected = f"at most {_DEEPEST} levels of dicts and lists"
            raise WrongValue("data of a cookie nest too deeply", where="cookie store", expected=expected)
        is_plain(cookie.authextra)  # before it is written: a few bytes may stand for gigabytes
        data = bytes(cookie)
        size, limit = len(data), self.config.max_data
        if size > limit:
            raise WrongValue(
                "too much for a cookie's record",
                where="cookie store",
                got=size,
                expected=f"at most {limit} bytes",
                next_step="keep it in a table of your own, or raise max-data",
            )
        _check_readable(data)
        self.schema.cookies[txn, cookie.oid] = cookie


def _identified(cookie: Cookie, identity: Identity, now: int) -> Cookie:
    return replace(
        cookie,
        authenticated=now if identity.authid else None,
        authid=identity.authid,
        authrole=identity.authrole,
        authmethod=identity.authmethod,
        authrealm=identity.authrealm,
        authextra=identity.authextra,
    )


def _check_readable(data: bytes) -> None:
    """Refuse a record that could not be read again, or once read not be changed: it would end the login it is of."""
    try:
        bytes(Cookie.cast(data))
    except DataError as error:
        raise WrongValue(
            "data of a cookie could be written, but not read back",
            where="cookie store",
            expected="what CBOR gives back: its tags stand for what they say, and nothing contains itself",
            next_step="store it as a string, or as bytes",
        ) from error


def _nests(value: object, levels: int) -> bool:
    """Tell whether ``value`` has more than so many levels of containers; deep ones can be written and not read."""
    level: dict[int, Any] = {id(value): value}
    for _ in range(levels):
        level = {id(part): part for container in level.values() for part in _parts(container)}  # each once
        if not level:
            return False
    return any(isinstance(part, _CONTAINERS) for part in level.values())


def _parts(value: Any) -> Iterable[Any]:
    if not isinstance(value, _CONTAINERS):
        return ()
    return chain(value, value.values()) if isinstance(value, dict) else value


def _check_authid(authid: object) -> None:
    if not isinstance(authid, str):
        raise WrongType("not an authid", where="authid", got=authid, expected="a str")


def _check_seconds(within: object) -> None:
    if not isinstance(within, (int, float)) or not 0 <= within <= LONGEST_LIFE:
        expected = f"seconds, 0 to {LONGEST_LIFE}"
        raise WrongValue("not a time that cookies live", where="within", got=within, expected=expected)


def _check_changes(changes: object) -> None:
    if not isinstance(changes, Mapping) or not all(isinstance(key, str) for key in changes):
        expected = "a mapping with strings as keys"
        raise WrongType("not a change of a cookie's data", where="changes", got=changes, expected=expected)
