# SPDX-License-Identifier: MIT
"""Live delivery of events to subscribers, as server-sent events."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from zlmdb_eventhistory import Match, matches


@dataclass(frozen=True)
class Room:
    """How much waits for one slow subscriber at most, but for a single event, which may be as long as it likes."""

    events: int
    bytes: int


@implementer(IPushProducer)
class Subscriber:
    """One open response; events wait in a bounded queue while its client does not read."""

    def __init__(self, request: Any, topic: str, match: Match, room: Room) -> None:
        self.topic = topic
        self.match: Match = match
        self.sent = 0
        """Events that were handed to the transport."""
        self._request = request  # a twisted.web Request
        self._room = room
        self._queue: deque[bytes] = deque()
        self._queued = 0  # bytes
        self._paused = False
        request.registerProducer(self, True)
        request.write(b": subscribed\n\n")

    def offer(self, data: bytes) -> bool:
        """Send an event, or keep it for later; False if there is no room."""
        if not self._paused:
            self._send(data)
        elif self._has_room(len(data)):
            self._queue.append(data)
            self._queued += len(data)
        else:
            return False
        return True

    def _has_room(self, size: int) -> bool:
        room = self._room
        return not self._queue or (len(self._queue) < room.events and self._queued + size <= room.bytes)

    def end(self) -> None:
        """Send what waits and finish the response."""
        while self._queue:
            self._send_first()
        self._request.unregisterProducer()
        self._request.finish()

    def drop(self) -> None:
        """Cut the connection: the client does not read, so it would never see the end of the response."""
        self._request.unregisterProducer()
        self._request.transport.abortConnection()

    def pauseProducing(self) -> None:  # noqa: N802
        """Keep events: the client does not take them."""
        self._paused = True

    def resumeProducing(self) -> None:  # noqa: N802
        """Send what waits, as far as the client takes it."""
        self._paused = False
        while self._queue and not self._paused:
            self._send_first()

    def stopProducing(self) -> None:  # noqa: N802
        """Forget what waits: the client is gone."""
        self._queue.clear()
        self._queued = 0

    def _send_first(self) -> None:
        data = self._queue.popleft()
        self._queued -= len(data)
        self._send(data)

    def _send(self, data: bytes) -> None:
        self.sent += 1
        self._request.write(data)


class Hub:
    """All subscribers; call it on the reactor's thread."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._subscribers: set[Subscriber] = set()
        self._delivered = 0  # to those who left
        self._dropped = 0

    def subscribe(self, request: Any, topic: str, match: Match) -> None:
        """Answer a request with the events that match, from now on, until its client leaves."""
        subscriber = Subscriber(request, topic, match, self._room)
        self._subscribers.add(subscriber)

        def gone(_: Failure | None) -> None:
            self._forget(subscriber)

        request.notifyFinish().addBoth(gone)

    def deliver(self, topic: str, publication: int, text: str) -> None:
        """Hand an event, a line of JSON, to all whose pattern matches; drop those who do not keep up."""
        data = f"id: {publication}\ndata: {text}\n\n".encode()
        for subscriber in [each for each in self._subscribers if matches(topic, each.topic, each.match)]:
            if not subscriber.offer(data):
                self._dropped += 1
                self._forget(subscriber)
                subscriber.drop()

    def end(self) -> None:
        """Finish all responses."""
        for subscriber in list(self._subscribers):
            subscriber.end()

    def report(self) -> dict[str, int]:
        """Return the number of subscribers, of events handed to their transports, and of subscribers dropped."""
        delivered = self._delivered + sum(each.sent for each in self._subscribers)
        return {"subscribers": len(self._subscribers), "delivered": delivered, "dropped": self._dropped}

    def _forget(self, subscriber: Subscriber) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
            self._delivered += subscriber.sent
