# SPDX-License-Identifier: MIT
"""What is done a slice at a time: expiry, filling the indexes of new patterns, deleting those of removed ones.

A slice is part of a write transaction: all that it does to an event, it does to all indexes and totals with it. What
remains is told from the tables themselves, so the next slice goes on wherever the last committed one ended.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from secrets import randbits

from zlmdb import Transaction
from zlmdb.errors import DataError, DecodeError
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._keeping import Ledger, forget_total, recount, total_of
from zlmdb_eventhistory._patterns import Pattern, Phase, Rule, expiry
from zlmdb_eventhistory._rawkeys import RawKeys
from zlmdb_eventhistory._tables import Filling, Tables


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What a slice has done, in numbers of events or index entries, and whether there is more to do."""

    swept: int = 0
    """Events that were let go by a pattern, and were deleted."""
    filled: int = 0
    """Events that were compared with patterns that are new, or have other limits."""
    dropped: int = 0
    """Entries that were deleted from the indexes of removed patterns."""
    damaged: tuple[int, ...] = ()
    """Sequences of records that cannot be read: they are left as they are, and not looked at again."""
    more: bool = False


def configure(tables: Tables, txn: Transaction, wanted: Sequence[Pattern]) -> bool:
    """Make these the configured patterns; return whether anything changed. Costs nothing for each event."""
    state = tables.state(txn)
    present = {(rule.uri, rule.match): rule for rule in tables.rules(txn).present}
    new = {(pattern.uri, pattern.match): pattern for pattern in wanted}
    if {place: rule.pattern for place, rule in present.items()} == new:
        return False
    for place, rule in present.items():
        _reconfigure(tables, txn, rule, new.get(place))
    number = next(tables.patterns.select(txn, reverse=True, limit=1, return_values=False), 0)
    for place, pattern in new.items():
        if place not in present:
            number += 1
            tables.patterns[txn, number] = _rule(number, Phase.FILLING, pattern)
    tables.set_filling(txn, Filling(0, state.last))
    _stamp(tables, txn)
    if not state.last:
        maintain(tables, txn, len(new) + 1)  # there is nothing to compare with them, so they are ready
    return True


def _reconfigure(tables: Tables, txn: Transaction, rule: Rule, pattern: Pattern | None) -> None:
    """Give a pattern its new limits; it is counted anew, as all others that are being filled."""
    if pattern == rule.pattern and not rule.is_filling:
        return
    if pattern is None:
        phase, pattern = Phase.DROPPING, rule.pattern
    else:
        phase = Phase.COUNTING if rule.is_indexed else Phase.FILLING
    new = tables.patterns[txn, rule.number] = _rule(rule.number, phase, pattern)
    if phase == Phase.DROPPING or not (rule.is_counted and new.is_counted):
        forget_total(tables, txn, rule)
    else:
        recount(tables, txn, rule)


def _rule(number: int, phase: Phase, pattern: Pattern) -> Rule:
    limits = pattern.max_age_ns, pattern.max_count, pattern.max_bytes
    return Rule(number, str(phase), pattern.uri, pattern.match, *limits)


def _stamp(tables: Tables, txn: Transaction) -> None:
    tables.set_state(txn, tables.state(txn)._replace(stamp=randbits(64)))


def maintain(tables: Tables, txn: Transaction, limit: int) -> Maintenance:
    """Do a slice: look at about ``limit`` events and entries, those first that are to go."""
    slice_ = _Slice(tables, txn)
    room = limit - slice_.sweep(limit)
    filled = slice_.fill(room) if room > 0 else 0
    room -= filled
    if room > 0:
        room -= slice_.drop(room)
    return slice_.result(more=room <= 0 or filled > 0)  # what was compared may be too much now


