# SPDX-License-Identifier: MIT
"""Live delivery of events to subscribers, as server-sent events."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from zlmdb_eventhistory import Match, matches


@implementer(IPushProducer)
class Subscriber:
    """One open response; events wait in a bounded queue while its client does not read."""

    def __init__(self, request: Any, topic: str, match: Match, room: int) -> None:
        self.topic = topic
        self.match: Match = match
        self._request = request  # a twisted.web Request
        self._room = room
        self._queue: deque[bytes] = deque()
        self._paused = False
        request.registerProducer(self, True)

    def offer(self, data: bytes) -> bool:
        """Send, or keep for later; False if there is no room."""
        if not self._paused:
            self._request.write(data)
        elif len(self._queue) < self._room:
            self._queue.append(data)
        else:
            return False
        return True

    def end(self) -> None:
        """Send what waits and finish the response."""
        self._request.write(b"".join(self._queue))
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
            self._request.write(self._queue.popleft())

    def stopProducing(self) -> None:  # noqa: N802
        """Forget what waits: the client is gone."""
        self._queue.clear()


class Hub:
    """All subscribers; call it on the reactor's thread."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._subscribers: set[Subscriber] = set()
        self.delivered = 0
        self.dropped = 0

    def subscribe(self, request: Any, topic: str, match: Match) -> None:
        """Answer a request with the events that match, from now on, until its client leaves."""
        subscriber = Subscriber(request, topic, match, self._room)
        self._subscribers.add(subscriber)

        def gone(_: Failure | None) -> None:
            self._subscribers.discard(subscriber)

        request.notifyFinish().addBoth(gone)
        subscriber.offer(b": subscribed\n\n")

    def deliver(self, topic: str, publication: int, text: str) -> None:
        """Hand an event, a line of JSON, to all whose pattern matches; drop those who do not keep up."""
        data = f"id: {publication}\ndata: {text}\n\n".encode()
        for subscriber in [each for each in self._subscribers if matches(topic, each.topic, each.match)]:
            if subscriber.offer(data):
                self.delivered += 1
            else:
                self.dropped += 1
                self._subscribers.discard(subscriber)
                subscriber.drop()

    def end(self) -> None:
        """Finish all responses."""
        for subscriber in list(self._subscribers):
            subscriber.end()

    def report(self) -> dict[str, int]:
        """Return the number of subscribers, of events delivered, and of subscribers dropped."""
        return {"subscribers": len(self._subscribers), "delivered": self.delivered, "dropped": self.dropped}
