# SPDX-License-Identifier: MIT
"""Every published map type does in a database what its name says: the existing zlmdb fails on a third of them.

Each is written, read by key, scanned in both directions, bounded, counted and deleted.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest

import zlmdb
from tests.codec_samples import VALUE_EXAMPLES
from zlmdb.codecs import PUBLISHED_MAPS, KeyCodec, key_codec

PARTS: dict[str, list[Any]] = {
    "Uuid": [UUID(int=0), UUID(int=1), UUID(int=2**128 - 1)],
    "Oid": [0, 1, 256, 2**53],
    "Uint8": [0, 1, 255],
    "Uint16": [0, 1, 256, 65535],
    "Uint64": [0, 1, 256, 2**64 - 1],
    "Slot": [0, 1, 256, 65535],
    "Timestamp": [np.datetime64(ns, "ns") for ns in (0, 1, 256, 1_700_000_000_123_456_789, 2**63 - 1)],
    "String": ["", "a", "aa", "ab", "b", "é"],
    "Bytes16": [bytes(16), b"\0" * 15 + b"\1", b"\xff" * 16],
    "Bytes20": [bytes(20), b"\0" * 19 + b"\1", b"\xff" * 20],
    "Bytes32": [bytes(32), b"\0" * 31 + b"\1", b"\xff" * 32],
}
"""Values of single keys in their order, the extremes among them; the byte order shows in 1 and 256."""

VALUES = {kind: value for kind, value, _ in VALUE_EXAMPLES} | {"FlatBuffers": b"a finished buffer"}


def keys_of(codec: KeyCodec[Any]) -> list[Any]:
    """Return keys of a kind in their order."""
    if not codec.parts:
        return PARTS[codec.name]
    # three values for each part, or two where that would be too many, never only one: each part must tell keys apart
    few = 2 if len(codec.parts) > 3 else 3
    chosen = [[values[0], *values[-few + 1 :]] for values in (PARTS[part.name] for part in codec.parts)]
    return list(itertools.product(*chosen))


def make(name: str, slot: int) -> zlmdb.Map:
    hooks = {"marshal": bytes, "unmarshal": bytes} if name.endswith("FlatBuffers") else {}
    table: zlmdb.Map = getattr(zlmdb, name)(slot, **hooks)
    return table


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def database(request: pytest.FixtureRequest) -> Iterator[zlmdb.Database]:
    with tempfile.TemporaryDirectory() as path, zlmdb.Database(path, sync=False, lib_version=request.param) as db:
        with db.begin(write=True) as txn:
            for slot in (299, 301):  # what a range must not run over into
                zlmdb.MapBytesBytes(slot)[txn, b"\xff" * 40] = b""
        yield db


@pytest.fixture
def filled(database: zlmdb.Database, request: pytest.FixtureRequest) -> tuple[zlmdb.Map, list[tuple[Any, Any]]]:
    """A map of the type asked for, and its records in order."""
    table = make(request.param, 300)
    value = VALUES[PUBLISHED_MAPS[request.param][1]]
    records = [(key, value) for key in keys_of(key_codec(PUBLISHED_MAPS[request.param][0]))]
    with database.begin(write=True) as txn:
        zlmdb.MapBytesBytes(300).truncate(txn)
        for key, stored in records[::-1]:
            table[txn, key] = stored
    return table, records


every_map = pytest.mark.parametrize("filled", PUBLISHED_MAPS, indirect=True)


@every_map
@pytest.mark.parametrize("options", [{}, {"write": True}, {"buffers": True}], ids=["read", "write", "buffers"])
def test_records_are_read_by_key_and_scanned_in_order(database, filled, options: dict) -> None:
    table, records = filled
    keys = [key for key, _ in records]
    with database.begin(**options) as txn:
        assert [table[txn, key] for key in keys] == [value for _, value in records]
        assert all((txn, key) in table for key in keys)
        assert list(table.select(txn)) == records
        assert list(table.select(txn, reverse=True)) == records[::-1]
        assert list(table.select(txn, return_values=False)) == keys
        assert list(table.select(txn, return_keys=False)) == [value for _, value in records]
        assert list(table.select(txn, return_keys=False, return_values=False, limit=2)) == [None, None]
        assert table.count(txn) == len(records)


@every_map
def test_bounds_and_prefixes_mean_what_tuples_mean(database, filled) -> None:
    table, records = filled
    keys = [key for key, _ in records]
    with database.begin() as txn:
        for at, key in enumerate(keys):
            assert list(table.select(txn, from_key=key, return_values=False)) == keys[at:]
            assert list(table.select(txn, to_key=key, return_values=False, reverse=True)) == keys[:at][::-1]
            assert table.count_range(txn, key, keys[-1]) == len(keys) - 1 - at
            for parts in range(len(table.key_codec.parts)):
                prefix = key[:parts]
                assert table.count(txn, prefix) == sum(other[:parts] == prefix for other in keys)


@every_map
def test_a_record_is_replaced_and_deleted_alone(database, filled) -> None:
    table, records = filled
    with database.begin(write=True) as txn:
        for at, (key, value) in enumerate(records):
            table[txn, key] = value
            assert table.count(txn) == len(records) - at
            assert table.pop((txn, key)) == value
            assert table[txn, key] is None if not isinstance(table, zlmdb.SetMap) else not table[txn, key]
        fresh = table.new_key()
        table[txn, fresh] = value
        assert list(table.select(txn)) == [(fresh, value)]
        assert table.truncate(txn) in {1, len(value) if isinstance(value, set) else 1}
    with database.begin() as txn:
        assert zlmdb.MapBytesBytes(299).count(txn) == zlmdb.MapBytesBytes(301).count(txn) == 1
