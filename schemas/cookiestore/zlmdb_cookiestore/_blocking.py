# SPDX-License-Identifier: MIT
"""`BlockingCookieStore`: the cookies of one database for programs and interfaces without an event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from zlmdb import Database, Transaction
from zlmdb.errors import SchemaTooNew
from zlmdb.plugins import check, stored_version
from zlmdb_cookiestore._config import CookieStoreConfig
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._header import IssuedCookie, forget_cookie, parse
from zlmdb_cookiestore._mending import Mending
from zlmdb_cookiestore._operations import CookieCounts, Identity, Operations
from zlmdb_cookiestore._tables import NAME, VERSION, CookieStoreSchema, end_of_life

T = TypeVar("T")


class BlockingCookieStore:
    """The cookies of one database; call it from any thread, in any number of processes.

    The methods are those of `CookieStore`, and do the same, but return their outcome, and raise: what writes
    blocks until the commit is on the disk, and waits for whoever else is writing. Sweep it yourself, now and then.
    It is open from the start; close it, or use it in a ``with`` block. ``config`` may be a mapping, as the plugin
    takes it. Raises `ConfigError` for a faulty one, `SchemaTooNew`, and what `zlmdb.Database` raises.
    """

    def __init__(
        self, config: CookieStoreConfig | Mapping[str, object], *, time_ns: Callable[[], int] = time.time_ns
    ) -> None:
        if not isinstance(config, CookieStoreConfig):
            config = check(CookieStoreConfig, config, "cookie store")
        self.config = config
        self._time_ns = time_ns
        self._db = Database(config.path, maxsize=config.maxsize, readonly=config.readonly, sync=config.sync)
        try:
            self._check_version()
            self._schema = self._db.attach(CookieStoreSchema)
            self._operations = Operations(self._schema, config)
            self._prepare()
        except BaseException:  # an interrupt too: nobody has the store yet who could close it
            self._db.close()
            raise

    def _check_version(self) -> None:
        found = self._db.run(stored_version, self._db, NAME)
        if found is not None and found > VERSION:
            raise SchemaTooNew(
                "a newer version of the cookie store wrote this file",
                where=self.config.path,
                got=found,
                expected=f"at most {VERSION}",
                next_step="install that version",
            )

    def _prepare(self) -> None:
        if self.config.readonly:
            return
        if self.config.purge_on_startup:
            self._db.run(self._schema.cookies.truncate, write=True)
            return
        due = end_of_life(self._time_ns(), self.config.max_age)
        mending = Mending(self._schema, self.config.sweep_slice, due)
        while (step := self._db.run(mending.next_step)) is not None:
            self._db.run(step, write=True)
        mending.report(self.config.path)

    # --- new cookies

    def create(self, *, name: str | None = None, max_age: int | None = None) -> IssuedCookie:
        """Make a cookie that authenticates nobody yet; see `CookieStore.create`."""
        return self._write(lambda do, txn, now: do.create(txn, name, max_age, now))

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
    ) -> IssuedCookie:
        """Hand out a cookie that authenticates ``authid``, instead of ``former``; see `CookieStore.sign_in`."""
        identity = Identity(authid, authrole, authmethod, authrealm, authextra)
        return self._write(lambda do, txn, now: do.sign_in(txn, former, identity, name, max_age, now))

    # --- cookies

    def lookup(self, value: str) -> Cookie | None:
        """Return the cookie of this value, None if there is none or it has expired; any string may be asked for."""
        return self._read(lambda do, txn, now: do.find(txn, value, now))

    def lookup_oid(self, oid: UUID) -> Cookie | None:
        """Return the cookie of this oid, None if there is none or it has expired."""
        return self._read(lambda do, txn, now: do.find_oid(txn, oid, now))

    def of_authid(self, authid: str) -> list[Cookie]:
        """Return the cookies that authenticate ``authid``, the newest first."""
        return self._read(lambda do, txn, now: do.of_authid(txn, authid, now))

    def expiring(self, within: float, limit: int = 100) -> list[Cookie]:
        """Return up to ``limit`` cookies that expire within so many seconds, the next to expire first."""
        return self._read(lambda do, txn, now: do.expiring(txn, within, limit, now))

    def counts(self) -> CookieCounts:
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
    ) -> bool:
        """Remember whom this cookie authenticates from now on; return whether there was such a cookie."""
        identity = Identity(authid, authrole, authmethod, authrealm, authextra)
        return self._write(lambda do, txn, now: do.authenticate(txn, value, identity, now))

    def touch(self, value: str, *, max_age: int | None = None) -> IssuedCookie | None:
        """Have a cookie live for ``max_age`` seconds from now on; see `CookieStore.touch`."""

        def gains(do: Operations, txn: Transaction, now: int) -> bool:
            cookie = do.find(txn, value, now)
            return cookie is not None and do.gains(cookie, max_age, now)

        if not self._read(gains):
            return None
        return self._write(lambda do, txn, now: do.touch(txn, value, max_age, now))

    def update_data(self, value: str, changes: Mapping[str, Any]) -> bool:
        """Change keys of the data of a cookie, and remove those that are None; see `CookieStore.update_data`."""
        return self._write(lambda do, txn, now: do.update_data(txn, value, changes, now))

    def revoke(self, value: str) -> bool:
        """Delete the cookie of this value; return whether there was one."""
        return self._write(lambda do, txn, _: do.revoke(txn, value))

    def revoke_oid(self, oid: UUID) -> bool:
        """Delete the cookie of this oid; return whether there was one."""
        return self._write(lambda do, txn, _: do.revoke_oid(txn, oid))

    def revoke_all(self, authid: str, *, keep: str | None = None) -> int:
        """Delete the cookies that authenticate ``authid``, but for that of the value ``keep``; return how many."""
        return self._write(lambda do, txn, _: do.revoke_all(txn, authid, keep))

    def sweep(self) -> int:
        """Delete what has expired, in transactions of ``sweep_slice`` cookies; return how many there were."""
        limit = seen = self.config.sweep_slice
        swept = 0
        while seen == limit:
            seen, forgotten = self._write(lambda do, txn, now: do.schema.forget_expired(txn, now, limit))
            swept += forgotten
        return swept

    # --- headers

    def parse(self, header: str | bytes) -> str | None:
        """Return the value of our cookie in a ``Cookie`` header; see `CookieStore.parse`."""
        return parse(header, self.config.cookie_name)

    def forget_header(self, name: str | None = None) -> str:
        """Return the text of a ``Set-Cookie`` header that has the browser forget the cookie; None is our cookie.

        Raises:
            WrongValue: no cookie can have this name.
        """
        return forget_cookie(self.config, name)

    # --- the end

    def close(self) -> None:
        """Close the database; from then on every call raises `DatabaseClosed`."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- the way there

    def _read(self, function: Callable[[Operations, Transaction, int], T]) -> T:
        now = self._time_ns()
        return self._db.run(lambda txn: function(self._operations, txn, now))

    def _write(self, function: Callable[[Operations, Transaction, int], T]) -> T:
        now = self._time_ns()
        return self._db.run(lambda txn: function(self._operations, txn, now), write=True)
