# SPDX-License-Identifier: MIT
"""LMDB's errors as ours: classes that derive from both trees, so that programs catching either go on working."""

from __future__ import annotations

import errno

import lmdb

from zlmdb import errors

EngineError = lmdb.Error
"""What LMDB raises. Floors above name it from here, because only this floor imports lmdb."""


class MapFull(errors.MapFull, lmdb.MapFullError):
    """The ceiling of the size is reached."""


class DiskFull(errors.DiskFull, lmdb.DiskError):
    """No space left on the device."""


class ReadersFull(errors.ReadersFull, lmdb.ReadersFullError):
    """All reader slots are taken."""


class LockHeld(errors.LockHeld, lmdb.LockError):
    """The lock could not be had."""


class StorageFailure(errors.StorageFailure, lmdb.Error):
    """Any other failure that LMDB reports."""


class NotADatabase(errors.NotADatabase, lmdb.InvalidError):
    """No LMDB data file, or a damaged one."""


class DatabaseClosed(errors.DatabaseClosed, lmdb.Error):
    """The environment is closed."""


class NestedWrite(errors.NestedWrite, lmdb.Error):
    """A second write transaction on one thread."""


class ReadonlyTransaction(errors.ReadonlyTransaction, lmdb.ReadonlyError):
    """A write in a read transaction."""


class TransactionFinished(errors.TransactionFinished, lmdb.Error):
    """A transaction that does not run."""


class TransactionPoisoned(errors.TransactionPoisoned, lmdb.BadTxnError):
    """A transaction that a storage failure made unusable."""


class KeyTooLong(errors.KeyTooLong, lmdb.BadValsizeError):
    """A key over the limit of the file's format."""


class DatabaseMissing(errors.DatabaseMissing, lmdb.Error):
    """No database at this path."""

    __str__ = errors.ZlmdbError.__str__


def is_disk_full(exc: lmdb.Error) -> bool:
    """Tell whether the operating system refused a write for want of space (LMDB passes its error number on)."""
    return getattr(exc, "code", 0) in {errno.ENOSPC, errno.EDQUOT} or isinstance(exc, lmdb.DiskError)


def translate(exc: lmdb.Error, path: str, *, used: int, limit: int) -> errors.DatabaseError:
    """Return our error for LMDB's ``exc`` on the environment at ``path``; ``used`` and ``limit`` are bytes."""
    if isinstance(exc, lmdb.MapFullError):
        return MapFull(
            "the database is full: its ceiling is reached",
            where=path,
            got=f"{used} bytes used of {limit}",
            next_step="open it with a larger maxsize (None reserves 1 TiB of address space), or delete records",
            path=path,
            used=used,
            limit=limit,
        )
    if is_disk_full(exc):
        return DiskFull(
            "no space left on the device",
            where=path,
            next_step="free space on this file system; nothing of the transaction was written",
            path=path,
        )
    if isinstance(exc, lmdb.ReadersFullError):
        return ReadersFull(
            "all reader slots are taken",
            where=path,
            next_step="end read transactions sooner, or clear the slots of dead processes",
            limit=limit,
        )
    if isinstance(exc, lmdb.BadTxnError):
        return TransactionPoisoned(
            "the transaction cannot go on after a storage failure",
            where=path,
            next_step="leave it (it rolls back) and begin anew",
        )
    if isinstance(exc, lmdb.ReadonlyError):
        return ReadonlyTransaction(
            "a write in a read transaction", where=path, next_step="begin it with db.begin(write=True)"
        )
    if isinstance(exc, lmdb.LockError):
        return LockHeld("LMDB's lock could not be had", where=path, got=str(exc))
    if isinstance(exc, lmdb.InvalidError):
        return NotADatabase("not an LMDB data file, or a damaged one", where=path, got=str(exc))
    return StorageFailure("LMDB reported a failure", where=path, got=str(exc))
