# SPDX-License-Identifier: MIT
"""The rows of the tables: what is measured, and the target of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """``name`` is also the name of the contestants' method; ``target`` is the least ratio to raw LMDB.

    ``by_hand`` is the ratio that code written by hand had where the target was set: a machine on which Python or
    cbor2 is slower beside LMDB lowers both.
    """

    name: str
    title: str
    target: float
    by_hand: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What is to stay small: ``limit`` is the most that it may be, in ``unit``.

    ``existing`` is what the existing package needed where the limit was set: a machine on which it needs more is
    slower, and raises both.
    """

    name: str
    title: str
    limit: float
    unit: str
    existing: float | None = None


SYNCHRONOUS: Final = (
    Row("bulk_insert", "bulk insert, one txn, CBOR", 0.19, 0.19),
    Row("indexed_insert", "the same, 2 indexes", 0.28, 0.28),
    Row("read_dict", "point read to dict", 0.29, 0.3),
    Row("read_object", "point read to object", 0.25, 0.23),
    Row("single_puts", "one txn per put, sync off", 0.5, 0.54),
    Row("scan_keys", "scan keys (timestamp, uuid)", 0.25, 0.09),
    Row("scan", "scan keys + values", 0.09, 0.06),
    Row("scan_reverse", "scan reverse", 0.09, 0.06),
    Row("seek", "seek + limit 10", 0.14, 0.125),
    Row("lookup", "index look-up e-mail -> object", 0.38, 0.37),
    Row("flat_fields", "two FlatBuffers fields of each record", 0.2, 0.053),
    Row("count", "count 1M records", 0.9),
    Row("truncate", "truncate 100k", 0.75),
    Row("array_put", "NumPy put, 1 MiB", 0.95),
    Row("array_get", "NumPy get, 1 MiB", 0.95),
)

ASYNCHRONOUS: Final = (
    Row("async_read", "read, awaited one by one", 12, 17),
    Row("async_read_100", "read, 100 concurrent", 4, 5.7),
    Row("async_write", "write, awaited one by one", 0.8, 0.8),
    Row("async_write_100", "write, 100 concurrent", 5, 6.5),
    Row("async_durable_100", "durable write, 100 concurrent", 15, 18),
)

COSTS: Final = (
    Cost("import", "import zlmdb", 60, "ms", 130),
    Cost("open", "open a database, attach 60 tables", 20, "ms", 12.9),
    Cost("memory", "memory that scans add", 4, "MiB"),
)

LATENESS: Final = "lateness"
P99: Final = 0.001  # seconds that the event loop may be late, but for one time in a hundred
LATEST: Final = 0.005  # and ever
EVENTS_PER_SECOND: Final = 200_000  # to be written meanwhile
P99_BY_HAND: Final = 0.0005  # seconds that the loop was late under code written by hand where the first limit was set
EVENTS_BY_HAND: Final = 440_000  # that code written by hand wrote in a second where this limit was set
BY_HAND: Final = "lmdb + cbor2 by hand, in a thread"  # the title of that writer
