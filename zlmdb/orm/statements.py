# SPDX-License-Identifier: MIT
"""Writes of one record with its index records, all or nothing.

Everything that can be refused is refused before the first byte is written, but for a unique key that
another record owns: that is seen when the index record is written, and undone by hand, which costs nothing
where it does not happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

from zlmdb.errors import DataError, DecodeError, KeyExists, NullViolation, RecordChanged, RecordMissing, WrongType
from zlmdb.orm.index import Entry, Index
from zlmdb.orm.plan import Plan
from zlmdb.storage import KEEP, EngineError, Transaction, clear

if TYPE_CHECKING:
    from zlmdb.orm.map import Map

T = TypeVar("T")
Entries = list[Entry | None]
"""The index records of one record, in the order of the table's indexes."""
_UNKNOWN: Final[Entry] = (b"", b"")
"""In the place of what a stored record has in an index, if that cannot be told from the record."""


def entries(table: Map[Any, Any], raw: bytes, key: Any, value: Any, limit: int) -> Entries:
    """Return the index records of a record; raise what makes one impossible."""
    found = []
    for index in table._indexes.values():
        entry = index.entry(raw, key, value)
        if entry is not None and len(entry[0]) > limit:
            index.map.check_length(entry[0], limit)
        found.append(entry)
    return found


def _stored_entries(table: Map[Any, Any], raw: bytes, data: bytes) -> Entries:
    try:
        key, value = table.key_codec.decode(raw[2:]), table.from_raw(raw, data)
    except DecodeError:  # it can be deleted and replaced all the same
        return [_UNKNOWN] * len(table._indexes)
    return [_stored_entry(index, raw, key, value) for index in table._indexes.values()]


def _stored_entry(index: Index, raw: bytes, key: Any, value: Any) -> Entry | None:
    try:
        return index.entry(raw, key, value)
    except NullViolation:
        return None  # stored while the index was nullable, or before it existed
    except Exception:  # noqa: BLE001 - the function may raise anything for a record from before it was written
        return _UNKNOWN


def insert(table: Map[Any, Any], txn: Transaction, raw: bytes, data: bytes, new: Entries) -> None:
    """Write a record that must not exist; raise `KeyExists`."""
    try:
        if not txn.store(raw, data, *KEEP):
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
        elif txn.store(raw, data, *KEEP):
            _claim_all(table, txn, new, [raw])
        else:
            _update(table, txn, raw, data, new, bytes(txn.fetch(raw)))
    except EngineError as exc:
        raise txn.failed(exc) from exc


def replace(
    table: Map[Any, Any], txn: Transaction, raw: bytes, data: bytes, new: Entries, expected: Expected | None
) -> Any:
    """Write over a record that must exist and be the ``expected`` one, if one is; return the old value."""
    try:
        stored = txn.fetch(raw)
        if stored is None:
            raise RecordMissing("there is no record to replace", where=table.title, got=table.key_codec.decode(raw[2:]))
        stored = bytes(stored)
        former = table.from_raw(raw, stored)
        if expected is not None and not expected.matches(stored, former):
            raise RecordChanged(
                "the record has another value than expected",
                where=table.title,
                got=former,
                expected=repr(expected.value),
                next_step="read it again and decide anew",
            )
        _update(table, txn, raw, data, new, stored)
    except EngineError as exc:
        raise txn.failed(exc) from exc
    return former


class Expected:
    """A value that a record is to have, as it is now: what the caller does to it later changes nothing."""

    def __init__(self, table: Map[Any, Any], value: Any) -> None:
        self.value = value
        try:
            self._data: bytes | None = bytes(table.raw_value(value))
            self.value = table.from_raw(b"", self._data)
        except DataError:  # what cannot be stored may be equal all the same, as a subclass that the codec refuses
            self._data = None

    def matches(self, stored: bytes, former: Any) -> bool:
        """Tell whether the ``stored`` bytes, or what they were decoded to, are this value.

        By their bytes are compared what knows no ``==``, NaN, and arrays, whose ``==`` is no answer.
        """
        try:
            return stored == self._data or bool(former == self.value)
        except ValueError:  # NumPy's, of arrays that are not equal
            return False


def delete(
    table: Map[Any, Any], txn: Transaction, raw: bytes, later: list[tuple[Index, bytes]] | None = None
) -> bytes | None:
    """Delete a record and its index records; return the bytes it had, None if there was none.

    An index record that cannot be told from a record that cannot be read is looked for in the whole index; with
    ``later`` that is left to the caller, who has the index and the row put there.
    """
    try:
        data = txn.fetch(raw)
        if data is None:
            if not txn.write:
                txn.erase(raw)  # refuses
            return None
        data = bytes(data)  # a view would not outlive the first write
        if table._indexes:
            _release_all(table, txn, raw, _stored_entries(table, raw, data), [None] * len(table._indexes), later)
        txn.erase(raw)
    except EngineError as exc:
        raise txn.failed(exc) from exc
    return data


