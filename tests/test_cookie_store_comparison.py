# SPDX-License-Identifier: MIT
"""Secrets are compared in constant time, and that comparison alone decides."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from zlmdb_cookiestore import BlockingCookieStore, CookieStoreSchema, csrf_token, is_csrf_token

Compared = list[tuple[Any, Any]]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """What was compared in constant time, all of which is told to differ."""
    compared: Compared = []

    def compare_digest(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    return compared


def test_what_the_index_finds_is_handed_out_only_if_the_comparison_says_so(tmp_path: Path, compared: Compared) -> None:
    with BlockingCookieStore({"path": str(tmp_path)}) as store:
        value = store.create().value
        assert compared == []
        for use in (
            store.lookup,
            lambda value: store.authenticate(value, "joe") or None,
            store.touch,
            lambda value: store.update_data(value, {"a": 1}) or None,
        ):
            assert use(value) is None
            assert compared == [(value.encode(), value.encode())]
            compared.clear()


def test_a_cookie_that_the_index_finds_under_another_value_is_not_handed_out(tmp_path: Path) -> None:
    with BlockingCookieStore({"path": str(tmp_path)}) as store:
        issued = store.create()
        wrong = issued.value[:-1] + ("b" if issued.value[-1] == "a" else "a")
        with zlmdb.Database(tmp_path) as db, db.begin(write=True) as txn:
            db.attach(CookieStoreSchema).by_value[txn, wrong] = issued.oid
        assert store.lookup(wrong) is None
        assert store.lookup(issued.value) is not None


def test_tokens_of_forms_are_compared_in_constant_time(compared: Compared) -> None:
    token = csrf_token("a" * 24)
    assert is_csrf_token("a" * 24, token) is False
    assert compared == [(token.encode(), token.encode())]
