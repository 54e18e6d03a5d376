# SPDX-License-Identifier: MIT
"""Calls that wait for a callee with room, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from zlmdb_eventhistory import matches
from zlmdb_realmstore._config import CallQueueItem


class QueuedCall(NamedTuple):
    """A call that waits; the parts are the router's own objects."""

    session: Any
    call: Any
    registration: Any
    authorization: Any


class CallQueue:
    """One bounded queue for each registration whose procedure the configuration names. Reactor thread only."""

    def __init__(self, items: Sequence[CallQueueItem]) -> None:
        self._items = items
        self._queues: dict[Hashable, deque[QueuedCall]] = {}

    def put(self, call: QueuedCall) -> bool:
        """Queue a call; return False if its procedure has no queue, or a full one."""
        uri = call.registration.uri
        limits = [item.limit for item in self._items if matches(uri, item.uri, item.match)]
        if not limits:
            return False
        queue = self._queues.setdefault(call.registration.id, deque())
        if len(queue) >= max(limits):
            return False
        queue.append(call)
        return True

    def peek(self, registration: Any) -> QueuedCall | None:
        """Return the oldest call for a registration, or None."""
        queue = self._queues.get(registration.id)
        return queue[0] if queue else None

    def pop(self, registration: Any) -> QueuedCall | None:
        """Remove and return the oldest call for a registration, or None."""
        queue = self._queues.get(registration.id)
        if not queue:
            return None
        call = queue.popleft()
        if not queue:
            del self._queues[registration.id]
        return call