def pop(table: Map[Any, Any], txn: Transaction, raw: bytes) -> tuple[Any] | None:
    """Delete a record and return its value; a record that cannot be decoded stays."""
    data = txn.get(raw)
    if data is None:
        delete(table, txn, raw)  # refuses in a read transaction
        return None
    value = table.from_raw(raw, bytes(data))  # a view would not outlive the first write
    delete(table, txn, raw)
    return (value,)


def _update(table: Map[Any, Any], txn: Transaction, raw: bytes, data: bytes, new: Entries, stored: bytes) -> None:
    if new:
        old = _stored_entries(table, raw, stored)
        _claim_all(table, txn, new, [])
        _release_all(table, txn, raw, old, new)
    txn.store(raw, data)


def _claim_all(table: Map[Any, Any], txn: Transaction, new: Entries, written: list[bytes]) -> None:
    """Write the index records; if one is refused, erase what is ``written`` and put back what was replaced."""
    store = txn.store
    for entry in new:
        if entry is not None and not store(entry[0], entry[1], True, False):  # KEEP, without unpacking it
            break
    else:
        return
    del store  # what it raises keeps this frame, and with it LMDB's transaction: see `zlmdb.storage.savepoints.ALONE`
    _claim_one_by_one(table, txn, new, written, entry)


def _claim_one_by_one(
    table: Map[Any, Any], txn: Transaction, new: Entries, written: list[bytes], present: Entry
) -> None:
    """Do what `_claim_all` does from ``present`` on, the first entry that was there already."""
    replaced: list[Entry] = []
    rest = list(zip(table._indexes.values(), new, strict=True))
    while rest and rest[0][1] is not present:
        _, entry = rest.pop(0)
        if entry is not None:
            written.append(entry[0])
    try:
        for index, entry in rest:
            if entry is None:
                continue
            raw, owner = entry
            if entry is not present and txn.store(raw, owner, *KEEP):
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


def _release_all(
    table: Map[Any, Any],
    txn: Transaction,
    row: bytes,
    old: Entries,
    new: Entries,
    later: list[tuple[Index, bytes]] | None = None,
) -> None:
    for index, was, is_now in zip(table._indexes.values(), old, new, strict=True):
        if was is _UNKNOWN and later is not None:
            later.append((index, row))
        elif was is _UNKNOWN:
            for raw in index.owned_by(txn, [row]):
                if is_now is None or raw != is_now[0]:
                    txn.erase(raw)
        elif was is not None and was != is_now:
            index.release(txn, was)


def many(table: Map[Any, Any], txn: Transaction, given: Iterable[T], what: str) -> Iterator[T]:
    """Return an iterator over many ``given`` keys or records; raise `WrongType` for what are none."""
    table.check(txn)
    try:
        if not isinstance(given, (str, bytes)):  # which would be taken to pieces
            return iter(given)
    except TypeError:
        pass
    raise WrongType(f"not many {what}", where=table.title, got=given, expected=f"an iterable of {what}")


def put_many(table: Map[Any, Any], txn: Transaction, items: Iterable[tuple[Any, Any]]) -> int:
    """Write records as one statement; return how many."""
    records = many(table, txn, items, "records (key, value)")
    if txn.environment.options.writemap:
        return len(_planned(txn, [table.plan_put(*_pair(table, item), txn.max_key_size) for item in records]))
    number = 0
    with txn.statement():
        for item in records:
            key, value = item if item.__class__ is tuple and len(item) == 2 else _pair(table, item)
            table[txn, key] = value
            number += 1
    return number


def _pair(table: Map[Any, Any], item: Any) -> tuple[Any, Any]:
    try:
        if not isinstance(item, (str, bytes)):
            key, value = item
            return key, value
    except (TypeError, ValueError):
        pass
    raise WrongType("not a record", where=table.title, got=item, expected="a tuple (key, value)")


def delete_many(table: Map[Any, Any], txn: Transaction, keys: Iterable[Any]) -> int:
    """Delete records as one statement; return how many there were."""
    given = many(table, txn, keys, "keys")
    if txn.environment.options.writemap:
        return sum(_planned(txn, [table.plan_delete(key, txn.max_key_size) for key in given]))
    number, later = 0, list[tuple[Index, bytes]]()
    with txn.statement():
        for key in given:
            number += table._discard(txn, key, later)
        for index in {index for index, _ in later}:
            txn.delete_many(index.owned_by(txn, [row for each, row in later if each is index]))
    return number


def _planned(txn: Transaction, plans: list[Plan[T]]) -> list[T]:
    """Execute writes that were all checked before the first one, where they cannot be undone alone."""
    with txn.statement():
        return [plan(txn) for plan in plans]


def rebuild(table: Map[Any, Any], txn: Transaction, index: Index) -> tuple[int, int]:
    """Clear an index and fill it from the table; a key that two records yield raises `UniqueViolation`."""
    with txn.statement():
        deleted = clear(txn, *index.map.bounds(txn, None, None, None))
        inserted = 0
        try:
            for key, value in table.select(txn, live=False):
                entry = index.entry(table.raw_key(key), key, value)
                if entry is not None:
                    index.map.check_length(entry[0], txn.max_key_size)
                    inserted += index.claim(txn, entry)
        except EngineError as exc:
            raise txn.failed(exc) from exc
    return deleted, inserted
