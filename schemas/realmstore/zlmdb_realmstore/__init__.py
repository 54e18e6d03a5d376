# SPDX-License-Identifier: MIT
"""The realm store as a schema plugin: a router's sessions and event history, written in batches off its thread."""

from zlmdb.plugins import Plugin
from zlmdb_realmstore._calls import DepartedCaller, QueuedCall
from zlmdb_realmstore._config import CallQueueItem, Config, EventHistoryItem
from zlmdb_realmstore._record import BufferStats
from zlmdb_realmstore._records import Acknowledgement, Publisher
from zlmdb_realmstore._schema import VERSION, RealmSchema
from zlmdb_realmstore._session import Session
from zlmdb_realmstore._store import RealmStore

__all__ = [
    "Acknowledgement",
    "BufferStats",
    "CallQueueItem",
    "Config",
    "DepartedCaller",
    "EventHistoryItem",
    "Publisher",
    "QueuedCall",
    "RealmSchema",
    "RealmStore",
    "Session",
    "plugin",
]

plugin = Plugin("realmstore", (1, 0), VERSION, Config, RealmStore, requires=("eventhistory",))
