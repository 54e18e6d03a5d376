# SPDX-License-Identifier: MIT
"""Writes of one record with its index records, all or nothing.

Everything that can be refused is refused before the first byte is written, but for a unique key that
another record owns: that is seen when the index record is written, and undone by hand, which costs nothing
where it does not happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from zlmdb.errors import KeyExists, NullViolation, RecordChanged, RecordMissing
from zlmdb.orm.index import Entry, Index
from zlmdb.orm.plan import Plan
from zlmdb.storage import EngineError, Transaction, clear

if TYPE_CHECKING:
    from zlmdb.orm.map import Map

T = TypeVar("T")
Entries = list[Entry | None]
"""The index records of one record, in the order of the table's indexes."""


def entries(table: Map[Any, Any], key: Any, value: Any, limit: int) -> Entries:
    """Return the index records of a record; raise what makes one impossible."""
    found = []
    for index in table._indexes.values():
        entry = index.entry(key, value)
        if entry is not None and len(entry[0]) > limit:
            index.map.check_length(entry[0], limit)
        found.append(entry)
    return found


def _stored_entries(table: Map[Any, Any], raw: bytes, data: bytes) -> Entries:
    key, value = table.key_codec.decode(raw[2:]), table.from_raw(raw, data)
    return [_stored_entry(index, key, value) for index in table._indexes.values()]


def _stored_entry(index: Index, key: Any, value: Any) -> Entry | None:
    try:
        return index.entry(key, value)
    except NullViolation:
        return None  # stored while the index was nullable, or before it existed


def insert(table: Map[Any, Any], txn: Transaction, raw: bytes, data: bytes, new: Entries) -> None:
    """Write a record that must not exist; raise `KeyExists`."""
    try:
        if not txn.store(raw, data, overwrite=False):
            raise KeyExists(
                "there is a record under this key already",
                where=table.title,
                got=table.key_codec.decode(raw[2:]),
                next_step="use m[txn, key] = value to replace it",
            )
        if new:
            _claim_all(table, txn, new, [raw])
    except EngineError as exc:
        raise txn.failed(exc) from exc


def upsert(table: Map[Any, Any], txn: Transaction, raw: bytes, data: bytes, new: Entries) -> None:
    """Write a record, new or not."""
    try:
        if not new:
            txn.store(raw, data)
        elif txn.store(raw, data, overwrite=False):
            _claim_all(table, txn, new, [raw])
        else:
            _update(table, txn, raw, data, new, bytes(txn.fetch(raw)))
    except EngineError as exc:
        raise txn.failed(exc) from exc


def replace(
    table: Map[Any, Any], txn: Transaction, raw: bytes, data: bytes, new: Entries, expected: Sequence[Any]
) -> Any:
    """Write over a record that must exist and, if ``expected`` is not empty, equal its item; return the old value."""
    try:
        stored = txn.fetch(raw)
        if stored is None:
            raise RecordMissing("there is no record to replace", where=table.title, got=table.key_codec.decode(raw[2:]))
        stored = bytes(stored)
        former = table.from_raw(raw, stored)
        if expected and former != expected[0]:
            raise RecordChanged(
                "the record has another value than expected",
                where=table.title,
                got=former,
                expected=repr(expected[0]),
                next_step="read it again and decide anew",
            )
        _update(table, txn, raw, data, new, stored)
    except EngineError as exc:
        raise txn.failed(exc) from exc
    return former


def delete(table: Map[Any, Any], txn: Transaction, raw: bytes) -> bytes | None:
    """Delete a record and its index records; return the bytes it had, None if there was none."""
    try:
        data = txn.fetch(raw)
        if data is None:
            if not txn.write:
                txn.erase(raw)  # refuses
            return None
        data = bytes(data)  # a view would not outlive the first write
        if table._indexes:
            _release_all(table, txn, _stored_entries(table, raw, data), [None] * len(table._indexes))
        txn.erase(raw)
    except EngineError as exc:
        raise txn.failed(exc) from exc
    return data


def _update(table: Map[Any, Any], txn: Transaction, raw: bytes, data: bytes, new: Entries, stored: bytes) -> None:
    if new:
        old = _stored_entries(table, raw, stored)
        _claim_all(table, txn, new, [])
        _release_all(table, txn, old, new)
    txn.store(raw, data)


def _claim_all(table: Map[Any, Any], txn: Transaction, new: Entries, written: list[bytes]) -> None:
    """Write the index records; if one is refused, erase what is ``written`` and put back what was replaced."""
    replaced: list[Entry] = []
    try:
        for index, entry in zip(table._indexes.values(), new, strict=True):
            if entry is None:
                continue
            raw, owner = entry
            if txn.store(raw, owner, overwrite=False):
                written.append(raw)
            elif (stale := index.take_over(txn, entry)) is not None:
                replaced.append((raw, stale))
    except Exception as exc:
        if isinstance(exc, EngineError):
            raise  # the transaction cannot go on
        for raw in written:
            txn.erase(raw)
        for entry in replaced:
            txn.store(*entry)
        raise


def _release_all(table: Map[Any, Any], txn: Transaction, old: Entries, new: Entries) -> None:
    for index, was, is_now in zip(table._indexes.values(), old, new, strict=True):
        if was is not None and was != is_now:
            index.release(txn, was)


def all_or_none(table: Map[Any, Any], txn: Transaction, plans: Sequence[Plan[T]]) -> list[T]:
    """Execute plans of one table as one statement."""
    if len(plans) < 2 or not table._indexes:  # without indexes only the storage can fail, which poisons
        return [plan(txn) for plan in plans]
    with txn.savepoint():
        return [plan(txn) for plan in plans]


def rebuild(table: Map[Any, Any], txn: Transaction, index: Index) -> tuple[int, int]:
    """Clear an index and fill it from the table; a key that two records yield raises `UniqueViolation`."""
    with txn.savepoint():
        deleted = clear(txn, *index.map.bounds(txn, None, None, None))
        inserted = 0
        try:
            for key, value in table.select(txn):
                entry = index.entry(key, value)
                if entry is not None:
                    index.map.check_length(entry[0], txn.max_key_size)
                    inserted += index.claim(txn, entry)
        except EngineError as exc:
            raise txn.failed(exc) from exc
    return deleted, inserted
