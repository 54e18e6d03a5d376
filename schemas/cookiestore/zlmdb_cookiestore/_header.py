# SPDX-License-Identifier: MIT
"""Cookies as HTTP headers (RFC 6265)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from zlmdb.errors import WrongValue
from zlmdb_cookiestore._config import LONGEST, LONGEST_LIFE, NAME, SHORTEST, CookieStoreConfig

_VALUE: Final = re.compile(rf"[!#-+\--:<-\[\]-~]{{{SHORTEST},{LONGEST}}}")  # RFC 6265 section 4.1.1, cookie-octet
_LONGEST_HEADER: Final = 16384  # characters: browsers send 50 cookies of 4096 at most, and servers take fewer
_BLANK: Final = " \t"


@dataclass(frozen=True, slots=True)
class IssuedCookie:
    """A cookie to be handed out. Value and header log in whoever has them, so ``repr`` leaves them out."""

    name: str
    value: str = field(repr=False)
    header: str = field(repr=False)
    """The text of a ``Set-Cookie`` header."""
    max_age: int
    """Seconds."""
    oid: UUID
    """The key of the record, which is no secret."""


def checked_name(config: CookieStoreConfig, name: object) -> str:
    """Return the name of a cookie, None for the configured one; raise `WrongValue` for what no cookie can have."""
    if name is None:
        return config.cookie_name
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise WrongValue("not a name of a cookie", where="name", got=name, expected=f"matching {NAME}")
    return name


def is_lifetime(seconds: object) -> bool:
    """Tell whether cookies can live that long."""
    return type(seconds) is int and 0 < seconds <= LONGEST_LIFE


def is_value(value: object) -> bool:
    """Tell whether ``value`` can be the value of a cookie of ours."""
    return isinstance(value, str) and _VALUE.fullmatch(value) is not None


def set_cookie(config: CookieStoreConfig, name: str, value: str, max_age: int) -> str:
    """Return the text of a ``Set-Cookie`` header, unchecked; an empty value and ``max_age`` 0 make browsers forget."""
    text = f"{name}={value}; Max-Age={max_age}; Path={config.cookie_path}"
    secure = config.secure and name != config.insecure_name
    if config.domain:
        text += f"; Domain={config.domain}"
    if secure:
        text += "; Secure"
    if config.http_only:
        text += "; HttpOnly"
    if config.same_site and (secure or config.same_site != "None"):  # browsers drop None without Secure
        text += f"; SameSite={config.same_site}"
    return text


def forget_cookie(config: CookieStoreConfig, name: str | None) -> str:
    """Return the text of a ``Set-Cookie`` header that has browsers forget a cookie; raise as `checked_name` does."""
    return set_cookie(config, checked_name(config, name), "", 0)


def parse(header: object, name: str) -> str | None:
    """Return the value of the cookie ``name`` in a ``Cookie`` header; None for none, or for no value of ours.

    None as well for different values under this one name, and for headers of more than 16384 characters. Browsers
    send several cookies of one name in an order that another host of the domain can choose, which may so slip in
    its own.
    """
    if isinstance(header, bytes):
        header = header.decode("latin-1")
    if not isinstance(header, str) or len(header) > _LONGEST_HEADER:
        return None
    found = {value for value in _values(header, name) if is_value(value)}
    return found.pop() if len(found) == 1 else None


def _values(header: str, name: str) -> Iterator[str]:
    for pair in header.split(";"):
        key, _, value = pair.partition("=")
        if key.strip(_BLANK) == name:
            value = value.strip(_BLANK)
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            yield value[1:-1] if quoted else value
