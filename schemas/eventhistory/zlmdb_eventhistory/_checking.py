# SPDX-License-Identifier: MIT
"""Whether what is kept besides the ordinary indexes agrees with the events."""

from __future__ import annotations

from collections import defaultdict

from zlmdb import Transaction
from zlmdb.errors import DecodeError
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._keeping import Total, total_of
from zlmdb_eventhistory._patterns import Rule
from zlmdb_eventhistory._reading import scan
from zlmdb_eventhistory._tables import END, Filling, Tables


def problems(tables: Tables, txn: Transaction) -> list[str]:
    """Return a line for each disagreement; see `EventHistory.problems`."""
    found: list[str] = []
    filling, rules = tables.filling(txn), tables.rules(txn)
    entries: dict[int, dict[int, int]] = defaultdict(dict)
    for (number, sequence), size in tables.by_pattern.select(txn):
        entries[number][sequence] = size
    unknown = entries.keys() - {rule.number for rule in rules.stored}
    found += [f"pattern {number}: entries of a pattern that is not configured" for number in unknown]
    matching: dict[int, set[int]] = defaultdict(set)
    unreadable: set[int] = set()
    last = 0
    for last, event in scan(tables, txn, 0, END):
        if isinstance(event, Event):
            for rule in rules.matching(event.topic):
                matching[rule.number].add(last)
        else:
            unreadable.add(last)
    if tables.state(txn).last < last:
        found.append(f"the last sequence is {tables.state(txn).last}, and there is an event {last}")
    for rule in rules.present:
        waiting = None if rule.is_indexed else filling
        found += _differences(rule, entries[rule.number], matching[rule.number], waiting, unreadable)
        if rule.is_counted and not rule.is_filling:
            found += _miscounted(rule, entries[rule.number], total_of(tables, txn, rule))
    return found + _orphans(tables, txn)


def _differences(
    rule: Rule, entries: dict[int, int], matching: set[int], waiting: Filling | None, unreadable: set[int]
) -> list[str]:
    stray = sorted(entries.keys() - matching - unreadable)
    missing = [
        sequence
        for sequence in sorted(matching - entries.keys())
        if waiting is None or not waiting.following <= sequence <= waiting.until
    ]
    return [f"pattern {rule.uri!r} ({rule.match}): event {each} has no entry" for each in missing] + [
        f"pattern {rule.uri!r} ({rule.match}): the entry {each} has no event" for each in stray
    ]


def _miscounted(rule: Rule, entries: dict[int, int], total: Total) -> list[str]:
    kept = [size for sequence, size in entries.items() if sequence >= total.floor]
    if (len(kept), sum(kept)) == (total.events, total.size):
        return []
    return [f"pattern {rule.uri!r} ({rule.match}): {total} does not agree with {len(kept)} events, {sum(kept)} bytes"]


def _orphans(tables: Tables, txn: Transaction) -> list[str]:
    def exists(sequence: int) -> bool:
        try:
            return (txn, sequence) in tables.events
        except DecodeError:
            return True

    keys = tables.sent_by_event.select(txn, return_values=False)
    return [
        f"event {sequence} is not there, but its dispatch to {name}" for sequence, name in keys if not exists(sequence)
    ]
