# SPDX-License-Identifier: MIT
"""The event history as a schema plugin: publications in the order of their storage, found by topic, publisher, time."""

from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._importing import Imported, OldHistory
from zlmdb_eventhistory._maintenance import Maintenance
from zlmdb_eventhistory._patterns import Pattern
from zlmdb_eventhistory._plugin import Config, EventHistoryStore, PatternItem, plugin
from zlmdb_eventhistory._query import Match, Subscription, matches
from zlmdb_eventhistory._reading import Page
from zlmdb_eventhistory._schema import EventHistory
from zlmdb_eventhistory._sweeping import Sweeper
from zlmdb_eventhistory._tables import Dispatch

__all__ = [
    "Config",
    "Dispatch",
    "Event",
    "EventHistory",
    "EventHistoryStore",
    "Imported",
    "Maintenance",
    "Match",
    "OldHistory",
    "Page",
    "Pattern",
    "PatternItem",
    "Subscription",
    "Sweeper",
    "matches",
    "plugin",
]
