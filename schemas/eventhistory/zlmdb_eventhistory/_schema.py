# SPDX-License-Identifier: MIT
"""The history: what is done with events inside a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from zlmdb import Transaction
from zlmdb.errors import DecodeError, RecordMissing, WrongType, WrongValue
from zlmdb_eventhistory._event import Event, placed
from zlmdb_eventhistory._fields import check_fields
from zlmdb_eventhistory._keeping import Ledger, Sight
from zlmdb_eventhistory._maintenance import Maintenance, configure, maintain
from zlmdb_eventhistory._patterns import Pattern, check_patterns, expiry
from zlmdb_eventhistory._query import Match, Query, Subscription, check_count, check_subscription
from zlmdb_eventhistory._reading import Page, Search, page
from zlmdb_eventhistory._tables import END, Dispatch, State, Tables

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_ALL: Final = 2**63 - 1


class EventHistory(Tables):
    """Publications in the order in which they were appended.

    All methods run inside a transaction of the database that the schema is attached to, on any thread. ``clock``
    is what tells the time by which events expire, in nanoseconds since 1970 UTC; set another one for tests.
    """

    # --- writing

    def append(self, txn: Transaction, event: Event) -> int:
        """Store an event behind all others and return its sequence, from 1 on.

        ``sequence``, ``clock_ns`` and ``expires_ns`` of the stored event are set here; the object given stays as it
        is. The event is entered into the indexes of all configured patterns that it matches.

        Raises:
            UniqueViolation: there is an event with this publication id.
            EncodeError: a field cannot be stored, or not be read back, or the time lies before 1970.
            KeyTooLong: the topic is too long for the file's format.
        """
        if not isinstance(event, Event):
            raise WrongType("not an event", where="event history", got=event, expected="an Event")
        fields = event.marshal()
        plain = check_fields(fields)
        _check_needed(fields)
        if not plain:
            self._check_readable(event)
        last, clock, setback, stamp = self.state(txn)
        sequence, clock = last + 1, max(clock, event.time_ns)
        matching = self.rules(txn, stamp).matching(event.topic)
        expires_ns = expiry(matching, event.time_ns) if matching else None
        self.events[txn, sequence] = placed(fields, sequence, clock, expires_ns)
        self.set_state(txn, State(sequence, clock, max(setback, clock - event.time_ns), stamp))
        if matching:
            ledger = Ledger(self, txn, self.filling(txn) if any(rule.is_filling for rule in matching) else None)
            ledger.enter(matching, sequence)
            ledger.save()
        return sequence

    def _check_readable(self, event: Event) -> None:
        codec = self.events.value_codec
        try:
            # and written again: pages count bytes
            codec.encode(codec.decode(codec.encode(event)))
        except Exception as error:  # decoders of tags raise what they like
            what = f"this could not be read back: {error}"
            raise WrongValue(what, where="event history", got=event, expected="plain data") from error

    def dispatch(
        self,
        txn: Transaction,
        publication: int,
        subscription: Subscription,
        *,
        receivers: Iterable[int] = (),
        time_ns: int | None = None,
        retained: bool = False,
        acknowledged: bool = False,
    ) -> Dispatch:
        """Store that an event was sent to the receivers of a subscription, and return the record.

        There is one for each event and subscription: further receivers are added to it. ``time_ns`` is by default
        the event's; ``receivers`` are session ids.

        Raises:
            RecordMissing: there is no event with this publication id.
            ConfigError: it is no subscription.
            EncodeError: a field cannot be stored.
            KeyTooLong: the URI is too long for the file's format.
        """
        check_subscription(subscription)
        event = self.get(txn, publication)
        if event is None:
            raise RecordMissing("there is no event with this publication id", where="event history", got=publication)
        number = self.sent_by_event[txn, (event.sequence, subscription.name)]
        sent = None if number is None else self.sent[txn, number]
        if number is None or sent is None:
            number = next(self.sent.select(txn, reverse=True, limit=1, return_values=False), 0) + 1
            time_ns = _checked_time(event.time_ns if time_ns is None else time_ns)
            sent = Dispatch(sequence=event.sequence, uri=subscription.uri, match=subscription.match, time_ns=time_ns)
        sent.receivers = list(dict.fromkeys([*sent.receivers, *map(_checked_session, receivers)]))
        sent.retained |= bool(retained)
        sent.acknowledged |= bool(acknowledged)
        self.sent[txn, number] = sent
        return sent

    # --- reading

    def get(self, txn: Transaction, publication: int) -> Event | None:
        """Return the event with this publication id, or None, as for one that has expired."""
        sequence = self.by_publication[txn, publication]
        event = None if sequence is None else self.events[txn, sequence]
        if event is None or sequence is None or not Sight(self, txn, self.rules(txn)).shows(sequence, event):
            return None
        return event

    def dispatches(self, txn: Transaction, publication: int) -> list[Dispatch]:
        """Return to which subscriptions an event was sent, in the order of their names."""
        event = self.get(txn, publication)
        if event is None:
            return []
        numbers = self.sent_by_event.select(txn, prefix=(event.sequence,), return_keys=False)
        return [sent for sent in self.sent.get_many(txn, numbers) if sent is not None]

    def page(
        self,
        txn: Transaction,
        *,
        topic: str | None = None,
        match: Match = "exact",
        publisher: int | None = None,
        subscription: Subscription | None = None,
        from_ns: int | None = None,
        until_ns: int | None = None,
        reverse: bool = False,
        limit: int = 100,
        after: str | None = None,
        scan_budget: int = 10_000,
        max_bytes: int | None = None,
        skip_damaged: bool = False,
    ) -> Page:
        """Return the next events that pass all filters, by ascending sequence, or descending with ``reverse``.

        ``topic`` is a pattern compared as ``match`` says; ``publisher`` is a session id; ``subscription`` is one that
        the events were sent to (see `dispatch`); times are ``from_ns <= time_ns < until_ns``. ``after`` is the token
        of the page before. At most ``limit`` events come, no more once they have ``max_bytes`` together, and at most
        ``scan_budget`` are looked at, so a pattern that matches rarely may give pages that are short, or empty, with
        a token. Following the tokens gives each event exactly once, those that were appended meanwhile included when
        ascending. What a configured pattern has let go is not seen, whether it was deleted yet or not.

        Raises:
            ConfigError: an argument is wrong.
            BadToken: ``after`` is no token of a query with these filters.
            DecodeError: an event cannot be read; ``skip_damaged`` passes it over, and tells its sequence.
        """
        check_count("limit", limit)
        check_count("scan_budget", scan_budget)
        if max_bytes is not None:
            check_count("max_bytes", max_bytes)
        query = Query(topic, match, publisher, subscription, from_ns, until_ns, bool(reverse))
        return page(Search(self, txn, query, after), query, limit, scan_budget, max_bytes, skip_damaged)

    def select(self, txn: Transaction, **filters: Any) -> Iterator[Event]:
        """Iterate over all events that pass the filters, in one transaction and without a budget.

        Filters are those of `page`: topic and match, publisher, subscription, from_ns, until_ns, reverse. Raises as
        `page` does.
        """
        search = Search(self, txn, Query(**filters), None)
        for sequence, event in search.candidates(_ALL):
            if isinstance(event, DecodeError):
                raise event
            if event is not None and search.takes(sequence, event):
                yield event

    # --- columns

    def arrays(
        self,
        txn: Transaction,
        fields: Sequence[str] | None = None,
        columns: dict[str, Callable[[Event], Any]] | None = None,
        **filters: Any,
    ) -> dict[str, NDArray[Any]]:
        """Return the events that `select` finds as NumPy arrays by name: ``pandas.DataFrame(history.arrays(txn))``.

        ``fields`` are those of `Event`, or ``time`` for ``time_ns`` as datetime64[ns]; by default ``sequence``,
        ``time``, ``publication``, ``topic`` and ``publisher``. ``columns`` are functions of the event, by name:
        ``{"watts": lambda event: event.args[0]}``. Integers are int64, or uint64 where that is too small; numbers
        with None among them are float64 with NaN, or objects if a number would change; bools are bool; all else are
        objects. Raises `ConfigError` for unknown fields, `MissingDependency` without NumPy, and as `select`.
        """
        from zlmdb_eventhistory import _export

        return _export.arrays(_export.read(self.select(txn, **filters), fields, columns))

    def to_arrow(
        self,
        txn: Transaction,
        fields: Sequence[str] | None = None,
        columns: dict[str, Callable[[Event], Any]] | None = None,
        **filters: Any,
    ) -> pa.Table:
        """Return what `arrays` does as an Arrow table, with null for None.

        Raises `WrongValue` for a column of mixed types, `MissingDependency` without pyarrow, and as `arrays`.
        """
        from zlmdb_eventhistory import _export

        return _export.table(_export.read(self.select(txn, **filters), fields, columns))

    # --- patterns and retention

    def configure(self, txn: Transaction, patterns: Iterable[Pattern]) -> bool:
        """Make these the configured patterns, instead of those before; return whether anything changed.

        It takes no time for each event: `maintain` compares older events with new patterns, and deletes the indexes
        of removed ones. Until it has, queries find the events of a new pattern as those of any other. Limits of age
        hold from now on, those of count and bytes as far as older events have been compared.
        Raises `ConfigError` and `WrongType` for what are no patterns; nothing is changed then.
        """
        return configure(self, txn, check_patterns(patterns))

    def patterns_kept(self, txn: Transaction) -> dict[Pattern, bool]:
        """Return the configured patterns, and whether the index of each has all events."""
        return {rule.pattern: rule.is_indexed for rule in self.rules(txn).present}

    def maintain(self, txn: Transaction, limit: int = 4_000) -> Maintenance:
        """Do a slice of what is to be done besides: delete what has expired, fill and delete indexes.

        Looks at about ``limit`` events and index entries, some 20 µs each. Call it again, in a transaction of its
        own, while it returns ``more``; and now and then. Raises `ConfigError` for a limit below 1.
        """
        check_count("limit", limit)
        return maintain(self, txn, limit)

    def problems(self, txn: Transaction) -> list[str]:
        """Return what is wrong with the indexes that `Database.check` does not know; reads everything.

        These are the indexes and totals of the configured patterns, and dispatches without an event.
        """
        from zlmdb_eventhistory._checking import problems

        return problems(self, txn)


def _check_needed(fields: dict[str, Any]) -> None:
    """Refuse what could be written and not be read as an event, for lack of what it must have."""
    if "publication" not in fields:
        raise WrongType("not a publication id", where="publication", got=None, expected="an int from 0 on")
    if "topic" not in fields:
        raise WrongType("not a topic", where="topic", got=None, expected="a str")
    _checked_time(fields.get("time_ns"))


def _checked_time(time_ns: object) -> int:
    if type(time_ns) is not int or not 0 <= time_ns < END:
        expected = "nanoseconds since 1970 as an int from 0 on"
        raise WrongValue("not the time of an event", where="time_ns", got=time_ns, expected=expected)
    return time_ns


def _checked_session(session: object) -> int:
    if type(session) is not int or not 0 <= session <= END:
        raise WrongValue("not a session id", where="receivers", got=session, expected=f"an int from 0 to {END}")
    return session
