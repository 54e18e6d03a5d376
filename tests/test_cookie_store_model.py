# SPDX-License-Identifier: MIT
"""The cookie store against a model of dictionaries, with a clock that only the test moves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tests.cookie_stores import SECOND, START, exact_indexes
from zlmdb_cookiestore import BlockingCookieStore

AUTHIDS = st.sampled_from(["alice", "bob", "a" * 150, "a" * 150 + "b", "ü"])
AGES = st.integers(1, 50)
KEYS = st.sampled_from(["cart", "seen", "theme"])


class CookieModel(RuleBasedStateMachine):
    """Any sequence of operations, restarts among them; what is handed out is what the model says."""

    values = Bundle("values")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now = START
        self.model: dict[str, dict[str, Any]] = {}
        self.store = self._open()

    def _open(self) -> BlockingCookieStore:
        options = {"path": f"{self.folder.name}/db", "sync": False, "max-age": 20, "longest-life": 60}
        options |= {"touch-interval": 5.0, "sweep-slice": 2}
        return BlockingCookieStore(options, time_ns=lambda: self.now)

    def _live(self, value: str) -> dict[str, Any] | None:
        known = self.model.get(value)
        return known if known is not None and known["expires"] > self.now else None

    def _add(self, value: str, max_age: int, **facts: Any) -> str:
        expires = self.now + max_age * SECOND
        self.model[value] = {"created": self.now, "expires": expires, "authid": None, "data": {}, **facts}
        return value

    @rule(target=values, max_age=AGES)
    def create(self, max_age: int) -> str:
        return self._add(self.store.create(max_age=max_age).value, max_age)

    @rule(target=values, former=values, authid=AUTHIDS, max_age=AGES)
    def sign_in(self, former: str, authid: str, max_age: int) -> str:
        known = self._live(former)
        if known is not None:
            del self.model[former]
        issued = self.store.sign_in(former, authid, max_age=max_age)
        return self._add(issued.value, max_age, authid=authid, data=dict(known["data"]) if known else {})

    @rule(value=values, authid=st.none() | AUTHIDS)
    def authenticate(self, value: str, authid: str | None) -> None:
        known = self._live(value)
        assert self.store.authenticate(value, authid) is (known is not None)
        if known is not None:
            known |= {"authid": authid, "data": {}}

    @rule(value=values, key=KEYS, item=st.none() | st.integers())
    def update_data(self, value: str, key: str, item: int | None) -> None:
        known = self._live(value)
        assert self.store.update_data(value, {key: item}) is (known is not None)
        if known is not None:
            known["data"].pop(key, None)
            if item is not None:
                known["data"][key] = item

    @rule(value=values, max_age=st.none() | AGES)
    def touch(self, value: str, max_age: int | None) -> None:
        touched = self.store.touch(value, max_age=max_age)
        known = self._live(value)
        if touched is None:
            return
        assert known is not None
        cookie = self.store.lookup(value)
        assert cookie is not None
        expires = known["created"] + cookie.max_age * SECOND
        assert known["expires"] + 5 * SECOND <= expires <= max(known["created"] + 60 * SECOND, known["expires"])
        assert expires < self.now + ((max_age or 20) + 1) * SECOND
        assert touched.max_age == (expires - self.now) // SECOND
        known["expires"] = expires

    @rule(value=values)
    def revoke(self, value: str) -> None:
        known = self._live(value) is not None
        revoked = self.store.revoke(value)
        assert revoked or not known  # one that has expired may have been swept, or not
        self.model.pop(value, None)

    @rule(authid=AUTHIDS, keep=st.none() | values)
    def revoke_all(self, authid: str, keep: str | None) -> None:
        mine = [value for value, known in self.model.items() if known["authid"] == authid and value != keep]
        living = sum(self._live(value) is not None for value in mine)
        assert living <= self.store.revoke_all(authid, keep=keep) <= len(mine)
        for value in mine:
            del self.model[value]

    @rule()
    def sweep(self) -> None:
        self.store.sweep()
        counts = self.store.counts()
        assert counts.expired == 0
        assert counts.cookies == sum(self._live(value) is not None for value in self.model)

    @rule(seconds=st.integers(0, 15), nanoseconds=st.integers(0, SECOND - 1))
    def wait(self, seconds: int, nanoseconds: int) -> None:
        self.now += seconds * SECOND + nanoseconds

    @rule()
    def restart(self) -> None:
        self.store.close()
        exact_indexes(Path(self.folder.name) / "db")
        self.store = self._open()

    @invariant()
    def hands_out_what_lives_and_nothing_else(self) -> None:
        for value in self.model:
            known, cookie = self._live(value), self.store.lookup(value)
            assert (cookie is None) == (known is None)
            if cookie is not None and known is not None:
                found = {"created": cookie.created, "authid": cookie.authid, "data": cookie.authextra or {}}
                assert found == {key: known[key] for key in found}

    @invariant()
    def finds_by_authid_what_lives(self) -> None:
        for authid in ("alice", "a" * 150):
            found = {cookie.value for cookie in self.store.of_authid(authid)}
            assert found == {v for v in self.model if (known := self._live(v)) and known["authid"] == authid}

    @invariant()
    def lists_by_expiry_what_lives(self) -> None:
        found = [cookie.value for cookie in self.store.expiring(10_000, limit=10_000)]
        assert set(found) == {value for value in self.model if self._live(value)}
        expiries = [self.model[value or ""]["expires"] for value in found]
        assert expiries == sorted(expiries)

    def teardown(self) -> None:
        self.store.close()
        exact_indexes(Path(self.folder.name) / "db")
        self.folder.cleanup()


TestCookieModel = CookieModel.TestCase
TestCookieModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
