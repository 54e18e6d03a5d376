# SPDX-License-Identifier: MIT
"""Ranges of raw keys: scan them in growing chunks, count them, clear them.

A range is ``low <= key < high`` in LMDB's order (memcmp); ``high`` None means to the end of the file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from zlmdb.storage.faults import EngineError
from zlmdb.storage.pacing import count_chunk
from zlmdb.storage.transaction import Transaction

_FIRST_CHUNK: Final = 16
_LARGEST_CHUNK: Final = 512
_LARGEST_PACED: Final = 64
_COUNTED_CHUNK: Final = 4096
_ROOM: Final = 2048  # bytes of values for each record of a chunk: it ends where they are full, or one passes them

Chunk = tuple[list[bytes], list[Any]]
"""Keys and their values, in scan order; the values are empty where none were asked for."""


def end_of_prefix(prefix: bytes) -> bytes | None:
    """Return the least key greater than all keys that begin with ``prefix``; None if there is no such key."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


def scan(
    txn: Transaction,
    low: bytes,
    high: bytes | None,
    *,
    reverse: bool = False,
    values: bool = True,
    limit: int | None = None,
    live: bool = True,
) -> Iterator[Chunk]:
    """Yield the records of the range in chunks, ascending or descending, at most ``limit`` records.

    In a read transaction chunks grow from 16 to 512 records and end early where their values take more than 2 KiB
    each: so little is read ahead, and a large value only as the last of its chunk. In a write transaction each
    chunk is one record and the next one is sought only when it is asked for, so that records may be changed and
    deleted meanwhile; unless ``live`` is False: then it is read as in a read transaction.
    """
    if limit == 0 or (high is not None and high <= low):
        return iter(())
    if (txn.write and live) or txn.buffers:  # a view must not be kept for later: its transaction may have ended by then
        return _step(txn, low, high, reverse, values, limit)
    return _stride(txn, low, high, reverse, values, limit)


def _seek(cursor: Any, low: bytes, high: bytes | None, reverse: bool) -> bool:
    if not reverse:
        return bool(cursor.set_range(low))
    if high is not None and cursor.set_range(high):
        return bool(cursor.prev())
    return bool(cursor.last())


def _stride(
    txn: Transaction, low: bytes, high: bytes | None, reverse: bool, values: bool, limit: int | None
) -> Iterator[Chunk]:
    size = _FIRST_CHUNK
    try:
        rows = _rows(txn, low, high, reverse, values)
        while True:
            if limit is not None and limit < size:
                size = limit
            keys, datas = _up_to(rows, size) if values else (list(islice(rows, size)), [])
            if not keys:
                return
            inside = len(keys)
            if (keys[-1] < low) if reverse else (high is not None and keys[-1] >= high):
                inside = _inside(keys, low, high, reverse)
                if inside:
                    yield keys[:inside], datas[:inside]
                return
            yield keys, datas
            if txn.pace is not None:
                count_chunk(txn.pace, inside)
            if limit is not None:
                limit -= inside
                if not limit:
                    return
            size = min(size * 2, _LARGEST_CHUNK if txn.pace is None else _LARGEST_PACED)
            if txn.write:  # sought anew: what was read may have been changed
                low, high = (low, keys[-1]) if reverse else (keys[-1] + b"\0", high)
                rows = _rows(txn, low, high, reverse, values)
    except EngineError as exc:
        raise txn.failed(exc) from exc


def _rows(txn: Transaction, low: bytes, high: bytes | None, reverse: bool, values: bool) -> Iterator[Any]:
    cursor = txn.cursor()
    rows: Iterator[Any] = iter(())
    if reverse:
        if _seek(cursor, low, high, reverse):
            rows = cursor.iterprev(True, values)
    elif cursor.set_range(low):
        rows = cursor.iternext(True, values)
    return rows


def _up_to(rows: Iterator[tuple[bytes, bytes]], size: int) -> Chunk:
    """Take ``size`` records, or fewer if their values are large."""
    keys: list[bytes] = []
    datas: list[Any] = []
    add_key, add_data = keys.append, datas.append
    room = size * _ROOM
    for key, data in islice(rows, size):
        add_key(key)
        add_data(data)
        room -= len(data)
        if room <= 0:
            break
    return keys, datas


def _inside(keys: list[bytes], low: bytes, high: bytes | None, reverse: bool) -> int:
    """Count the leading keys that lie in the range, whose far end the last one has passed."""
    if reverse:
        return len(keys) - bisect_left(keys[::-1], low)
    assert high is not None
    return bisect_left(keys, high)


def _step(
    txn: Transaction, low: bytes, high: bytes | None, reverse: bool, values: bool, limit: int | None
) -> Iterator[Chunk]:
    try:
        while limit is None or limit > 0:
            cursor = txn.cursor()  # sought anew each time: the last one may stand on a deleted record
            if not _seek(cursor, low, high, reverse):
                return
            key = bytes(cursor.key())
            if key < low if reverse else (high is not None and key >= high):
                return
            data = [cursor.value()] if values else []
            cursor.close()
            if reverse:
                high = key
            else:
                low = key + b"\0"
            yield [key], data
            if txn.pace is not None:
                count_chunk(txn.pace, 1)
            if limit is not None:
                limit -= 1
    except EngineError as exc:
        raise txn.failed(exc) from exc


def count(txn: Transaction, low: bytes, high: bytes | None) -> int:
    """Count the records of the range by walking a bare cursor over its keys."""
    if high is not None and high <= low:
        return 0
    try:
        cursor = txn.cursor()
        if not cursor.set_range(low):
            return 0
        keys = cursor.iternext(True, False)
        total = 0
        while found := list(islice(keys, _COUNTED_CHUNK)):
            if txn.buffers:
                found = [bytes(key) for key in found]  # views have no order
            if high is not None and found[-1] >= high:
                return total + bisect_left(found, high)
            total += len(found)
            if txn.pace is not None:
                txn.pace.rest()
    except EngineError as exc:
        raise txn.failed(exc) from exc
    return total


def clear(txn: Transaction, low: bytes, high: bytes | None) -> int:
    """Delete the records of the range; return how many there were."""
    if high is not None and high <= low:
        return 0
    if not txn.write:
        txn.erase(low)  # refuses, also where there happens to be nothing to delete
    deleted = 0
    try:
        cursor = txn.cursor()
        # deleting moves to the next record; behind the last one the key is empty
        end = bytes(cursor.key()) if high is not None and cursor.set_range(high) else b""
        cursor.set_range(low)
        delete, pace = cursor.delete, txn.pace
        for _ in iter(cursor.key, end):
            delete()
            deleted += 1
            if pace is not None:
                count_chunk(pace, 1)
    except EngineError as exc:
        raise txn.failed(exc) from exc
    finally:
        txn.count_deleted(low, deleted)
    return deleted


def is_empty(txn: Transaction, low: bytes, high: bytes | None) -> bool:
    """Tell whether the range holds no record."""
    return next(scan(txn, low, high, values=False, limit=1), None) is None
