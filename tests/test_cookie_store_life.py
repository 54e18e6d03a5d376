# SPDX-License-Identifier: MIT
"""What happens to cookies between their making and their end: logins, sliding expiry, data, queries, damage."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock

import zlmdb
from tests.cookie_stores import SECOND, START, exact_indexes, old_cookie, using, write_old_file
from tests.reactor_bench import error_of
from zlmdb.errors import KeyExists, WrongType, WrongValue
from zlmdb_cookiestore import BlockingCookieStore, CookieStore, CookieStoreConfig

Using = Callable[..., Any]


@pytest.fixture(name="using")
def using_fixture(tmp_path: Path) -> Using:
    return partial(using, tmp_path / "cookies")


# --- logins


def test_a_login_gives_the_session_a_new_value_and_keeps_its_data(using: Using, tmp_path: Path) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        planted = await store.create()
        await store.update_data(planted.value, {"cart": [1, 2]})
        clock.advance(5)
        issued = await store.sign_in(planted.value, "alice", "user", "password", "realm1")
        assert issued.value != planted.value
        assert issued.oid == planted.oid
        assert store.lookup(planted.value) is None
        cookie = store.lookup(issued.value)
        assert cookie is not None
        assert (cookie.authid, cookie.authrole, cookie.authmethod, cookie.authrealm) == (
            "alice",
            "user",
            "password",
            "realm1",
        )
        assert (cookie.authextra, cookie.created) == ({"cart": [1, 2]}, START + 5 * SECOND)
        assert issued.header.startswith(f"cbtid={issued.value}; Max-Age=604800; ")

    using(test)
    assert exact_indexes(tmp_path / "cookies") == 1


def test_a_login_without_a_usable_former_cookie_makes_a_new_one(using: Using, tmp_path: Path) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        other = await store.create(name="other")
        gone = await store.create(max_age=1)
        clock.advance(1)
        for former in (None, "", "x" * 24, "\ud800", gone.value, other.value):
            issued = await store.sign_in(former, "alice", authextra={"a": 1})
            assert issued.oid not in {gone.oid, other.oid}
            assert store.lookup(issued.value).authextra == {"a": 1}  # type: ignore[union-attr]
        assert store.lookup(other.value) is not None

    using(test, **{"sweep-interval": None})
    assert exact_indexes(tmp_path / "cookies") == 8


def test_nobody_cannot_sign_in(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        value = (await store.create()).value
        for authid in (None, "", 5, b"alice"):
            assert isinstance(await error_of(store.sign_in(value, authid)), WrongValue)  # type: ignore[arg-type]
        assert store.lookup(value).authid is None  # type: ignore[union-attr]

    using(test)


def test_logging_out_everywhere_can_spare_this_place(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        here, *others = [(await store.sign_in(None, "alice")).value for _ in range(3)]
        bob = (await store.sign_in(None, "bob")).value
        assert await store.revoke_all("alice", keep=here) == 2
        assert [store.lookup(value) is not None for value in (here, *others, bob)] == [True, False, False, True]
        assert await store.revoke_all("alice", keep=bob) == 1
        assert store.lookup(bob) is not None

    using(test)


# --- lifetimes


def test_touching_lengthens_a_life_and_a_restart_keeps_it_so(using: Using, tmp_path: Path) -> None:
    async def first(store: CookieStore, clock: Clock) -> str:
        value = (await store.create()).value
        clock.advance(70.5)
        renewed = await store.touch(value)
        assert renewed is not None
        assert (renewed.value, renewed.max_age) == (value, 100)
        assert renewed.header.startswith(f"cbtid={value}; Max-Age=100; ")
        return value

    async def then(store: CookieStore, clock: Clock) -> None:
        assert store.lookup(value) is not None
        clock.advance(0.5)
        assert store.lookup(value) is None
        assert await store.touch(value) is None

    value = using(first, **{"max-age": 100})
    using(then, at=170.5, **{"max-age": 100})
    assert exact_indexes(tmp_path / "cookies") <= 1


def test_a_touch_that_gains_little_writes_nothing(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        value = (await store.create()).value
        before = store._database().stats().batches
        for _ in range(59):
            clock.advance(1)
            assert await store.touch(value) is None
        assert store._database().stats().batches == before
        clock.advance(1)
        assert await store.touch(value) is not None
        assert store.counters().touched == 1

    using(test, **{"max-age": 100})


def test_no_touch_gets_past_the_longest_life(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        value = (await store.create()).value
        lived = 0
        while store.lookup(value) is not None:
            await store.touch(value)
            clock.advance(1)
            lived += 1
        assert lived == 250
        assert await store.touch(value) is None

    using(test, **{"max-age": 100, "longest-life": 250, "touch-interval": 0.0})


def test_a_touch_never_shortens_a_life(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        issued = await store.create(max_age=1000)
        clock.advance(500)
        assert await store.touch(issued.value, max_age=100) is None
        assert store.lookup(issued.value).max_age == 1000  # type: ignore[union-attr]
        assert isinstance(await error_of(store.touch(issued.value, max_age=0)), WrongValue)

    using(test, **{"touch-interval": 0.0})


# --- data


def test_data_change_key_by_key(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        value = (await store.create()).value
        await gatherResults([store.update_data(value, {f"key{n}": n}) for n in range(5)])
        assert await store.update_data(value, {"key0": None, "key1": "ü", "absent": None})
        assert store.lookup(value).authextra == {"key1": "ü", "key2": 2, "key3": 3, "key4": 4}  # type: ignore[union-attr]
        assert await store.update_data("x" * 24, {"a": 1}) is False

    using(test)


def test_data_that_cannot_be_stored_change_nothing(using: Using, tmp_path: Path) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        value = (await store.create()).value
        await store.update_data(value, {"a": 1})
        for changes in (None, [1], {1: 2}):
            assert isinstance(await error_of(store.update_data(value, changes)), WrongType)  # type: ignore[arg-type]
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for changes in ({"b": "x" * 2000}, {"b": ["\ud800"]}, {"b": object()}, {"b": deep}):
            assert isinstance(await error_of(store.update_data(value, changes)), WrongValue)
        assert isinstance(await error_of(store.authenticate(value, "a" * 2000)), WrongValue)
        assert isinstance(await error_of(store.sign_in(value, "a", authextra={"x": "y" * 2000})), WrongValue)
        assert store.lookup(value).authextra == {"a": 1}  # type: ignore[union-attr]

    using(test, **{"max-data": 1024})
    assert exact_indexes(tmp_path / "cookies") == 1


# --- queries


def test_cookies_are_found_by_oid_by_authid_and_by_expiry(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        values = []
        for age in (30, 10, 20):
            values.append((await store.sign_in(None, "alice", max_age=age)).value)
            clock.advance(1)
        await store.sign_in(None, "bob", max_age=5)
        alices = await store.of_authid("alice")
        assert [cookie.value for cookie in alices] == values[::-1]
        assert [cookie.value for cookie in await store.expiring(18)] == [
            (await store.of_authid("bob"))[0].value,
            values[1],
        ]
        assert [cookie.value for cookie in await store.expiring(1e6, limit=3)][1:] == [values[1], values[2]]
        oid = alices[0].oid
        assert oid is not None
        assert store.lookup_oid(oid) == alices[0]
        assert await store.revoke_oid(oid) is True
        assert await store.revoke_oid(oid) is False
        assert store.lookup_oid(oid) is None
        assert store.lookup(values[2]) is None

    using(test)


def test_what_has_expired_is_in_no_query_and_is_counted_until_it_is_swept(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        short = await store.sign_in(None, "alice", max_age=5)
        await store.sign_in(None, "alice", max_age=50)
        await store.create()
        clock.advance(5)
        assert len(await store.of_authid("alice")) == 1
        assert store.lookup_oid(short.oid) is None
        assert [cookie.max_age for cookie in await store.expiring(100)] == [50]
        counts = await store.counts()
        assert (counts.cookies, counts.expired, counts.authenticated, counts.authids) == (3, 1, 2, 1)
        await store.sweep()
        counts = await store.counts()
        assert (counts.cookies, counts.expired, counts.authenticated, counts.authids) == (2, 0, 1, 1)

    using(test)


def test_a_read_only_store_answers_the_same_queries_without_the_indexes(using: Using, tmp_path: Path) -> None:
    write_old_file(
        tmp_path / "cookies",
        [
            old_cookie("a" * 24, 100, authid="alice"),
            old_cookie("b" * 24, 10, authid="alice"),
            old_cookie("c" * 24, 50),
        ],
    )

    async def ask(store: CookieStore, clock: Clock) -> Any:
        return (
            await store.of_authid("alice"),
            await store.expiring(1000),
            await store.expiring(45),
            await store.counts(),
        )

    answers = using(ask, at=10, readonly=True)
    assert [len(answer) for answer in answers[:3]] == [1, 2, 1]
    assert using(ask, at=10, **{"sweep-interval": None}) == answers


def test_bad_questions_fail_with_what_was_expected(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        for within in (-1, float("nan"), 1e300, "5"):
            assert isinstance(await error_of(store.expiring(within)), WrongValue)  # type: ignore[arg-type]
        assert isinstance(await error_of(store.expiring(5, limit=-1)), WrongValue)
        for authid in (None, 5, b"alice"):
            assert isinstance(await error_of(store.of_authid(authid)), WrongType)  # type: ignore[arg-type]
            assert isinstance(await error_of(store.revoke_all(authid)), WrongType)  # type: ignore[arg-type]
        with pytest.raises(WrongType):
            store.lookup_oid("x")  # type: ignore[arg-type]
        assert isinstance(await error_of(store.revoke_oid("x")), WrongType)  # type: ignore[arg-type]

    using(test)


# --- files of other programs, and damage


def test_many_cookies_of_an_old_program_are_indexed_in_slices(
    using: Using, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old = [old_cookie(f"{number:024}", 100, authid=f"user{number % 3}") for number in range(50)]
    write_old_file(tmp_path / "cookies", old)

    async def migrated(store: CookieStore, clock: Clock) -> tuple[int, int]:
        return store._database().stats().batches, await store.revoke_all("user1")

    batches, revoked = using(migrated, **{"sweep-slice": 7})
    assert batches >= 8  # 50 cookies, 7 at a time
    assert revoked == 17
    assert exact_indexes(tmp_path / "cookies") == 33
    write_old_file(tmp_path / "cookies", old[:2], gone=old[10:40])
    using(migrated, **{"sweep-slice": 7})
    assert "removed 40 index records that fitted no cookie" in caplog.text
    exact_indexes(tmp_path / "cookies")


@pytest.mark.usefixtures("no_fixed_slots")
def test_a_damaged_cookie_lets_nobody_in_and_stops_nobody_else(
    using: Using, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad, lost = (old_cookie(letter * 24, 10, authid="alice") for letter in "abc")
    write_old_file(tmp_path / "cookies", [good, bad, lost])
    with zlmdb.Database(tmp_path / "cookies") as db, db.begin(write=True) as txn:
        assert bad.oid is not None
        txn.put(b"\0\1" + bad.oid.bytes, b"damaged")
        txn.put(b"\0\2" + b"c" * 24, b"damaged")

    async def test(store: CookieStore, clock: Clock) -> None:
        assert store.lookup("a" * 24) == good
        assert store.lookup("b" * 24) is None
        assert store.lookup("c" * 24) is None
        assert await store.authenticate("b" * 24, "bob") is False
        assert len(await store.of_authid("alice")) == 2
        clock.advance(10)
        assert await store.sweep() == 2

    using(test)
    assert "1 cookies are damaged" in caplog.text
    assert "b" * 24 not in caplog.text


# --- making cookies ahead


def test_a_cookie_issued_at_once_is_there_when_its_deferred_has_fired(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        issued, stored = store.issue(max_age=60)
        assert store.lookup(issued.value) is None
        await stored
        assert store.lookup_oid(issued.oid) == store.lookup(issued.value)
        assert store.counters().created == 1
        with pytest.raises(WrongValue):
            store.issue(name="a b")

    using(test)


def test_a_value_that_is_taken_is_refused_without_telling_it(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_urlsafe", lambda length: "a" * length)

    async def test(store: CookieStore, clock: Clock) -> None:
        await store.create()
        error = await error_of(store.issue()[1])
        assert isinstance(error, KeyExists)
        assert "aaaaaaaaa" not in str(error)

    using(test)


# --- without an event loop


def test_the_blocking_store_does_the_same_on_the_same_file(tmp_path: Path, using: Using) -> None:
    now = [START]
    config = {"path": str(tmp_path / "cookies"), "sync": False, "max-age": 100}
    with BlockingCookieStore(config, time_ns=lambda: now[0]) as store:
        issued = store.create()
        assert store.parse(issued.header.partition(";")[0]) == issued.value
        assert store.authenticate(issued.value, "alice", authextra={"a": 1})
        assert store.update_data(issued.value, {"b": 2})
        renewed = store.sign_in(issued.value, "alice")
        assert store.lookup(issued.value) is None
        assert store.lookup(renewed.value).authextra == {"a": 1, "b": 2}  # type: ignore[union-attr]
        now[0] += 90 * SECOND
        assert store.touch(renewed.value) is not None
        assert store.touch(renewed.value) is None
        short = store.create(max_age=1)
        now[0] += SECOND
        assert store.lookup(short.value) is None
        assert [cookie.oid for cookie in store.expiring(1000)] == [issued.oid]
        assert store.lookup_oid(renewed.oid) == store.of_authid("alice")[0]
        assert store.counts().expired == 1
        assert store.sweep() == 1
        assert store.revoke_oid(uuid.uuid4()) is False

    async def test(store: CookieStore, clock: Clock) -> None:
        assert store.lookup(renewed.value).authid == "alice"  # type: ignore[union-attr]

    using(test, at=91)
    with BlockingCookieStore(CookieStoreConfig(path=str(tmp_path / "cookies"))) as store:
        assert store.revoke(renewed.value) is True
        assert store.revoke_all("alice") == 0
