# SPDX-License-Identifier: MIT
"""The cookie store as a schema plugin."""

from typing import Final

from zlmdb.plugins import Plugin
from zlmdb_cookiestore._config import CookieStoreConfig
from zlmdb_cookiestore._cookie import Cookie
from zlmdb_cookiestore._header import IssuedCookie
from zlmdb_cookiestore._store import CookieCounters, CookieStore
from zlmdb_cookiestore._tables import (
    Cookies,
    CookieStoreSchema,
    IndexCookiesByAuthid,
    IndexCookiesByExpiry,
    IndexCookiesByValue,
)

__all__ = [
    "Cookie",
    "CookieCounters",
    "CookieStore",
    "CookieStoreConfig",
    "CookieStoreSchema",
    "Cookies",
    "IndexCookiesByAuthid",
    "IndexCookiesByExpiry",
    "IndexCookiesByValue",
    "IssuedCookie",
    "plugin",
]

plugin: Final = Plugin("cookiestore", (1, 0), 1, CookieStoreConfig, CookieStore)
"""The entry point ``cookiestore`` of the group ``zlmdb.plugins``."""
