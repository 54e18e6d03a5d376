# SPDX-License-Identifier: MIT
# ruff: noqa: D102  # the names of tests are sentences
"""`CookieStoreContract`: what any store of cookies has to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zlmdb.errors import DatabaseClosed, DataError, ZlmdbError
from zlmdb.testing.contracts.store import StoreContract

ALICE = ("alice", "admin", "ticket", "realm1", {"seat": 7})
HOSTILE = ["", " ", "x" * 100_000, "a\0b", "\ud800", "ä€𝄞", "../../etc/passwd", "a;b", 'a"b', "\r\nSet-Cookie: x=y"]


class CookieStoreContract(StoreContract):
    """The tests of a cookie store; see `StoreContract` for how to run them on yours.

    The store has ``create(*, name=None, max_age=None)``, ``authenticate(value, authid, authrole, authmethod,
    authrealm, authextra)``, ``revoke(value)``, ``revoke_all(authid)`` and ``sweep()``, which return Deferreds;
    ``lookup(value)``, which returns a cookie or None at once; and ``parse(header)``.
    """

    def test_a_new_cookie_is_found_and_authenticates_nobody(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            issued = await store.create()
            cookie = store.lookup(issued.value)
            assert (cookie.value, cookie.name, cookie.max_age) == (issued.value, issued.name, issued.max_age)
            assert cookie.authid is None
            assert cookie.created == self.clock.now

        self.run(tmp_path, test)

    def test_values_differ_and_are_not_told_by_repr(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            issued = [await store.create() for _ in range(50)]
            assert len({each.value for each in issued}) == 50
            assert all(each.value not in repr(each) + repr(store.lookup(each.value)) for each in issued)

        self.run(tmp_path, test)

    def test_the_header_names_the_cookie_and_parse_finds_it_again(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            issued = await store.create(max_age=60)
            assert issued.header.startswith(f"{issued.name}={issued.value};")
            assert "max-age=60" in issued.header.lower()
            assert store.parse(f"other=1; {issued.name}={issued.value}; more=2") == issued.value
            assert store.parse("other=1") is None
            assert store.parse("") is None

        self.run(tmp_path, test)

    def test_whom_a_cookie_authenticates_is_remembered_and_forgotten(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            value = (await store.create()).value
            assert await store.authenticate(value, *ALICE) is True
            assert _identity(store.lookup(value)) == ALICE
            assert await store.authenticate(value, None) is True
            assert _identity(store.lookup(value))[0] is None

        self.run(tmp_path, test)

    def test_a_revoked_cookie_is_gone_and_others_are_not(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            first, second = (await store.create()).value, (await store.create()).value
            assert await store.revoke(first) is True
            assert await store.revoke(first) is False
            assert store.lookup(first) is None
            assert await store.authenticate(first, "alice") is False
            assert store.lookup(second) is not None

        self.run(tmp_path, test)

    def test_all_cookies_of_one_authid_are_revoked_and_no_others(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            values = [(await store.create()).value for _ in range(6)]
            for value, authid in zip(values, ["alice", "bob", "alice", "alic", "alice2", None], strict=True):
                await store.authenticate(value, authid)
            assert await store.revoke_all("alice") == 2
            assert [store.lookup(value) is None for value in values] == [True, False, True, False, False, False]
            assert await store.revoke_all("alice") == 0

        self.run(tmp_path, test)

    def test_an_expired_cookie_is_good_for_nothing_before_any_sweep(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            short, long = (await store.create(max_age=60)).value, (await store.create(max_age=61)).value
            self.clock.advance(59.9)
            assert store.lookup(short) is not None
            self.clock.advance(0.1)
            assert store.lookup(short) is None
            assert await store.authenticate(short, "alice") is False
            assert store.lookup(long) is not None
            assert await store.sweep() == 1
            assert await store.sweep() == 0
            assert store.lookup(long) is not None

        self.run(tmp_path, test)

    @pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
    def test_any_text_may_be_asked_for(self, tmp_path: Path, value: str) -> None:
        async def test(store: Any) -> None:
            await store.create()
            assert store.lookup(value) is None
            assert store.parse(value) is None
            assert (store.parse(f"{(await store.create()).name}={value}") or "") in value
            assert await store.authenticate(value, "alice") is False
            assert await store.revoke(value) is False

        self.run(tmp_path, test)

    @pytest.mark.parametrize(
        "wrong", [{"max_age": 0}, {"max_age": -1}, {"max_age": "5"}, {"name": "a b"}, {"name": ""}]
    )
    def test_what_no_cookie_can_have_is_refused(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        async def test(store: Any) -> None:
            with pytest.raises(DataError):
                await store.create(**wrong)

        self.run(tmp_path, test)

    def test_a_restart_keeps_what_was_answered(self, tmp_path: Path) -> None:
        self.need_persistence()

        async def first(store: Any) -> list[str]:
            values = [(await store.create(max_age=60 + number)).value for number in range(3)]
            await store.authenticate(values[1], *ALICE)
            await store.revoke(values[2])
            return values

        values = self.run(tmp_path, first)
        self.clock.advance(60)

        async def then(store: Any) -> None:
            expired, alice, revoked = map(store.lookup, values)
            assert (expired, revoked) == (None, None)
            assert _identity(alice) == ALICE

        self.run(tmp_path, then)

    def test_a_stopped_store_refuses_everything(self, tmp_path: Path) -> None:
        async def get(store: Any) -> Any:
            return store, (await store.create()).value

        store, value = self.run(tmp_path, get)
        with pytest.raises(DatabaseClosed):
            store.lookup(value)
        refused: list[object] = []
        for call in (store.create(), store.authenticate(value, "alice"), store.revoke(value), store.revoke_all("a")):
            call.addErrback(lambda failure: refused.append(failure.value))
        assert [isinstance(each, DatabaseClosed) for each in refused] == [True] * 4

    def test_what_was_asked_for_before_the_stop_is_done(self, tmp_path: Path) -> None:
        self.need_persistence()

        async def ask(store: Any) -> list[Any]:
            return [store.create() for _ in range(20)]

        issued: list[Any] = []
        for deferred in self.run(tmp_path, ask):
            deferred.addCallback(issued.append)

        async def look(store: Any) -> None:
            assert all(store.lookup(each.value) is not None for each in issued)

        assert len(issued) == 20
        self.run(tmp_path, look)

    def test_errors_are_of_the_tree(self, tmp_path: Path) -> None:
        async def test(store: Any) -> None:
            with pytest.raises(ZlmdbError):
                await store.create(max_age=object())

        self.run(tmp_path, test)


def _identity(cookie: Any) -> tuple[Any, ...]:
    return cookie.authid, cookie.authrole, cookie.authmethod, cookie.authrealm, cookie.authextra
