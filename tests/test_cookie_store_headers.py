# SPDX-License-Identifier: MIT
"""Cookie headers as anybody may send them, Set-Cookie headers as browsers should get them, and tokens for forms."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlmdb.errors import WrongValue
from zlmdb.plugins import Context
from zlmdb_cookiestore import BlockingCookieStore, CookieStore, CookieStoreConfig, csrf_token, is_csrf_token
from zlmdb_cookiestore._header import parse, set_cookie


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("sid=abcdefgh; sid=abcdefgh", "abcdefgh"),
        ("sid=abcdefgh; sid=ijklmnop", None),
        ("sid=; sid=abcdefgh; sid=\xff", "abcdefgh"),
        ('sid="abcdefgh"', "abcdefgh"),
        ('sid=""abcdefgh""', None),
        ('sid="abcdefgh', None),
        ("sid=\xa0abcdefgh", None),
        ("sid=abcdefgh\x85", None),
        ("SID=abcdefgh", None),
        ("sid=abc defgh", None),
        ("sid=abcdefgh,sid=ijklmnop", None),
        ("sid\0=abcdefgh", None),
        (b"sid=abcdefgh", "abcdefgh"),
        (b"\xff\xfe=\x00; sid=abcdefgh", "abcdefgh"),
        ("x=" + "y" * 16000 + ";sid=abcdefgh", "abcdefgh"),
        ("x=" + "y" * 17000 + ";sid=abcdefgh", None),
        (";" * 16384, None),
        (None, None),
        (5, None),
    ],
)
def test_a_hostile_header_gives_one_plausible_value_or_none(header: object, value: str | None) -> None:
    assert parse(header, "sid") == value


@given(st.lists(st.binary() | st.sampled_from([b"sid=", b'"', b"=", b";", b"sid=abcdefgh", b"\x00", b" "])))
def test_no_header_makes_the_parser_stumble_or_give_what_is_no_value(pieces: list[bytes]) -> None:
    header = b"".join(pieces)
    value = parse(header, "sid")
    assert value == parse(header.decode("latin-1"), "sid")
    assert value is None or value.encode() in header
    assert value is None or set_cookie(CookieStoreConfig(path="x"), "sid", value, 1).count(";") == 5


def test_attributes_are_safe_unless_configured_otherwise() -> None:
    plain = CookieStoreConfig(path="x", cookie_name="__Host-sid", max_age=60)
    assert (
        set_cookie(plain, "__Host-sid", "v", 60) == "__Host-sid=v; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax"
    )
    assert plain.insecure_name == "sid-insecure"
    assert set_cookie(plain, "sid-insecure", "v", 60) == "sid-insecure=v; Max-Age=60; Path=/; HttpOnly; SameSite=Lax"
    shared = CookieStoreConfig(path="x", domain="example.com", cookie_path="/app", same_site="None", http_only=False)
    assert (
        set_cookie(shared, "cbtid", "v", 1)
        == "cbtid=v; Max-Age=1; Path=/app; Domain=example.com; Secure; SameSite=None"
    )
    assert set_cookie(shared, "cbtid-insecure", "v", 1) == "cbtid-insecure=v; Max-Age=1; Path=/app; Domain=example.com"
    assert len(CookieStoreConfig(path="x", cookie_name="n" * 64).insecure_name) == 64


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x", "", "a b", "a;b", "ä", "x" * 65, 5, b"sid"])
def test_a_header_that_has_a_cookie_forgotten_takes_names_of_cookies_only(name: Any, tmp_path: Path) -> None:
    config = CookieStoreConfig(path=str(tmp_path / "cookies"))
    unused = CookieStore(config, Context(open_database=lambda: asyncio.sleep(0), call_later=lambda *_: None))
    with BlockingCookieStore(config) as blocking:
        for store in (unused, blocking):
            assert store.forget_header("sid").startswith("sid=; Max-Age=0; ")
            assert store.forget_header() == store.forget_header(None) == store.forget_header("cbtid")
            with pytest.raises(WrongValue, match="not a name of a cookie") as caught:
                store.forget_header(name)
            assert caught.value.where == "name"


def test_a_form_token_belongs_to_one_value_and_does_not_show_it() -> None:
    token = csrf_token("a" * 24)
    assert len(token) == 43
    assert "aaaa" not in token
    assert is_csrf_token("a" * 24, token)
    assert is_csrf_token("a" * 24, token.encode())
    for forged in ("", "x", token[:-1], token + "=", "\ud800", "ü" * 43, None, 5, b"\xff", csrf_token("b" * 24)):
        assert not is_csrf_token("a" * 24, forged)