class _Slice:
    def __init__(self, tables: Tables, txn: Transaction) -> None:
        self._tables = tables
        self._txn = txn
        self._rules = tables.rules(txn)
        self._ledger = Ledger(tables, txn, tables.filling(txn))
        self._now = tables.clock()
        self._raw = RawKeys(tables)
        self._sent = _Sent(tables, txn)
        self._damaged: list[int] = []
        self._doomed: list[bytes] = []  # raw keys
        self._swept = self._filled = self._dropped = 0

    def result(self, *, more: bool) -> Maintenance:
        return Maintenance(self._swept, self._filled, self._dropped, tuple(self._damaged), more)

    # --- events that are let go

    def sweep(self, limit: int) -> int:
        """Delete events that have had their time, or are too many; return how many entries were looked at."""
        if not self._rules.limits_anything and not self._ledger.filling:
            return 0
        looked = self._sweep_expired(limit)
        for rule in self._rules.present:
            if rule.is_counted and looked < limit:
                looked += self._sweep_below_floor(rule, limit - looked)
        self._ledger.save()
        return looked

    def _sweep_expired(self, limit: int) -> int:
        tables, txn = self._tables, self._txn
        keys = list(tables.by_expiry.select(txn, None, (self._now + 1,), return_values=False, limit=limit, live=False))
        self._sent = _Sent(tables, txn)
        for key in sorted(keys, key=itemgetter(1)):
            event = self._read(key[1])
            if event is not None and self._ledger.filling and not self._has_expired(event):
                self._put(key[1], event)  # it had expired under the limits before these
            elif event is None or event.expires_ns != key[0] or not self._delete(key[1], event):
                self._doomed.append(tables.by_expiry.raw_key(key))
        self._flush()
        return len(keys)

    def _has_expired(self, event: Event) -> bool:
        expires_ns = expiry(self._rules.matching(event.topic), event.time_ns)
        return expires_ns is not None and expires_ns <= self._now

    def _put(self, sequence: int, event: Event) -> None:
        expires_ns = expiry(self._rules.matching(event.topic), event.time_ns)
        self._tables.events[self._txn, sequence] = event.placed(sequence, event.clock_ns, expires_ns)

    def _sweep_below_floor(self, rule: Rule, limit: int) -> int:
        tables, txn = self._tables, self._txn
        begin, end = (rule.number,), (rule.number, total_of(tables, txn, rule).floor)
        keys = list(tables.by_pattern.select(txn, begin, end, return_values=False, limit=limit, live=False))
        self._sent = _Sent(tables, txn)
        for key in keys:
            event = self._read(key[1])
            if event is None or not self._delete(key[1], event):
                self._ledger.strike([rule], key[1])
                self._doomed += self._raw.entries([rule], key[1])
        self._flush()
        return len(keys)

    def _read(self, sequence: int) -> Event | None:
        try:
            return self._tables.events[self._txn, sequence]
        except DecodeError:
            self._damaged.append(sequence)
            return None

    def _delete(self, sequence: int, event: Event) -> bool:
        """Doom an event with all that refers to it; return False for a damaged one, whose indexes are unknown."""
        try:  # `del events[txn, sequence]` would read and decode it a second time
            self._doomed += self._raw.event(sequence, event)
        except (struct.error, DataError):
            self._damaged.append(sequence)
            return False
        matching = self._rules.matching(event.topic)
        if matching:
            self._ledger.strike(matching, sequence)
            self._doomed += self._raw.entries(matching, sequence)
        for name, number in self._sent.of(sequence):
            self._doomed += self._raw.dispatch(sequence, name, number)
        self._swept += 1
        return True

    def _flush(self) -> None:
        """Delete what was found; in the order of the keys, which is that of the pages, it takes less time."""
        self._txn.delete_many(sorted(self._doomed))
        self._doomed.clear()

    # --- new patterns

    def fill(self, limit: int) -> int:
        """Compare the next events with the patterns; return how many there were."""
        tables, txn, ledger = self._tables, self._txn, self._ledger
        filling = ledger.filling
        if filling is None:
            return 0
        begin, end = filling.following, filling.until + 1
        keys = list(tables.events.select(txn, begin, end, return_values=False, limit=limit, live=False))
        for sequence in keys:
            ledger.filling = Filling(sequence + 1, filling.until)
            event = self._read(sequence)
            if event is not None:
                self._fill_in(sequence, event)
        ledger.save()
        self._filled += len(keys)
        if len(keys) < limit:
            self._finish_filling()
        else:
            tables.set_filling(txn, ledger.filling)
        return len(keys)

    def _fill_in(self, sequence: int, event: Event) -> None:
        matching = self._rules.matching(event.topic)
        if event.expires_ns != expiry(matching, event.time_ns):
            self._put(sequence, event)
        self._ledger.enter([rule for rule in matching if rule.is_filling], sequence)

    def _finish_filling(self) -> None:
        tables, txn = self._tables, self._txn
        for rule in self._rules.present:
            if rule.is_filling:
                tables.patterns[txn, rule.number] = replace(rule, phase=str(Phase.READY))
        tables.set_filling(txn, None)
        self._ledger.filling = None
        _stamp(tables, txn)

    # --- removed patterns

    def drop(self, limit: int) -> int:
        """Delete entries of removed patterns; return how many."""
        for rule in self._rules.stored:
            if rule.phase == Phase.DROPPING and self._dropped < limit:
                self._drop(rule, limit - self._dropped)
        return self._dropped

    def _drop(self, rule: Rule, limit: int) -> None:
        tables, txn = self._tables, self._txn
        keys = list(tables.by_pattern.select(txn, prefix=(rule.number,), return_values=False, limit=limit, live=False))
        self._dropped += tables.by_pattern.delete_many(txn, keys)
        if len(keys) < limit:
            del tables.patterns[txn, rule.number]
            _stamp(tables, txn)


class _Sent:
    """The dispatches of events that are asked for in ascending order, found with one look for those that have none."""

    def __init__(self, tables: Tables, txn: Transaction) -> None:
        self._tables = tables
        self._txn = txn
        self._seek(0)

    def of(self, sequence: int) -> Iterable[tuple[str, int]]:
        """Return (name of the subscription, number) of the dispatches of an event."""
        if self._following[0] > sequence:
            return ()
        if self._following[0] < sequence:
            self._step()
        if self._following[0] < sequence:
            self._seek(sequence)
        found = list[tuple[str, int]]()
        while self._following[0] == sequence:
            found.append(self._following[1:])
            self._step()
        return found

    def _seek(self, sequence: int) -> None:
        self._rest = self._tables.sent_by_event.select(self._txn, (sequence,), live=False)
        self._step()

    def _step(self) -> None:
        """Make the next dispatch, as (sequence, name of the subscription, number), the following one."""
        (sequence, name), number = next(self._rest, ((math.inf, ""), 0))
        self._following = sequence, name, number
