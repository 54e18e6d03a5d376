# SPDX-License-Identifier: MIT
"""The LMDB environment: open, share and close it, transactions, ranges. The only place that imports ``lmdb``."""

from zlmdb.storage.environment import (
    DEFAULT_LIB_VERSION,
    Environment,
    LibVersion,
    Options,
    engine_version,
    open_environment,
)
from zlmdb.storage.faults import DatabaseClosed, EngineError, KeyTooLong, ReadonlyTransaction, TransactionFinished
from zlmdb.storage.formats import FileFormat, data_file, sniff
from zlmdb.storage.ranges import Chunk, clear, count, end_of_prefix, is_empty, scan
from zlmdb.storage.transaction import Savepoint, Transaction, TransactionStats

__all__ = [
    "DEFAULT_LIB_VERSION",
    "Chunk",
    "DatabaseClosed",
    "EngineError",
    "Environment",
    "FileFormat",
    "KeyTooLong",
    "LibVersion",
    "Options",
    "ReadonlyTransaction",
    "Savepoint",
    "Transaction",
    "TransactionFinished",
    "TransactionStats",
    "clear",
    "count",
    "data_file",
    "end_of_prefix",
    "engine_version",
    "is_empty",
    "open_environment",
    "scan",
    "sniff",
]
