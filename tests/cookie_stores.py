# SPDX-License-Identifier: MIT
"""Started cookie stores for tests, with clocks that the tests move, and real servers and clients around them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import treq
from treq.client import HTTPClient
from twisted.internet.task import Clock
from twisted.web.client import Agent

import zlmdb
from zlmdb.plugins import Context, State, configure
from zlmdb.testing.loops import run_reactor
from zlmdb.twisted import open_database
from zlmdb_cookiestore import Cookie, Cookies, CookieStore, CookieStoreSchema, IndexCookiesByValue, plugin

SECOND = 10**9
START = 1_700_000_000 * SECOND
Test = Callable[[CookieStore, Clock], Coroutine[Any, Any, Any]]


@asynccontextmanager
async def started(path: Path, reactor: Any, clock: Clock, **options: Any) -> AsyncIterator[CookieStore]:
    """A started store on the database at ``path``; stopped at the end, with nothing left on its clock."""
    context = Context(
        open_database=partial(open_database, reactor=reactor),
        call_later=clock.callLater,
        time_ns=lambda: START + int(clock.seconds() * SECOND),
        reactor=reactor,
    )
    managed = configure(plugin, {"path": str(path), "sync": False, **options}, context)
    await managed.start()
    assert managed.state is State.STARTED
    try:
        yield managed.store  # type: ignore[misc]
    finally:
        await managed.stop()
        assert not clock.getDelayedCalls()


def using(path: Path, test: Test, *, at: float = 0, **options: Any) -> Any:
    """Run a test with a started store on the database at ``path``, its clock ``at`` seconds after `START`."""

    async def main(reactor: Any) -> Any:
        clock = Clock()
        clock.advance(at)
        async with started(path, reactor, clock, **options) as store:
            return await test(store, clock)

    return run_reactor(main)


def exact_indexes(path: Path) -> int:
    """Compare each index with one that is made of the table here, and return the number of cookies."""
    with zlmdb.Database(path) as db, db.begin() as txn:
        schema = db.attach(CookieStoreSchema)
        cookies = dict(schema.cookies.select(txn))
        by_expiry: dict[int, set[uuid.UUID]] = {}
        by_authid: dict[str, set[uuid.UUID]] = {}
        for oid, cookie in cookies.items():
            by_expiry.setdefault(cookie.created + cookie.max_age * SECOND, set()).add(oid)
            if cookie.authid:
                by_authid.setdefault(cookie.authid[:100], set()).add(oid)
        assert dict(schema.by_value.select(txn)) == {cookie.value: oid for oid, cookie in cookies.items()}
        assert {expiry: set(oids) for expiry, oids in schema.by_expiry.select(txn)} == by_expiry
        assert {authid: set(oids) for authid, oids in schema.by_authid.select(txn)} == by_authid
        return len(cookies)


def write_old_file(path: Path, cookies: list[Cookie], gone: list[Cookie] | None = None) -> None:
    """Write, and delete, what programs do that know two tables only."""
    with zlmdb.Database(path) as db:
        table, index = db.attach_table(Cookies), db.attach_table(IndexCookiesByValue)
        table.attach_index("idx1", index, lambda cookie: cookie.value)
        with db.begin(write=True) as txn:
            table.put_many(txn, [(cookie.oid, cookie) for cookie in cookies if cookie.oid])
            table.delete_many(txn, [cookie.oid for cookie in gone or [] if cookie.oid])


def old_cookie(value: str, max_age: int, **fields: Any) -> Cookie:
    return Cookie(oid=uuid.uuid4(), created=START, name="cbtid", value=value, max_age=max_age, **fields)


# --- over HTTP


class Browser:
    """Talks to a server on loopback and keeps its cookies, with their attributes, as they were set."""

    def __init__(self, reactor: Any, port: int) -> None:
        self._client: Any = HTTPClient(Agent(reactor))
        self._base = f"http://127.0.0.1:{port}"
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []
        """The Set-Cookie headers of the last response."""
        self.headers: dict[bytes, Any] = {}
        """Sent with every request."""

    async def ask(self, method: str, path: str, *, cookie: bytes | None = None, data: Any = None) -> tuple[int, str]:
        """Return status and body; ``cookie`` is sent instead of the cookies kept."""
        headers = dict(self.headers)
        if cookie is None and self.cookies:
            cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()
        if cookie:
            headers[b"Cookie"] = cookie
        response = await self._client.request(
            method, self._base + path, headers=headers, data=data, allow_redirects=False, browser_like_redirects=False
        )
        body = await treq.text_content(response, "utf-8")
        self.set_cookies = [str(each) for each in response.headers.getRawHeaders("Set-Cookie", [])]
        for each in self.set_cookies:
            name, _, value = each.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in each:
                del self.cookies[name]
        return response.code, body

    async def get(self, path: str, **options: Any) -> tuple[int, str]:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> tuple[int, str]:
        return await self.ask("POST", path, **options)


@asynccontextmanager
async def serving(reactor: Any, site: Any) -> AsyncIterator[Browser]:
    """Serve a site on a port of loopback, for one browser to begin with."""
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    try:
        yield Browser(reactor, port.getHost().port)
    finally:
        await port.stopListening()
