# SPDX-License-Identifier: MIT
"""`CookieStore`: creates, looks up, authenticates, revokes and expires cookies."""

from __future__ import annotations

import hmac
import logging
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar, TypeVarTuple

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from zlmdb import Transaction
from zlmdb.errors import DatabaseClosed, WrongValue
from zlmdb.plugins import Context
from zlmdb.twisted import AsyncDatabase
from zlmdb_cookiestore._config import LONGEST_LIFE, NAME, CookieStoreConfig
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._header import IssuedCookie, is_lifetime, is_name, is_value, parse, set_cookie
from zlmdb_cookiestore._tables import CookieStoreSchema, expiry_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class CookieCounters:
    """What a store has done since it was made; `CookieStore.counters` hands out a copy."""

    created: int = 0
    authenticated: int = 0
    revoked: int = 0
    expired: int = 0
    """Cookies that a sweep removed."""
    failed_sweeps: int = 0


class CookieStore:
    """The cookies of one database; use it on the reactor's thread, once the plugin's host has started it.

    `lookup` answers at once, from memory as a rule. What writes returns a Deferred that fires after the
    commit, or fails: bad input with `DataError`, use while or after it is stopped with `DatabaseClosed`.
    A cookie that has expired by the host's clock is nowhere found, whether a sweep has removed it or not.
    The values of cookies are neither logged nor part of a ``repr``.
    """

    def __init__(self, config: CookieStoreConfig, context: Context) -> None:
        self.config = config
        self._context = context
        self._counters = CookieCounters()
        self._db: AsyncDatabase | None = None
        self._schema: CookieStoreSchema
        self._timer: Any = None  # what Context.call_later returns
        self._sweeping: Deferred[int] | None = None
        self._draining = False

    # --- cookies

    def create(self, *, name: str | None = None, max_age: int | None = None) -> Deferred[IssuedCookie]:
        """Make a cookie that authenticates nobody yet; ``max_age`` is in seconds, both default to the configured.

        Fails with `WrongValue` for what no cookie can have.
        """
        name = self.config.cookie_name if name is None else name
        max_age = self.config.max_age if max_age is None else max_age
        if not is_name(name):
            return fail(WrongValue("not a name of a cookie", where="create", got=name, expected=f"matching {NAME}"))
        if not is_lifetime(max_age):
            expected = f"an int of seconds, 1 to {LONGEST_LIFE}"
            return fail(WrongValue("not a lifetime of a cookie", where="create", got=max_age, expected=expected))
        return self._write("created", self._create, name, max_age, self._context.time_ns())

    def lookup(self, value: str) -> Cookie | None:
        """Return the cookie of this value, None if there is none or it has expired; any string may be asked for.

        Raises:
            DatabaseClosed: before the store is attached, and after it is stopped.
        """
        if not is_value(value):
            return None
        with self._database().begin() as txn:
            return self._valid(txn, value, self._context.time_ns())

    def authenticate(
        self,
        value: str,
        authid: str | None,
        authrole: str | None = None,
        authmethod: str | None = None,
        authrealm: str | None = None,
        authextra: dict[str, Any] | None = None,
    ) -> Deferred[bool]:
        """Remember whom this cookie authenticates from now on; with ``authid`` None, that it authenticates nobody.

        Fires with False if there is no such cookie, or it has expired.
        """
        changes = {
            "authid": authid,
            "authrole": authrole,
            "authmethod": authmethod,
            "authrealm": authrealm,
            "authextra": authextra,
        }
        return self._write("authenticated", self._authenticate, value, changes, self._context.time_ns())

    def revoke(self, value: str) -> Deferred[bool]:
        """Delete the cookie of this value; fires with whether there was one."""
        return self._write("revoked", self._revoke, value)

    def revoke_all(self, authid: str) -> Deferred[int]:
        """Delete all cookies that authenticate ``authid``; fires with how many there were."""
        return self._write("revoked", self._revoke_all, authid)

    def sweep(self) -> Deferred[int]:
        """Delete what has expired, in transactions of ``sweep_slice`` cookies; fires with how many there were.

        The store does so by itself every ``sweep_interval`` seconds.
        """
        return Deferred.fromCoroutine(self._sweep())

    def counters(self) -> CookieCounters:
        """Return what was done so far."""
        return replace(self._counters)

    # --- headers

    def parse(self, header: str) -> str | None:
        """Return the value of our cookie in a ``Cookie`` header, None if there is none that could be ours."""
        return parse(header, self.config.cookie_name)

    def forget_header(self) -> str:
        """Return the text of a ``Set-Cookie`` header that has the browser forget the cookie."""
        return set_cookie(self.config, self.config.cookie_name, "", 0)

    # --- inside transactions: re-runnable, and on the writer's thread but for `_valid`

    def _valid(self, txn: Transaction, value: str, now: int) -> Cookie | None:
        cookie = self._schema.by_this_value(txn, value) if is_value(value) else None
        if cookie is None or expiry_of(cookie) <= now:
            return None
        return cookie if hmac.compare_digest((cookie.value or "").encode(), value.encode()) else None

    def _create(self, txn: Transaction, name: str, max_age: int, now: int) -> IssuedCookie:
        oid, value = uuid.uuid4(), self._new_value()
        while (txn, value) in self._schema.by_value:  # short values repeat now and then
            value = self._new_value()
        self._schema.cookies.insert(txn, oid, Cookie(oid=oid, created=now, max_age=max_age, name=name, value=value))
        return IssuedCookie(name, value, set_cookie(self.config, name, value, max_age), max_age)

    def _new_value(self) -> str:
        return secrets.token_urlsafe(self.config.length)[: self.config.length]

    def _authenticate(self, txn: Transaction, value: str, changes: dict[str, Any], now: int) -> bool:
        cookie = self._valid(txn, value, now)
        if cookie is None or cookie.oid is None:
            return False
        since = now if changes["authid"] else None
        self._schema.cookies[txn, cookie.oid] = replace(cookie, authenticated=since, **changes)
        return True

    def _revoke(self, txn: Transaction, value: str) -> bool:
        oid = self._schema.by_value[txn, value] if is_value(value) else None
        return oid is not None and self._schema.cookies.delete_many(txn, [oid]) == 1

    def _revoke_all(self, txn: Transaction, authid: str) -> int:
        return self._schema.cookies.delete_many(txn, self._schema.of_authid(txn, authid))

    # --- the steps of its life, called by the plugin's host

    async def attach(self) -> None:
        """Open the database and attach the tables."""
        config = self.config
        options = {"maxsize": config.maxsize, "readonly": config.readonly, "sync": config.sync}
        self._db = db = await self._context.open_database(config.path, **options)
        self._schema = await db.attach(CookieStoreSchema)

    async def migrate(self) -> None:
        """Bring the indexes up to date that programs do not know which wrote the file before."""
        db = self._database()
        if self.config.readonly:
            return
        if self.config.purge_on_startup:
            await db.write(self._schema.cookies.truncate)
        elif not await db.read(self._schema.indexes_agree):
            number = await db.write(self._schema.rebuild)
            log.info("%s: indexed %d cookies by authid and expiry", self.config.path, number)

    def start(self) -> None:
        """Begin to sweep now and then."""
        if not self.config.readonly:
            self._sweep_later()

    async def drain(self) -> None:
        """Take nothing new, and finish what was taken."""
        self._draining = True
        if self._timer is not None:
            self._timer.cancel()
        if self._sweeping is not None:
            await self._sweeping
        if not self.config.readonly:
            await self._database().flushed()

    async def stop(self) -> None:
        """Close the database."""
        if self._db is not None:
            await self._db.close()

    # --- the way there

    def _database(self) -> AsyncDatabase:
        if self._db is None:
            raise DatabaseClosed("the cookie store is not attached", where=self.config.path, next_step="start it first")
        return self._db

    def _write(self, counter: str, function: Callable[[Transaction, *Ts], T], *args: *Ts) -> Deferred[T]:
        if self._db is None or self._draining:
            return fail(DatabaseClosed("the cookie store is not running", where=self.config.path))

        def count(outcome: T) -> T:
            number = outcome if isinstance(outcome, int) else 1
            setattr(self._counters, counter, getattr(self._counters, counter) + number)
            return outcome

        return self._db.write(function, *args).addCallback(count)

    async def _sweep(self) -> int:
        limit, swept = self.config.sweep_slice, 0
        while not self._draining:
            seen, forgotten = await self._database().write(self._schema.forget_expired, self._context.time_ns(), limit)
            swept += forgotten
            self._counters.expired += forgotten
            if seen < limit:
                break
        return swept

    def _sweep_later(self) -> None:
        self._timer = self._context.call_later(self.config.sweep_interval, self._sweep_now)

    def _sweep_now(self) -> None:
        self._timer = None
        self._sweeping = self.sweep().addErrback(self._sweep_failed)
        self._sweeping.addBoth(self._swept)

    def _swept(self, swept: int) -> int:
        if not self._draining:
            self._sweep_later()
        return swept

    def _sweep_failed(self, failure: Failure) -> int:
        self._counters.failed_sweeps += 1
        log.error("%s: a sweep failed and is tried again later: %s", self.config.path, failure.value)
        return 0
