# SPDX-License-Identifier: MIT
"""The event history as a schema plugin: publications in the order of their storage, found by topic, publisher, time."""

from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._plugin import Config, EventHistoryStore, plugin
from zlmdb_eventhistory._query import Match, matches
from zlmdb_eventhistory._schema import EventHistory, Page

__all__ = ["Config", "Event", "EventHistory", "EventHistoryStore", "Match", "Page", "matches", "plugin"]
