# SPDX-License-Identifier: MIT
"""The cookie store, run by its host on a real database, with a clock that the test moves."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock

import zlmdb
from tests.cookie_stores import START, exact_indexes, old_cookie, using, write_old_file
from tests.reactor_bench import error_of, run
from zlmdb.errors import DatabaseClosed, ReadonlyTransaction, WrongType, WrongValue
from zlmdb.plugins import Context, Registry, check
from zlmdb_cookiestore import Cookie, CookieStore, CookieStoreSchema, plugin

Using = Callable[..., Any]


@pytest.fixture(name="using")
def using_fixture(tmp_path: Path) -> Using:
    """Run a test with a started store, and stop it; again on the same file when called again."""
    return partial(using, tmp_path / "cookies")


# --- the life of a cookie


def test_a_new_cookie_is_found_and_authenticates_nobody(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        issued = await store.create()
        cookie = store.lookup(issued.value)
        assert cookie is not None
        assert (cookie.name, cookie.created, cookie.max_age) == ("cbtid", START, 604800)
        assert (cookie.authid, cookie.authenticated, cookie.authextra) == (None, None, None)
        assert len(issued.value) == 24
        assert issued.header == f"cbtid={issued.value}; Max-Age=604800; Path=/; Secure; HttpOnly; SameSite=Lax"

    using(test)


def test_name_lifetime_and_attributes_are_as_asked_for(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        issued = await store.create(name="other", max_age=60)
        assert len(issued.value) == 64
        assert issued.header == f"other={issued.value}; Max-Age=60; Path=/; Secure; SameSite=None"
        assert store.forget_header() == "sid=; Max-Age=0; Path=/; Secure; SameSite=None"

    using(test, length=64, secure=True, **{"cookie-name": "sid", "http-only": False, "same-site": "None"})


def test_what_was_authenticated_survives_a_restart(using: Using) -> None:
    async def first(store: CookieStore, clock: Clock) -> str:
        value = (await store.create()).value
        assert await store.authenticate(value, "alice", "admin", "ticket", "realm1", {"seat": 7})
        return value

    async def then(store: CookieStore, clock: Clock) -> Cookie | None:
        return store.lookup(value)

    value = using(first)
    cookie = using(then, at=604799)
    assert (cookie.authid, cookie.authrole, cookie.authmethod, cookie.authrealm) == (
        "alice",
        "admin",
        "ticket",
        "realm1",
    )
    assert (cookie.authextra, cookie.authenticated) == ({"seat": 7}, START)


def test_authentication_without_an_authid_takes_it_back(using: Using, tmp_path: Path) -> None:
    async def test(store: CookieStore, clock: Clock) -> Cookie | None:
        value = (await store.create()).value
        await store.authenticate(value, "alice", "admin", "ticket", "realm1", {"seat": 7})
        assert await store.authenticate(value, None)
        assert await store.revoke_all("alice") == 0
        return store.lookup(value)

    cookie = using(test)
    assert (cookie.authid, cookie.authrole, cookie.authextra, cookie.authenticated) == (None, None, None, None)
    assert exact_indexes(tmp_path / "cookies") == 1


def test_a_revoked_cookie_is_gone_also_after_a_restart(using: Using) -> None:
    async def first(store: CookieStore, clock: Clock) -> str:
        value = (await store.create()).value
        assert await store.revoke(value) is True
        assert await store.revoke(value) is False
        assert await store.authenticate(value, "alice") is False
        assert store.lookup(value) is None
        return value

    async def then(store: CookieStore, clock: Clock) -> None:
        assert store.lookup(value) is None

    value = using(first)
    using(then)


def test_revoking_all_of_an_authid_leaves_the_others(using: Using, tmp_path: Path) -> None:
    long = "a" * 150

    async def test(store: CookieStore, clock: Clock) -> None:
        issued = await gatherResults([store.create() for _ in range(6)])
        for cookie, authid in zip(issued, ["alice", "alice", "bob", long, long + "x"], strict=False):
            await store.authenticate(cookie.value, authid)
        assert await store.revoke_all("alice") == 2
        assert await store.revoke_all("alic") == 0
        assert await store.revoke_all(long) == 1
        found = [store.lookup(cookie.value) for cookie in issued]
        assert [None if cookie is None else cookie.authid for cookie in found] == [
            None,
            None,
            "bob",
            None,
            long + "x",
            None,
        ]
        assert found[5] is not None

    using(test)
    assert exact_indexes(tmp_path / "cookies") == 3


# --- expiry


def test_an_expired_cookie_is_nowhere_found_before_any_sweep(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        value = (await store.create(max_age=10)).value
        clock.advance(9.999)
        assert store.lookup(value) is not None
        clock.advance(0.001)
        assert store.lookup(value) is None
        assert await store.authenticate(value, "alice") is False
        assert store.counters().expired == 0

    using(test, **{"sweep-interval": 1000})


def test_the_timer_sweeps_again_and_again(using: Using, tmp_path: Path) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        for round_ in (1, 2, 3):
            await store.create(max_age=5)
            clock.advance(10)
            assert store._sweeping is not None
            await gatherResults([store._sweeping])  # its end, which is the store's own business
            assert store.counters().expired == round_
            assert len(clock.getDelayedCalls()) == 1

    using(test, **{"sweep-interval": 10})
    assert exact_indexes(tmp_path / "cookies") == 0


def test_a_sweep_goes_in_slices_and_keeps_indexes_exact(using: Using, tmp_path: Path) -> None:
    chance = random.Random(7)

    async def test(store: CookieStore, clock: Clock) -> None:
        ages = [chance.choice([1, 5, 5, 5, 50]) for _ in range(100)]
        issued = await gatherResults([store.create(max_age=age) for age in ages])
        for cookie in issued[::3]:
            await store.authenticate(cookie.value, chance.choice(["alice", "bob"]))
        clock.advance(5)
        before = store._database().stats().batches
        assert await store.sweep() == sum(age <= 5 for age in ages)
        assert store._database().stats().batches - before == sum(age <= 5 for age in ages) // 7 + 1
        left = [store.lookup(cookie.value) is not None for cookie in issued]
        assert left == [age > 5 for age in ages]
        assert await store.sweep() == 0

    using(test, **{"sweep-slice": 7})
    assert 0 < exact_indexes(tmp_path / "cookies") < 100


def test_purging_on_startup_forgets_all(using: Using, tmp_path: Path) -> None:
    async def create(store: CookieStore, clock: Clock) -> None:
        await store.create()

    async def nothing(store: CookieStore, clock: Clock) -> None: ...

    using(create)
    assert exact_indexes(tmp_path / "cookies") == 1
    using(nothing, **{"purge-on-startup": True})
    assert exact_indexes(tmp_path / "cookies") == 0


# --- existing files


def test_a_file_with_the_two_old_tables_is_indexed_once_and_used(
    using: Using, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    old = [
        old_cookie("a" * 24, 100, authid="alice"),
        old_cookie("b" * 24, 10, authid="bob"),
        old_cookie("c" * 24, 100),
    ]
    write_old_file(tmp_path / "cookies", old)

    async def first(store: CookieStore, clock: Clock) -> None:
        assert store.lookup("a" * 24) == old[0]
        assert await store.sweep() == 1
        assert await store.revoke_all("alice") == 1
        assert store.lookup("c" * 24) == old[2]

    async def again(store: CookieStore, clock: Clock) -> None: ...

    using(first, at=10)
    assert caplog.text.count("indexed 3 cookies") == 1
    assert exact_indexes(tmp_path / "cookies") == 1
    using(again)
    assert caplog.text.count("indexed") == 1


def test_what_an_old_program_changed_meanwhile_is_indexed_too(using: Using, tmp_path: Path) -> None:
    async def create(store: CookieStore, clock: Clock) -> str:
        return (await store.create()).value

    async def revoke(store: CookieStore, clock: Clock) -> None:
        assert await store.revoke_all("alice") == 2

    value = using(create)
    with zlmdb.Database(tmp_path / "cookies") as db, db.begin() as txn:
        known = db.attach(CookieStoreSchema).by_this_value(txn, value)
    assert known is not None
    known.authid = "alice"
    write_old_file(tmp_path / "cookies", [known, old_cookie("a" * 24, 100, authid="alice")])
    using(revoke)
    assert exact_indexes(tmp_path / "cookies") == 0


def test_a_sweep_gets_past_index_records_that_another_program_left(using: Using, tmp_path: Path) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        def leave_behind(txn: zlmdb.Transaction) -> None:
            for number in range(5):
                store._schema.by_expiry[txn, START + number].add(uuid.uuid4())

        await store.create(max_age=10)
        await store._database().write(leave_behind)
        clock.advance(10)
        assert await store.sweep() == 1

    using(test, **{"sweep-slice": 2, "sweep-interval": 1000})
    assert exact_indexes(tmp_path / "cookies") == 0


def test_a_read_only_store_looks_up_in_an_old_file_and_refuses_to_write(using: Using, tmp_path: Path) -> None:
    old = old_cookie("a" * 24, 100)
    write_old_file(tmp_path / "cookies", [old])

    async def test(store: CookieStore, clock: Clock) -> None:
        assert store.lookup("a" * 24) == old
        assert isinstance(await error_of(store.create()), ReadonlyTransaction)
        assert isinstance(await error_of(store.revoke_all("alice")), ReadonlyTransaction)

    using(test, readonly=True)


# --- bad input


HOSTILE = ["", "a", "a" * 65, "a" * 5000, "\0" * 24, "ü" * 24, "\ud800" * 24, "a b" * 8, "a;b" * 8, "\n" + "a" * 23]


def test_any_string_may_be_asked_for(using: Using) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        await store.create()
        for value in [*HOSTILE, None, 5, b"a" * 24]:
            assert store.lookup(value) is None  # type: ignore[arg-type]
            assert await store.authenticate(value, "alice") is False  # type: ignore[arg-type]
            assert await store.revoke(value) is False  # type: ignore[arg-type]
        assert store.counters().created == 1

    using(test)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("cbtid=abcdefgh", "abcdefgh"),
        ('a=1; cbtid="abcdefgh" ;b=2', "abcdefgh"),
        ("cbtid", None),
        ("xcbtid=abcdefgh", None),
        ("", None),
        (";;=;cbtid=", None),
        *((f"cbtid={value}", None) for value in HOSTILE if "a;b" not in value and "\n" not in value),
    ],
)
def test_a_cookie_header_gives_a_value_of_ours_or_none(header: str, value: str | None, tmp_path: Path) -> None:
    async def nowhere(*_args: Any, **_options: Any) -> None: ...

    config = check(plugin.config, {"path": str(tmp_path)})
    store = plugin.create(config, Context(open_database=nowhere, call_later=Clock().callLater))
    assert store.parse(header) == value  # type: ignore[attr-defined]


def test_bad_arguments_fail_the_deferred_and_nothing_is_written(using: Using, tmp_path: Path) -> None:
    async def test(store: CookieStore, clock: Clock) -> None:
        for age in (0, -1, 10 * 360 * 86400 + 1, True, "10"):
            assert isinstance(await error_of(store.create(max_age=age)), WrongValue)  # type: ignore[arg-type]
        for name in ("", "a;b", "a\n", 5):
            assert isinstance(await error_of(store.create(name=name)), WrongValue)  # type: ignore[arg-type]
        value = (await store.create()).value
        assert isinstance(await error_of(store.authenticate(value, 5)), WrongType)  # type: ignore[arg-type]
        assert isinstance(await error_of(store.authenticate(value, "\ud800")), WrongValue)
        assert isinstance(await error_of(store.authenticate(value, "a", authextra=[1])), WrongType)  # type: ignore[arg-type]
        assert store.lookup(value).authid is None  # type: ignore[union-attr]

    using(test)
    assert exact_indexes(tmp_path / "cookies") == 1


def test_short_values_do_not_collide(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["aaaaaa", "aaaaaa", "aaaaaa", "bbbbbb"])
    monkeypatch.setattr("secrets.token_urlsafe", lambda _length: next(drawn))

    async def test(store: CookieStore, clock: Clock) -> None:
        assert [(await store.create()).value for _ in range(2)] == ["aaaaaa", "bbbbbb"]

    using(test, length=6, **{"short-values": True})


def test_values_are_not_shown(using: Using, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def test(store: CookieStore, clock: Clock) -> None:
        issued = await store.create()
        await store.authenticate(issued.value, "alice")
        assert issued.value not in repr(issued) + repr(store.lookup(issued.value))
        assert issued.value not in caplog.text

    using(test)


def test_a_stopped_store_takes_nothing(using: Using) -> None:
    kept: list[CookieStore] = []

    async def test(store: CookieStore, clock: Clock) -> None:
        kept.append(store)

    async def late(_reactor: Any) -> None:
        assert isinstance(await error_of(kept[0].create()), DatabaseClosed)
        with pytest.raises(DatabaseClosed):
            kept[0].lookup("a" * 24)

    using(test)
    run(late)


# --- configuration


def test_the_store_is_found_by_its_entry_point() -> None:
    assert Registry().load("cookiestore") is plugin
