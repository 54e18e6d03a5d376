# SPDX-License-Identifier: MIT
"""The realm store: what a router asks of it, and what any application can."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from twisted.internet.defer import Deferred, fail

from zlmdb import Transaction
from zlmdb.errors import DatabaseClosed, WrongType, WrongValue, ZlmdbError
from zlmdb.plugins import Context
from zlmdb_eventhistory import Event, Page, matches
from zlmdb_realmstore._callstore import CallStore
from zlmdb_realmstore._config import Config, EventHistoryItem
from zlmdb_realmstore._record import Record
from zlmdb_realmstore._records import (
    Acknowledgement,
    check_keys,
    check_time,
    check_topic,
    event_dict,
    new_publication_id,
    own_event,
    published_event,
)

_MOST_PAGES: Final = 5  # of the file that are looked at while the reactor waits


class RealmStore(CallStore):
    """Sessions, event history and queued calls of one realm; call it on the reactor's thread.

    Writes go to a bounded buffer and from there in batches to the file. Reads see both as one. The methods of
    the router's interface (FORMAT.md section 7.1) are synchronous and raise; `publish`, `events`, `flushed`
    and `stop` give Deferreds, which fail. After `stop`, writes are refused with `DatabaseClosed`.

    ``clock`` measures flushes, in seconds.
    """

    _session_id = None  # the router reads it from all observers of a subscription

    def __init__(self, config: Config, context: Context, *, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(config, context, clock)
        self._subscriptions: dict[int, EventHistoryItem] | None = None

    # --- events, as the router has them

    def attach_subscription_map(self, subscription_map: Any, observer: Any = None) -> None:
        """Observe the subscriptions of the ``event-history`` list, so that their ids are known.

        ``observer`` is what the router knows as its store, by default this object.
        """
        self._subscriptions = {}
        for item in self._config.event_history:
            watching = self if observer is None else observer
            observation, *_ = subscription_map.add_observer(watching, uri=item.uri, match=item.match)
            self._subscriptions[observation.id] = item

    def store_event(self, session: Any, publication_id: int, publish: Any) -> None:
        """Store a publication, as of now, if the history of its topic is kept.

        Raises:
            DatabaseClosed: the store was stopped.
            Backpressure: the buffer is full, and full of what cannot be dropped.
            DatabaseError: the file takes nothing at present; the publication must not be acknowledged.
            EncodeError: it cannot be stored, and must not be acknowledged either.
        """
        check_topic(publish.topic)
        if self._keeps(publish.topic):
            check_keys(publish.topic, publication_id, self._max_key_size)
            event = published_event(session, publication_id, publish, self._context.time_ns())
            self._submit_now(self._record(*event))

    def store_event_history(self, publication_id: int, subscription_id: int, receiver: Any) -> None:
        """Do nothing: events are found by the pattern of the subscription, and kept once for all receivers."""

    def get_events(self, subscription_id: int, limit: int | None = None) -> list[dict[str, Any]] | None:
        """Return the newest events of a subscription, newest first; None if no history is kept for it.

        At most ``limit``, and at most the limit of the subscription's item in the configuration.
        """
        return self.get_event_history(subscription_id, None, None, reverse=True, limit=limit)

    def get_event_history(
        self,
        subscription_id: int,
        from_ts: int | None,
        until_ts: int | None,
        reverse: bool | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]] | None:
        """Return the events of a subscription with ``from_ts <= time_ns < until_ts``, as `get_events` does.

        In the order of their publication, or newest first with ``reverse``. Raises `WrongType` for other arguments.
        """
        item = (self._subscriptions or {}).get(subscription_id)
        if item is None:
            return None
        if limit is not None and type(limit) is not int:  # callers of the router send anything
            raise WrongType("not a number of events", where="limit", got=limit, expected="an int, or None")
        check_time("from_ts", from_ts)
        check_time("until_ts", until_ts)
        most = item.limit or self._config.limit
        limit = most if limit is None else min(limit, most)
        query = {"topic": item.uri, "match": item.match, "from_ns": from_ts, "until_ns": until_ts}
        buffered = [
            event
            for event in self._buffered_events()
            if matches(event.topic, item.uri, item.match)
            and (from_ts is None or event.time_ns >= from_ts)
            and (until_ts is None or event.time_ns < until_ts)
        ]
        found = self._newest(buffered, limit, query) if reverse else self._oldest(buffered, limit, query)
        # a batch that is being written is in the buffer and may be in the file
        unique = {event.publication: event for event in found}
        return [event_dict(event) for event in islice(unique.values(), max(limit, 0))]

    def _newest(self, buffered: list[Event], limit: int, query: dict[str, Any]) -> list[Event]:
        enough = limit <= len(buffered)
        return buffered[::-1] + ([] if enough else self._stored(limit, reverse=True, **query).events)

    def _oldest(self, buffered: list[Event], limit: int, query: dict[str, Any]) -> list[Event]:
        page = self._stored(max(limit, 1), **query)
        return page.events + ([] if page.token else buffered)

    def _stored(self, limit: int, **query: Any) -> Page:
        """Return the first events of the file, its pages as one: a page without matches does not end the search."""
        found: list[Event] = []
        if (db := self._readable()) is None:
            return Page(found, None)
        token: str | None = None
        with db.begin() as txn:
            for _ in range(_MOST_PAGES):
                page = self._schema.history.page(txn, limit=limit - len(found), after=token, **query)
                found += page.events
                if (token := page.token) is None or len(found) == limit:
                    break
        return Page(found, token)

    def _buffered_events(self) -> Sequence[Event]:
        return [record.content for record in self._buffer.accepted() if isinstance(record.content, Event)]

    def _keeps(self, topic: str) -> bool:
        items = self._config.event_history
        if not items:
            return self._subscriptions is None
        return any(matches(topic, item.uri, item.match) for item in items)

    # --- events, for applications

    def publish(
        self,
        topic: str,
        args: Any = None,
        kwargs: Any = None,
        publication: int | None = None,
        publisher: Any = None,
        payload: bytes | None = None,
    ) -> Deferred[Acknowledgement]:
        """Store a publication, as of now, with what ``args``, ``kwargs`` and ``payload`` hold now.

        ``publication`` is its id, by default a random one; ``publisher`` a session, a session id or a `Publisher`.
        Fires as the configured durability says. Fails with `EncodeError` for what cannot be stored, and as
        `WrongValue` if no history of this topic is kept; with `UniqueViolation` if the id is taken (``commit``
        only); and as `store_event` raises. Before the store is started, a topic has to fit into files of every
        format: 499 bytes.
        """
        time_ns = self._context.time_ns()
        publication = new_publication_id() if publication is None else publication
        try:
            check_topic(topic)
            check_keys(topic, publication, self._max_key_size)
            if not self._keeps(topic):
                raise WrongValue("no history of this topic is kept", got=topic, expected="one of event-history")
            record = self._record(*own_event(topic, (args, kwargs, payload), publisher, publication, time_ns))
        except ZlmdbError as error:
            return fail(error)
        return self._submit(record)

    def events(self, **query: Any) -> Deferred[Page]:
        """Return a page of events; arguments as for `zlmdb_eventhistory.EventHistory.page`.

        What is buffered is written first, so the page has it, and its token stays good.
        """
        if not self._ready or self._stopping or (db := self._db) is None:
            return fail(DatabaseClosed("the store is not open", where=self._config.path, next_step="start it"))

        def read(txn: Transaction) -> Page:
            return self._schema.history.page(txn, **query)

        return self._buffer.flushed().addCallback(lambda _: db.read(read))

    # --- the way to the file

    def _record(self, event: Event, size: int) -> Record:
        ceiling = self._config.maxsize
        if ceiling is not None and size > ceiling // 2:  # it would be tried again and again
            expected = f"at most half of maxsize, {ceiling // 2} bytes"
            raise WrongValue("the event is too large", where=event.topic, got=f"{size} bytes", expected=expected)
        answer = Acknowledgement(event.publication, event.time_ns)
        return Record(lambda txn: self._schema.history.append(txn, event), event, answer, size=size, droppable=True)
