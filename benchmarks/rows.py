# SPDX-License-Identifier: MIT
"""The rows of the table: the workloads, and the ratio to raw LMDB that each is to reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """``name`` is also the name of the contestants' method; ``target`` is the least ratio to raw LMDB."""

    name: str
    title: str
    target: float


SYNCHRONOUS: Final = (
    Row("bulk_insert", "bulk insert, one txn, CBOR", 0.19),
    Row("indexed_insert", "the same, 2 indexes", 0.28),
    Row("read_dict", "point read to dict", 0.29),
    Row("read_object", "point read to object", 0.25),
    Row("single_puts", "one txn per put", 0.5),
    Row("scan_keys", "scan keys (timestamp, uuid)", 0.25),
    Row("scan", "scan keys + values", 0.09),
    Row("scan_reverse", "scan reverse", 0.09),
    Row("seek", "seek + limit 10", 0.14),
    Row("lookup", "index look-up e-mail -> object", 0.38),
    Row("count", "count", 0.9),
    Row("truncate", "truncate", 0.75),
    Row("array_put", "NumPy put, 1 MiB", 0.95),
    Row("array_get", "NumPy get, 1 MiB", 0.95),
)

ASYNCHRONOUS: Final = (
    Row("async_read", "read, awaited one by one", 12),
    Row("async_read_100", "read, 100 concurrent", 4),
    Row("async_write", "write, awaited one by one", 0.8),
    Row("async_write_100", "write, 100 concurrent", 5),
    Row("async_durable_100", "durable write, 100 concurrent", 15),
)
