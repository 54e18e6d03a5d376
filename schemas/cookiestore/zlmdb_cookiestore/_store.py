# SPDX-License-Identifier: MIT
"""`CookieStore`: creates, looks up, authenticates, revokes and expires cookies, with Deferreds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, TypeVarTuple
from uuid import UUID

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from zlmdb import Transaction
from zlmdb.errors import DatabaseClosed, ZlmdbError
from zlmdb.plugins import Context
from zlmdb.twisted import AsyncDatabase
from zlmdb_cookiestore._config import CookieStoreConfig
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._header import IssuedCookie, forget_cookie, parse
from zlmdb_cookiestore._mending import Mending
from zlmdb_cookiestore._operations import CookieCounts, Identity, Operations
from zlmdb_cookiestore._tables import CookieStoreSchema, end_of_life

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
log = logging.getLogger(__name__)


@dataclass(slots=True)
class CookieCounters:
    """What a store has done since it was made; `CookieStore.counters` hands out a copy."""

    created: int = 0
    """New cookies, of sign-ins too."""
    authenticated: int = 0
    touched: int = 0
    """Cookies whose life was lengthened."""
    updated: int = 0
    """Changes of data."""
    revoked: int = 0
    expired: int = 0
    """Cookies that a sweep removed."""
    failed_sweeps: int = 0


class CookieStore:
    """The cookies of one database; use it on the reactor's thread, once the plugin's host has started it.

    `lookup` answers at once, from memory as a rule. What writes returns a Deferred that fires after the
    commit, or fails: bad input with `DataError`, use while or after it is stopped with `DatabaseClosed`.
    A cookie that has expired by the host's clock is nowhere found, whether a sweep has removed it or not.
    The values of cookies are neither logged nor part of a ``repr`` or an error.
    """

    def __init__(self, config: CookieStoreConfig, context: Context) -> None:
        self.config = config
        self._context = context
        self._counters = CookieCounters()
        self._db: AsyncDatabase | None = None
        self._schema: CookieStoreSchema
        self._operations: Operations
        self._timer: Any = None  # what Context.call_later returns
        self._sweeping: Deferred[int] | None = None
        self._draining = False

    # --- new cookies

    def create(self, *, name: str | None = None, max_age: int | None = None) -> Deferred[IssuedCookie]:
        """Make a cookie that authenticates nobody yet; ``max_age`` is in seconds, both default to the configured.

        Fails with `WrongValue` for what no cookie can have.
        """
        return self._write("created", lambda do, txn, now: do.create(txn, name, max_age, now))

    def issue(self, *, name: str | None = None, max_age: int | None = None) -> tuple[IssuedCookie, Deferred[None]]:
        """Make a cookie as `create` does, and return it at once, with a Deferred that fires after its commit.

        Nobody can look it up, and no browser should have it, before that. Raises `WrongValue` as `create` fails.
        """
        self._database()
        issued = self._operations.issue(name, max_age)
        stored = self._write("created", lambda do, txn, now: do.insert(txn, issued, now), lambda _: 1)
        return issued, stored

    def sign_in(
        self,
        former: str | None,
        authid: str,
        authrole: str | None = None,
        authmethod: str | None = None,
        authrealm: str | None = None,
        authextra: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        max_age: int | None = None,
    ) -> Deferred[IssuedCookie]:
        """Hand out a cookie that authenticates ``authid``, for the one of the value ``former`` if there is such.

        The new one takes over oid and, without ``authextra``, data of ``former``, whose value is good for nothing
        any more: whoever had planted or seen it before the login has nothing of it. A ``former`` that is unknown,
        has expired or has another name is left alone. Fails with `WrongValue` for what no cookie can have.
        """
        identity = Identity(authid, authrole, authmethod, authrealm, authextra)
        return self._write("created", lambda do, txn, now: do.sign_in(txn, former, identity, name, max_age, now))

    # --- cookies

    def lookup(self, value: str) -> Cookie | None:
        """Return the cookie of this value, None if there is none or it has expired; any string may be asked for.

        Raises:
            DatabaseClosed: before the store is attached, and after it is stopped.
        """
        with self._database().begin() as txn:
            return self._operations.find(txn, value, self._context.time_ns())

    def lookup_oid(self, oid: UUID) -> Cookie | None:
        """Return the cookie of this oid, None if there is none or it has expired.

        Raises:
            DatabaseClosed: as `lookup`.
            WrongType: it is no UUID.
        """
        with self._database().begin() as txn:
            return self._operations.find_oid(txn, oid, self._context.time_ns())

    def of_authid(self, authid: str) -> Deferred[list[Cookie]]:
        """Return the cookies that authenticate ``authid``, the newest first."""
        return self._read(lambda do, txn, now: do.of_authid(txn, authid, now))

    def expiring(self, within: float, limit: int = 100) -> Deferred[list[Cookie]]:
        """Return up to ``limit`` cookies that expire within so many seconds, the next to expire first."""
        return self._read(lambda do, txn, now: do.expiring(txn, within, limit, now))

    def counts(self) -> Deferred[CookieCounts]:
        """Count what is stored."""
        return self._read(lambda do, txn, now: do.counts(txn, now))

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

        Fires with False if there is no such cookie, or it has expired; fails as `update_data` does. For logins of
        people, see `sign_in`.
        """
        identity = Identity(authid, authrole, authmethod, authrealm, authextra)
        return self._write("authenticated", lambda do, txn, now: do.authenticate(txn, value, identity, now))

    def touch(self, value: str, *, max_age: int | None = None) -> Deferred[IssuedCookie | None]:
        """Have a cookie live for ``max_age`` seconds (None: the configured) from now on, or as long as before.

        Fires with the cookie to be sent to the browser again; with None, and nothing was written, if there is no
        such cookie, if it would gain less than ``touch_interval`` seconds, and at the end of ``longest_life``.
        """
        try:
            cookie = self.lookup(value)
            gains = cookie is not None and self._operations.gains(cookie, max_age, self._context.time_ns())
        except ZlmdbError:
            return fail()
        if not gains:
            return succeed(None)
        return self._write("touched", lambda do, txn, now: do.touch(txn, value, max_age, now))

    def update_data(self, value: str, changes: Mapping[str, Any]) -> Deferred[bool]:
        """Change keys of the data (``authextra``) of a cookie, and remove those whose new value is None.

        Other keys stay as they are, whoever changed them meanwhile. The new values must fit into CBOR. Fires with
        whether there was such a cookie; fails with `WrongType` or `WrongValue` for what cannot be stored or read back.
        """
        return self._write("updated", lambda do, txn, now: do.update_data(txn, value, changes, now))

    def revoke(self, value: str) -> Deferred[bool]:
        """Delete the cookie of this value; fires with whether there was one."""
        return self._write("revoked", lambda do, txn, _: do.revoke(txn, value))

    def revoke_oid(self, oid: UUID) -> Deferred[bool]:
        """Delete the cookie of this oid; fires with whether there was one."""
        return self._write("revoked", lambda do, txn, _: do.revoke_oid(txn, oid))

    def revoke_all(self, authid: str, *, keep: str | None = None) -> Deferred[int]:
        """Delete all cookies that authenticate ``authid``, at once; fires with how many there were.

        The cookie of the value ``keep`` stays, if it is one of them.
        """
        return self._write("revoked", lambda do, txn, _: do.revoke_all(txn, authid, keep))

    def sweep(self) -> Deferred[int]:
        """Delete what has expired, in transactions of ``sweep_slice`` cookies; fires with how many there were.

        The store does so by itself every ``sweep_interval`` seconds.
        """
        return Deferred.fromCoroutine(self._sweep())

    def counters(self) -> CookieCounters:
        """Return what was done so far."""
        return replace(self._counters)

    # --- headers

    def parse(self, header: str | bytes) -> str | None:
        """Return the value of our cookie in a ``Cookie`` header, None if there is none that could be ours.

        Whatever was sent may be passed. Several different values of one name are none.
        """
        return parse(header, self.config.cookie_name)

    def forget_header(self, name: str | None = None) -> str:
        """Return the text of a ``Set-Cookie`` header that has the browser forget the cookie; None is our cookie.

        Raises:
            WrongValue: no cookie can have this name.
        """
        return forget_cookie(self.config, name)

    # --- the steps of its life, called by the plugin's host

    async def attach(self) -> None:
        """Open the database and attach the tables."""
        config = self.config
        options = {"maxsize": config.maxsize, "readonly": config.readonly, "sync": config.sync}
        self._db = db = await self._context.open_database(config.path, **options)
        self._schema = await db.attach(CookieStoreSchema)
        self._operations = Operations(self._schema, config)

    async def migrate(self) -> None:
        """Bring the indexes up to date that programs do not know which wrote the file before."""
        if self.config.readonly:
            return
        if self.config.purge_on_startup:
            await self._database().write(self._schema.cookies.truncate)
        else:
            await self._mend()

    def start(self) -> None:
        """Begin to sweep now and then."""
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

    async def _mend(self) -> None:
        db, config = self._database(), self.config
        mending = Mending(self._schema, config.sweep_slice, end_of_life(self._context.time_ns(), config.max_age))
        while (step := await db.read(mending.next_step)) is not None:
            await db.write(step)
        mending.report(self.config.path)

    # --- the way there

    def _database(self) -> AsyncDatabase:
        if self._db is None:
            raise DatabaseClosed("the cookie store is not attached", where=self.config.path, next_step="start it first")
        return self._db

    def _read(self, function: Callable[[Operations, Transaction, int], T]) -> Deferred[T]:
        if self._db is None:
            return fail(DatabaseClosed("the cookie store is not running", where=self.config.path))
        now = self._context.time_ns()
        return self._db.read(lambda txn: function(self._operations, txn, now))

    def _write(
        self,
        counter: str,
        function: Callable[[Operations, Transaction, int], T],
        number_of: Callable[[T], int] | None = None,
    ) -> Deferred[T]:
        if self._db is None or self._draining:
            return fail(DatabaseClosed("the cookie store is not running", where=self.config.path))
        now = self._context.time_ns()

        def count(outcome: T) -> T:
            number = (number_of or _number)(outcome)
            setattr(self._counters, counter, getattr(self._counters, counter) + number)
            return outcome

        return self._db.write(lambda txn: function(self._operations, txn, now)).addCallback(count)

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
        interval = None if self.config.readonly else self.config.sweep_interval
        if interval is not None:
            self._timer = self._context.call_later(interval, self._sweep_now)

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


def _number(outcome: object) -> int:
    """Return how many cookies an outcome stands for: a number, whether there was one, or the cookie, if any."""
    return outcome if isinstance(outcome, int) else int(outcome is not None)
