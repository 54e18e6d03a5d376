# SPDX-License-Identifier: MIT
"""Cookies that cannot be read: none is written, and those that are in a file can be revoked, swept and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cbor2 import CBORTag
from twisted.internet.task import Clock

import zlmdb
from tests.cookie_stores import SECOND, START, exact_indexes, old_cookie, using, write_old_file
from tests.reactor_bench import error_of
from zlmdb.errors import WrongValue
from zlmdb.testing.loops import run_reactor
from zlmdb.twisted.crossbar._cookies import RouterCookieStore
from zlmdb_cookiestore import BlockingCookieStore, Cookie, Cookies, CookieStore, CookieStoreSchema

Using = Callable[..., Any]
UNREADABLE = {"x": CBORTag(0, "zz")}  # a time that is none
DAMAGES: dict[str, Callable[[Cookie], bytes]] = {
    "no record": lambda cookie: b"damaged",
    "data that CBOR cannot read": lambda cookie: bytes(replace(cookie, authextra=UNREADABLE)),
}
WEEK = 604800


@pytest.fixture(name="using")
def using_fixture(tmp_path: Path) -> Using:
    """Run a test with a started store, and stop it; again on the same file when called again."""
    return partial(using, tmp_path / "cookies")


@pytest.fixture(params=DAMAGES.values(), ids=DAMAGES)
def damaged(tmp_path: Path, request: pytest.FixtureRequest) -> Cookie:
    """Joe's damaged cookie in a file with another one of his, and one of Ann's."""
    with BlockingCookieStore({"path": str(tmp_path / "cookies"), "sync": False}, time_ns=lambda: START) as store:
        values = [store.sign_in(None, authid).value for authid in ("joe", "joe", "ann")]
        cookie = store.lookup(values[0])
    assert cookie is not None
    damage(tmp_path / "cookies", cookie, request.param(cookie))
    return cookie


def damage(path: Path, cookie: Cookie, data: bytes) -> None:
    with zlmdb.Database(path) as db, db.begin(write=True) as txn:
        txn.put(db.attach_table(Cookies).raw_key(oid_of(cookie)), data)


def oid_of(cookie: Cookie) -> UUID:
    assert cookie.oid is not None
    return cookie.oid


def value_of(cookie: Cookie) -> str:
    assert cookie.value is not None
    return cookie.value


def cyclic() -> CBORTag:
    """What reads back as a list that contains itself, which cannot be written again."""
    return CBORTag(28, [CBORTag(29, 0)])


@pytest.mark.parametrize(
    "data",
    [
        CBORTag(0, "zz"),
        CBORTag(1, 1e300),
        CBORTag(37, b"x"),
        CBORTag(36, "a mail"),
        cyclic(),
        [{"deep": CBORTag(2, "")}],
    ],
    ids=[
        "no time",
        "a time too far",
        "no UUID",
        "what cannot be written again",
        "what contains itself",
        "within others",
    ],
)
def test_data_that_could_not_be_read_back_are_refused_and_change_nothing(
    using: Using, tmp_path: Path, data: object
) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        value = (await store.sign_in(None, "joe", authextra={"a": 1})).value
        for refused in (
            store.update_data(value, {"x": data}),
            store.authenticate(value, "ann", authextra={"x": data}),
            store.sign_in(value, "ann", authextra={"x": data}),
            store.sign_in(None, "ann", authextra={"x": data}),
        ):
            error = await error_of(refused)
            assert isinstance(error, WrongValue)
            assert value not in f"{error!r} {error} {error.__cause__}"
        cookie = store.lookup(value)
        assert cookie is not None
        assert (cookie.authid, cookie.authextra) == ("joe", {"a": 1})
        assert await store.revoke_all("joe") == 1

    using(test)
    assert exact_indexes(tmp_path / "cookies") == 0


def test_data_with_tags_that_read_back_are_stored(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        value = (await store.create()).value
        data = {"time": CBORTag(1, 5), "own": CBORTag(4711, "a"), "bytes": b"\xff"}
        assert await store.update_data(value, data)
        assert await store.authenticate(value, "joe", authextra=store.lookup(value).authextra)  # type: ignore[union-attr]
        assert store.lookup(value).authextra["own"] == CBORTag(4711, "a")  # type: ignore[union-attr,index]

    using(test)


def ways(cookie: Cookie) -> Iterator[tuple[str, Callable[[Any], Any], int]]:
    """Yield each way to delete a cookie, and how many cookies that deletes of Joe's two."""
    yield "revoke", lambda store: store.revoke(value_of(cookie)), 1
    yield "revoke_oid", lambda store: store.revoke_oid(oid_of(cookie)), 1
    yield "revoke_all", lambda store: store.revoke_all("joe"), 2


