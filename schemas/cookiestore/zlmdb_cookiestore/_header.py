# SPDX-License-Identifier: MIT
"""Cookies as HTTP headers (RFC 6265)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from zlmdb_cookiestore._config import LONGEST, LONGEST_LIFE, NAME, SHORTEST, CookieStoreConfig

_VALUE: Final = re.compile(rf"[!#-+\--:<-\[\]-~]{{{SHORTEST},{LONGEST}}}")  # RFC 6265 section 4.1.1, cookie-octet


@dataclass(frozen=True, slots=True)
class IssuedCookie:
    """A cookie to be handed out. Value and header log in whoever has them, so ``repr`` leaves them out."""

    name: str
    value: str = field(repr=False)
    header: str = field(repr=False)
    """The text of a ``Set-Cookie`` header."""
    max_age: int
    """Seconds."""


def is_name(name: object) -> bool:
    """Tell whether cookies can have this name."""
    return isinstance(name, str) and re.fullmatch(NAME, name) is not None


def is_lifetime(seconds: object) -> bool:
    """Tell whether cookies can live that long."""
    return type(seconds) is int and 0 < seconds <= LONGEST_LIFE


def is_value(value: object) -> bool:
    """Tell whether ``value`` can be the value of a cookie of ours."""
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None


def set_cookie(config: CookieStoreConfig, name: str, value: str, max_age: int) -> str:
    """Return the text of a ``Set-Cookie`` header; an empty value and ``max_age`` 0 make browsers forget."""
    text = f"{name}={value}; Max-Age={max_age}; Path=/"
    if config.secure:
        text += "; Secure"
    if config.http_only:
        text += "; HttpOnly"
    if config.same_site:
        text += f"; SameSite={config.same_site}"
    return text


def parse(header: str, name: str) -> str | None:
    """Return the value of the cookie ``name`` in a ``Cookie`` header; None for none, or for no value of ours."""
    for pair in header.split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            value = value.strip().strip('"')
            return value if is_value(value) else None
    return None
