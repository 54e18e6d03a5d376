# SPDX-License-Identifier: MIT
"""The realm store: what a router asks of it, and what any application can."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from zlmdb import Transaction
from zlmdb.errors import DatabaseClosed, ReadonlyTransaction, WrongValue, ZlmdbError
from zlmdb.plugins import Context
from zlmdb_eventhistory import Event, Page, matches
from zlmdb_realmstore._buffer import BufferStats, Record
from zlmdb_realmstore._calls import CallQueue, QueuedCall
from zlmdb_realmstore._config import Config, EventHistoryItem
from zlmdb_realmstore._life import Life
from zlmdb_realmstore._records import (
    Acknowledgement,
    Leaving,
    check_keys,
    check_topic,
    event_dict,
    new_publication_id,
    own_event,
    published_event,
    session_details,
    session_id_of,
    session_record,
)
from zlmdb_realmstore._session import Session

_SMALLEST_KEY: Final = 511  # bytes that a key may have in every format
_MOST_PAGES: Final = 5  # of the file that are looked at while the reactor waits


class RealmStore(Life):
    """Sessions, event history and queued calls of one realm; call it on the reactor's thread.

    Writes go to a bounded buffer and from there in batches to the file. Reads see both as one. The methods of
    the router's interface (FORMAT.md section 7.1) are synchronous and raise; `publish`, `events`, `flushed`
    and `stop` give Deferreds, which fail. After `stop`, writes are refused with `DatabaseClosed`.

    ``clock`` measures flushes, in seconds.
    """

    _session_id = None  # the router reads it from all observers of a subscription

    def __init__(self, config: Config, context: Context, *, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(config, context, clock)
        self._calls = CallQueue(config.call_queue)
        self._subscriptions: dict[int, EventHistoryItem] | None = None
        self._joined: dict[int, tuple[Any, Session]] = {}  # by the identity of the router's session object

    # --- sessions

    def store_session_joined(self, session: Any, details: Any) -> None:
        """Store a session that joins the realm, as of now. Raises as `store_event` does."""
        record = session_record(session, details, self._context.time_ns())
        self._submit_now(Record(lambda txn: self._insert(txn, record), record))
        self._joined[id(session)] = session, record

    def store_session_left(self, session: Any, details: Any) -> None:
        """Store that a session left, as of now. Raises as `store_event` does."""
        _, record = self._joined.get(id(session), (None, None))
        leaving = Leaving(session_id_of(session), record.oid if record else None, self._context.time_ns())
        self._submit_now(Record(lambda txn: self._leave(txn, leaving), leaving))
        self._joined.pop(id(session), None)

    def get_session_by_session_id(self, session_id: int, joined_before: int | None = None) -> dict[str, Any] | None:
        """Return the details of the session with this id that joined last, or last before a time (ns, excluded)."""
        found = [
            record.content
            for record in self._buffer.accepted()
            if isinstance(record.content, Session)
            and record.content.session == session_id
            and (joined_before is None or (record.content.joined_at or 0) < joined_before)
        ]
        if (db := self._readable()) is not None:
            with db.begin() as txn:
                stored = self._schema.latest_session(txn, session_id, joined_before)
            found += [stored] if stored else []
        latest = max(found, key=lambda record: record.joined_at or 0, default=None)
        return None if latest is None else session_details(latest)

    def get_sessions_by_authid(self, authid: str) -> list[tuple[int, int]]:
        """Return (session id, joined at in ns) of all sessions of an authid, newest first."""
        contents = (record.content for record in self._buffer.accepted())
        found = {(c.session, c.joined_at) for c in contents if isinstance(c, Session) and c.authid == authid}
        if (db := self._readable()) is not None:
            with db.begin() as txn:
                found.update(self._schema.sessions_of(txn, authid))
        return sorted(
            ((session, joined_at or 0) for session, joined_at in found), key=lambda each: each[::-1], reverse=True
        )

    def _insert(self, txn: Transaction, record: Session) -> None:
        assert record.oid is not None
        self._schema.sessions.insert(txn, record.oid, record)

    def _leave(self, txn: Transaction, leaving: Leaving) -> None:
        oid: UUID | None = leaving.oid
        if oid is None and leaving.session_id is not None:
            latest = self._schema.latest_session(txn, leaving.session_id)
            oid = latest.oid if latest else None
        if oid is None or not self._schema.leave(txn, oid, leaving.left_at):
            raise WrongValue("a session left that did not join", got=leaving, expected="a session in the store")

    # --- events, as the router has them

    def attach_subscription_map(self, subscription_map: Any) -> None:
        """Observe the subscriptions of the ``event-history`` list, so that their ids are known."""
        self._subscriptions = {}
        for item in self._config.event_history:
            observation, *_ = subscription_map.add_observer(self, uri=item.uri, match=item.match)
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
            self._submit_now(self._record(published_event(session, publication_id, publish, self._context.time_ns())))

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

        In the order of their publication, or newest first with ``reverse``.
        """
        item = (self._subscriptions or {}).get(subscription_id)
        if item is None:
            return None
        limit = item.limit if limit is None else min(limit, item.limit)
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
            record = self._record(own_event(topic, (args, kwargs, payload), publisher, publication, time_ns))
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

    def flushed(self) -> Deferred[None]:
        """Write what is buffered now; fires when that is done. Fails with the cause if it cannot be."""
        return self._buffer.flushed()

    def stats(self) -> BufferStats:
        """Return the counters of the buffer."""
        return self._buffer.stats()

    # --- queued calls

    def maybe_queue_call(self, session: Any, call: Any, registration: Any, authorization: Any) -> bool:
        """Queue a call if the configuration names its procedure and there is room; return whether it did."""
        return self._calls.put(QueuedCall(session, call, registration, authorization))

    def get_queued_call(self, registration: Any) -> QueuedCall | None:
        """Return the oldest queued call of a registration, or None."""
        return self._calls.peek(registration)

    def pop_queued_call(self, registration: Any) -> QueuedCall | None:
        """Remove and return the oldest queued call of a registration, or None."""
        return self._calls.pop(registration)

    # --- the way to the file

    @property
    def _max_key_size(self) -> int:
        return _SMALLEST_KEY if self._db is None else self._db.database.max_key_size

    def _record(self, event: Event) -> Record:
        answer = Acknowledgement(event.publication, event.time_ns)
        return Record(lambda txn: self._schema.history.append(txn, event), event, answer, droppable=True)

    def _submit(self, record: Record) -> Deferred[Any]:
        if self._config.readonly and not self._stopping:
            return fail(ReadonlyTransaction("the store is opened read-only", where=self._config.path))
        return self._buffer.submit(record)

    def _submit_now(self, record: Record) -> None:
        """Submit for a caller that waits for nothing: raise what is known now; the buffer logs what comes later.

        To this caller it is acknowledged with the return, whatever the durability.
        """
        record.patient = False
        refusals: list[Failure] = []
        self._submit(record).addErrback(refusals.append)
        if refusals:
            refusals[0].raiseException()
