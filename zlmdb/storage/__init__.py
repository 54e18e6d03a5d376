# SPDX-License-Identifier: MIT
"""The LMDB environment: open, share, close and copy it, transactions, ranges. The only place importing ``lmdb``."""

from zlmdb.storage.environment import Environment, Reader
from zlmdb.storage.faults import DatabaseClosed, EngineError, KeyTooLong, ReadonlyTransaction, TransactionFinished
from zlmdb.storage.formats import FileFormat, data_file, sniff
from zlmdb.storage.holders import RunningTransaction
from zlmdb.storage.named import NamedTable, NamedTransaction, NotOpened, open_named
from zlmdb.storage.opening import (
    DEFAULT_LIB_VERSION,
    LibVersion,
    Options,
    checked_path,
    deleting,
    engine_version,
    temporary_directory,
)
from zlmdb.storage.ranges import Chunk, clear, count, end_of_prefix, is_empty, scan
from zlmdb.storage.registry import close_handle, open_environment
from zlmdb.storage.savepoints import Savepoint
from zlmdb.storage.stats import TableCounts, TransactionStats
from zlmdb.storage.transaction import KEEP, Transaction

__all__ = [
    "DEFAULT_LIB_VERSION",
    "KEEP",
    "Chunk",
    "DatabaseClosed",
    "EngineError",
    "Environment",
    "FileFormat",
    "KeyTooLong",
    "LibVersion",
    "NamedTable",
    "NamedTransaction",
    "NotOpened",
    "Options",
    "Reader",
    "ReadonlyTransaction",
    "RunningTransaction",
    "Savepoint",
    "TableCounts",
    "Transaction",
    "TransactionFinished",
    "TransactionStats",
    "checked_path",
    "clear",
    "close_handle",
    "count",
    "data_file",
    "deleting",
    "end_of_prefix",
    "engine_version",
    "is_empty",
    "open_environment",
    "open_named",
    "scan",
    "sniff",
    "temporary_directory",
]