@pytest.mark.parametrize("restarts", [1, 2])
@pytest.mark.parametrize("way", ["revoke", "revoke_oid", "revoke_all"])
def test_a_damaged_cookie_is_revoked_with_all_of_its_index_records(
    using: Using, tmp_path: Path, damaged: Cookie, way: str, restarts: int
) -> None:
    ((revoke, number),) = [(revoke, number) for name, revoke, number in ways(damaged) if name == way]

    async def look(store: CookieStore, clock: Clock) -> None:
        assert store.lookup(value_of(damaged)) is None
        assert len(await store.of_authid("joe")) == 1

    async def test(store: CookieStore, clock: Clock) -> None:
        assert await revoke(store) == number
        assert not await revoke(store)
        assert (await store.counts()).cookies == 3 - number
        assert len(await store.of_authid("ann")) == 1

    for _ in range(restarts):
        using(look)
    using(test)
    assert exact_indexes(tmp_path / "cookies") == 3 - number


def test_the_blocking_store_and_the_routers_revoke_a_damaged_cookie_too(tmp_path: Path, damaged: Cookie) -> None:
    path = tmp_path / "cookies"
    record = DAMAGES["no record"](damaged)
    with BlockingCookieStore({"path": str(path), "sync": False}, time_ns=lambda: START) as store:
        assert store.revoke(value_of(damaged)) is True
    write_old_file(path, [damaged])
    damage(path, damaged, record)

    async def main(reactor: Any) -> None:
        store = RouterCookieStore(str(path), {"name": "cbtid", "store": {}}, reactor=reactor)
        assert store.exists(value_of(damaged)) is False
        assert store.delAuth(value_of(damaged)) is True
        assert store.delAuth(value_of(damaged)) is False

    run_reactor(main)
    assert exact_indexes(path) == 2


def test_a_damaged_cookie_is_swept_when_its_life_is_over_and_not_before(
    using: Using, tmp_path: Path, damaged: Cookie
) -> None:
    async def early(store: CookieStore, clock: Clock) -> None:
        assert await store.sweep() == 0
        assert (await store.counts()).cookies == 3

    async def late(store: CookieStore, clock: Clock) -> None:
        assert await store.sweep() == 3
        assert (await store.counts()).cookies == 0

    using(early, at=WEEK - 1)
    using(late, at=WEEK)
    assert exact_indexes(tmp_path / "cookies") == 0


def test_a_damaged_cookie_of_an_old_program_is_swept_a_lifetime_after_it_was_found(
    using: Using, tmp_path: Path
) -> None:
    found = [old_cookie(f"{number:024}", 2 * WEEK, authid="joe") for number in range(5)]
    write_old_file(tmp_path / "cookies", found)
    for cookie in found[:3]:
        damage(tmp_path / "cookies", cookie, b"damaged")

    async def early(store: CookieStore, clock: Clock) -> None:
        assert await store.sweep() == 0

    async def late(store: CookieStore, clock: Clock) -> None:
        assert await store.sweep() == 3
        assert await store.revoke_all("joe") == 2

    slices = {"sweep-slice": 2}
    using(early, **slices)
    using(early, at=WEEK - 1, **slices)  # found again, which lengthens nothing
    using(late, at=WEEK, **slices)
    assert exact_indexes(tmp_path / "cookies") == 0


def test_the_indexes_of_damaged_cookies_hold_nothing_else_after_a_restart(
    using: Using, tmp_path: Path, damaged: Cookie
) -> None:
    async def nothing(store: CookieStore, clock: Clock) -> None: ...

    using(nothing)
    with zlmdb.Database(tmp_path / "cookies") as db, db.begin() as txn:
        schema = db.attach(CookieStoreSchema)
        assert [set(oids) for _, oids in schema.by_expiry.select(txn)] == [
            set(schema.cookies.select(txn, return_values=False))
        ]
        assert oid_of(damaged) in schema.by_authid[txn, "joe"]
        assert dict(schema.by_expiry.select(txn)).keys() == {START + WEEK * SECOND}


def test_purging_forgets_damaged_cookies_too(using: Using, tmp_path: Path, damaged: Cookie) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        assert (await store.counts()).cookies == 0

    using(test, **{"purge-on-startup": True})
    assert exact_indexes(tmp_path / "cookies") == 0
