# SPDX-License-Identifier: MIT
"""What the configured patterns keep: counting events and bytes, and telling which events have had their time.

Each pattern with a limit of events or bytes has a *floor*: the first sequence that it still keeps. Events below the
floor are not seen any more, and are deleted later, a slice at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from zlmdb import Transaction
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._patterns import Rule, Rules
from zlmdb_eventhistory._tables import Filling, Tables

_THREE: Final = struct.Struct(">3Q")


class Total(NamedTuple):
    """What a pattern keeps: ``events`` of ``size`` bytes together, from the sequence ``floor`` on."""

    floor: int = 0
    events: int = 0
    size: int = 0


def total_of(tables: Tables, txn: Transaction, rule: Rule) -> Total:
    """Return what a pattern keeps, as it is stored."""
    data = tables.facts[txn, _name(rule.number)]
    return Total() if data is None else Total(*_THREE.unpack(data))


def recount(tables: Tables, txn: Transaction, rule: Rule) -> None:
    """Begin to count what a pattern keeps anew. Its floor stays: what was let go is not seen again."""
    tables.facts[txn, _name(rule.number)] = _THREE.pack(*Total(total_of(tables, txn, rule).floor))


def forget_total(tables: Tables, txn: Transaction, rule: Rule) -> None:
    """Delete what is stored of a pattern that is removed."""
    del tables.facts[txn, _name(rule.number)]


def _name(number: int) -> str:
    return f"kept {number}"


class Ledger:
    """The indexes of the patterns and their totals, as they are changed by one slice of a write transaction.

    ``filling`` says which events are not counted yet by patterns that are being filled.
    """

    def __init__(self, tables: Tables, txn: Transaction, filling: Filling | None) -> None:
        self.filling = filling
        self._tables = tables
        self._txn = txn
        self._totals: dict[int, Total] = {}

    def enter(self, rules: Iterable[Rule], sequence: int) -> None:
        """Enter an event, which is stored already, into the indexes of the patterns that it matches."""
        tables, txn = self._tables, self._txn
        size = len(txn.get(tables.events.raw_key(sequence)) or b"")
        for rule in rules:
            tables.by_pattern[txn, (rule.number, sequence)] = size
            if rule.is_counted:
                self._count(rule, sequence, size)

    def strike(self, rules: Iterable[Rule], sequence: int) -> None:
        """Count an event no more, before its entries in the indexes of these patterns are deleted. To be done once."""
        index = self._tables.by_pattern
        for rule in rules:
            if rule.is_counted:
                size = index[self._txn, (rule.number, sequence)]
                total = self._total(rule)
                if size is not None and sequence >= total.floor and self._is_counted(rule, sequence):
                    self._totals[rule.number] = Total(total.floor, total.events - 1, total.size - size)

    def save(self) -> None:
        """Store the totals."""
        for number, total in self._totals.items():
            self._tables.facts[self._txn, _name(number)] = _THREE.pack(*total)

    def _total(self, rule: Rule) -> Total:
        found = self._totals.get(rule.number)
        if found is None:
            found = self._totals[rule.number] = total_of(self._tables, self._txn, rule)
        return found

    def _count(self, rule: Rule, sequence: int, size: int) -> None:
        floor, count, total = self._total(rule)
        if sequence < floor:
            return
        count += 1
        total += size
        while rule.is_exceeded(count, total):
            oldest = self._oldest(rule, floor)
            if oldest is None:  # then the index has fewer than were counted, which only damage can do
                count = total = 0
                break
            floor, count, total = oldest[0] + 1, count - 1, total - oldest[1]
        self._totals[rule.number] = Total(floor, count, total)

    def _oldest(self, rule: Rule, floor: int) -> tuple[int, int] | None:
        """Return (sequence, size) of the oldest event that is counted."""
        if not self._is_counted(rule, floor):
            assert self.filling is not None
            floor = self.filling.until + 1
        begin, end = (rule.number, floor), (rule.number + 1,)
        for (_, sequence), size in self._tables.by_pattern.select(self._txn, begin, end):
            if self._is_counted(rule, sequence):
                return sequence, size
            return self._oldest(rule, sequence)
        return None

    def _is_counted(self, rule: Rule, sequence: int) -> bool:
        filling = self.filling
        return not rule.is_filling or filling is None or not filling.following <= sequence <= filling.until


class Sight:
    """Tells which events are seen at one time: not those that the patterns have let go, deleted or not."""

    def __init__(self, tables: Tables, txn: Transaction, rules: Rules) -> None:
        self.rules = rules
        self._tables = tables
        self._txn = txn
        self._now = tables.clock() if rules.limits_anything else 0
        self._floors: dict[int, int] = {}

    def shows(self, sequence: int, event: Event) -> bool:
        """Tell whether an event is seen."""
        return not self.rules.limits_anything or not any(
            self._lets_go(rule, sequence, event.time_ns) for rule in self.rules.matching(event.topic)
        )

    def floor(self, rule: Rule) -> int:
        """Return the first sequence that a pattern keeps by its number and bytes."""
        found = self._floors.get(rule.number)
        if found is None:
            total = total_of(self._tables, self._txn, rule) if rule.is_counted else Total()
            found = self._floors[rule.number] = total.floor
        return found

    def earliest(self, rule: Rule) -> int:
        """Return the time of the oldest event that a pattern keeps by its age, at least."""
        return 0 if rule.max_age_ns is None else max(self._now - rule.max_age_ns + 1, 0)

    def _lets_go(self, rule: Rule, sequence: int, time_ns: int) -> bool:
        return time_ns < self.earliest(rule) or sequence < self.floor(rule)
