# SPDX-License-Identifier: MIT
"""LMDB's errors as ours: classes that derive from both trees, so that programs catching either go on working."""

from __future__ import annotations

import errno
from typing import Any, Final, NoReturn

import lmdb

from zlmdb import errors
from zlmdb.storage.filesystems import free_bytes

# a file-size limit of the process (setrlimit) leaves the same choices as a full disk
_SHORT_WRITE: Final = -30772  # MDB_SHORT_WRITE of LMDB 1.0; 0.9 calls a write cut short EIO
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, _SHORT_WRITE}
_NO_ROOM: Final = 1 << 20
_DAMAGED: Final = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PageFullError, lmdb.CursorFullError)

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


class SamePidError(errors.SamePidError, LockHeld):
    """Another process with this one's id holds the lock."""


class AccessDenied(errors.AccessDenied, lmdb.ReadonlyError):
    """The operating system refused."""

    __str__ = errors.ZlmdbError.__str__


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


class TargetExists(errors.TargetExists, lmdb.Error):
    """Something stands where a copy was to be made."""

    __str__ = errors.ZlmdbError.__str__


class CopyDamaged(errors.CopyDamaged, lmdb.CorruptedError):
    """A copy does not agree with its source."""


def not_running(*_args: Any, **_kwargs: Any) -> NoReturn:
    """Raise `TransactionFinished`: what a transaction does that does not run."""
    raise TransactionFinished(
        "the transaction does not run",
        where="Transaction",
        next_step="use it inside `with db.begin() as txn:`",
    )


def read_only(*_args: Any, **_kwargs: Any) -> NoReturn:
    """Raise `ReadonlyTransaction`: what a read transaction does to be written in."""
    raise ReadonlyTransaction(
        "a write in a read transaction",
        where="Transaction",
        next_step="begin it with db.begin(write=True)",
    )


def is_disk_full(exc: lmdb.Error | OSError, path: str) -> bool:
    """Tell whether the operating system refused a write for want of space (LMDB passes its error number on)."""
    number = getattr(exc, "code", None) or getattr(exc, "errno", None)
    if number == errno.EIO:  # the disk failed, or the write was cut short, as the last one before it is full is
        return free_bytes(path) < _NO_ROOM or _is_file_size_limited()
    return number in _FULL or isinstance(exc, lmdb.DiskError)


def _is_file_size_limited() -> bool:
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


def access_denied(path: str, text: str) -> AccessDenied:
    """Return the error for a file or directory that the operating system does not let this process use."""
    return AccessDenied(
        "the operating system denies access",
        where=path,
        got=text,
        expected="leave to read and write the directory, data.mdb and lock.mdb (readers write lock.mdb too)",
        next_step="change owner or mode; for a database that nobody writes, open it with readonly=True, lock=False",
    )


def from_system(exc: OSError, path: str) -> errors.DatabaseError:
    """Return our error for what the operating system refused at ``path``."""
    if is_disk_full(exc, path):
        return _disk_full(path)
    if exc.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return access_denied(path, str(exc))
    if exc.errno in {errno.ENOTDIR, errno.EISDIR}:
        return NotADatabase("data.mdb is no file, or its place no directory", where=path, got=str(exc))
    return StorageFailure("the operating system reported a failure", where=path, got=str(exc))


def _disk_full(path: str) -> DiskFull:
    return DiskFull(
        "no space left on the device, or a limit on file sizes or a quota is reached",
        where=path,
        next_step="free space on this file system; nothing of the transaction was written",
        path=path,
    )


def no_bytes(got: object, exc: TypeError) -> errors.WrongType:
    """Return the error for what is no raw record."""
    return errors.WrongType(
        f"no raw record: {exc}",
        where="Transaction",
        got=got,
        expected="bytes: two of the slot and those of the application's key; bytes as data",
        next_step="use a map for typed keys and values: m[txn, key]",
    )


def translate(exc: lmdb.Error, path: str, *, used: int, limit: int) -> errors.DatabaseError:
    """Return our error for LMDB's ``exc`` on the environment at ``path``; ``used`` and ``limit`` are bytes."""
    if isinstance(exc, lmdb.MapFullError):
        return MapFull(
            "the database is full: its ceiling is reached",
            where=path,
            got=f"{used} bytes used of {limit} before this transaction",
            next_step="raise the ceiling with db.resize(maxsize), or open it with a larger maxsize (None reserves 1 TiB"
            " of address space), or delete records",
            path=path,
            used=used,
            limit=limit,
        )
    if is_disk_full(exc, path):
        return _disk_full(path)
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
    if isinstance(exc, lmdb.PanicError):
        return StorageFailure(
            "LMDB gave the environment up after an earlier failure", where=path, next_step="close and open it again"
        )
    if isinstance(exc, lmdb.BadValsizeError):
        return StorageFailure(
            "a raw key has a size that LMDB does not take",
            where=path,
            got=str(exc),
            expected="at least a byte, and no more than db.max_key_size",
        )
    if isinstance(exc, _DAMAGED):
        return StorageFailure(
            "the data file is damaged",
            where=path,
            got=str(exc),
            expected="the pages as LMDB wrote them",
            next_step="restore it from a backup; db.check(), or `zlmdb check`, says which tables can still be read",
        )
    return StorageFailure("LMDB reported a failure", where=path, got=str(exc))
