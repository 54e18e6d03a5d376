# SPDX-License-Identifier: MIT
"""Finding, checking and running store plugins.

A distribution offers a plugin by an entry point of the group ``zlmdb.plugins``; the entry's name is the
``type`` of a configuration and its value names a `Plugin`. `Registry` finds plugins without importing them,
`configure` makes a store of one, and `ManagedStore` leads that store through its life:

    found → loaded → configured → attached → migrated → started → draining → stopped

or to ``failed``, from wherever a step failed. Nothing here knows an event loop: the coroutines await what
a store's steps return, and so run under Twisted (``Deferred.fromCoroutine``) and asyncio alike.
"""

from zlmdb.configuration import check
from zlmdb.plugins._contract import (
    API_VERSION,
    RESERVED_KEYS,
    Change,
    Context,
    Course,
    FindStore,
    Plugin,
    State,
    Store,
)
from zlmdb.plugins._life import ManagedStore, Wait, configure
from zlmdb.plugins._registry import GROUP, Found, Registry
from zlmdb.plugins._stores import configure_again, configure_all
from zlmdb.plugins._versions import SchemaVersions, stored_version

__all__ = [
    "API_VERSION",
    "GROUP",
    "RESERVED_KEYS",
    "Change",
    "Context",
    "Course",
    "FindStore",
    "Found",
    "ManagedStore",
    "Plugin",
    "Registry",
    "SchemaVersions",
    "State",
    "Store",
    "Wait",
    "check",
    "configure",
    "configure_again",
    "configure_all",
    "stored_version",
]
