# SPDX-License-Identifier: MIT
"""The cookie store as a schema plugin."""

from typing import Final

from zlmdb.plugins import Plugin
from zlmdb_cookiestore._blocking import BlockingCookieStore
from zlmdb_cookiestore._config import CookieStoreConfig
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._header import IssuedCookie
from zlmdb_cookiestore._operations import CookieCounts
from zlmdb_cookiestore._store import CookieCounters, CookieStore
from zlmdb_cookiestore._tables import (
    NAME,
    VERSION,
    Cookies,
    CookieStoreSchema,
    IndexCookiesByAuthid,
    IndexCookiesByExpiry,
    IndexCookiesByValue,
)
from zlmdb_cookiestore.csrf import csrf_token, is_csrf_token

__all__ = [
    "BlockingCookieStore",
    "Cookie",
    "CookieCounters",
    "CookieCounts",
    "CookieStore",
    "CookieStoreConfig",
    "CookieStoreSchema",
    "Cookies",
    "IndexCookiesByAuthid",
    "IndexCookiesByExpiry",
    "IndexCookiesByValue",
    "IssuedCookie",
    "csrf_token",
    "is_csrf_token",
    "plugin",
]

plugin: Final = Plugin(NAME, (1, 0), VERSION, CookieStoreConfig, CookieStore)
"""The entry point ``cookiestore`` of the group ``zlmdb.plugins``."""
