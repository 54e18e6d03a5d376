# SPDX-License-Identifier: MIT
"""Copy a database: a hot backup in its own format, and a conversion to the other one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any, Final, get_args

import lmdb

from zlmdb.errors import ConfigError, DatabaseError
from zlmdb.storage import faults
from zlmdb.storage.environment import Environment
from zlmdb.storage.formats import data_file
from zlmdb.storage.opening import MAX_KEY_SIZES, LibVersion, Options, checked_path, open_raw
from zlmdb.storage.registry import close_handle, open_for_reading
from zlmdb.storage.staging import refuse_existing, staged
from zlmdb.storage.transaction import Transaction

_SLICE_BYTES: Final = 8 << 20  # of keys and values for each transaction of the target


def backup(environment: Environment, target: str | os.PathLike[str], compact: bool = True) -> int:
    """Copy ``environment`` to the new directory ``target`` while it is in use; return the size of its file in bytes.

    ``compact`` leaves free pages out. The copy is checked page by page, is on disk when this returns, and
    appears under its name only then. Blocks on the disk; any thread. Raises `TargetExists`, `CopyDamaged`,
    `DiskFull`, `AccessDenied`, `ConfigError` for what is no path, and what `staged` raises.
    """
    target = checked_path(target, "backup")
    with staged(target, environment.path) as directory:
        # a transaction of ours, because a resize would move the map under LMDB's own hidden one
        with Transaction(environment) as txn:
            environment.copy(directory, compact, txn._raw)
            entries = txn._raw.stat()["entries"]
        _verify(directory, target)
        if compact:
            _count(directory, entries, environment.lib_version, target)
        return data_file(directory).stat().st_size


def _verify(directory: str, target: str) -> None:
    # py-lmdb's own reader of pages, in Python: nothing in a damaged copy can end the process
    from lmdb.verify import VerifyError, verify

    try:
        problems = tuple(verify(directory))  # type: ignore[no-untyped-call]
    except VerifyError as exc:
        problems = (str(exc),)
    if problems:
        raise _damaged(target, problems)


def _count(directory: str, entries: int, lib_version: LibVersion, target: str) -> None:
    raw = open_raw(directory, Options(readonly=True, lock=False, lib_version=lib_version))
    found = raw.stat()["entries"]
    raw.close()
    if found != entries:
        raise _damaged(target, (f"{found} records instead of {entries}",))


def _damaged(target: str, problems: tuple[str, ...]) -> DatabaseError:
    return faults.CopyDamaged(
        "the copy does not agree with its source, and was removed",
        where=target,
        got=list(problems[:3]),
        next_step="check the disk and the source, then copy again",
        problems=problems,
    )


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    lib_version: LibVersion = "0.9",
    progress: Callable[[int], object] | None = None,
) -> int:
    """Copy the database at ``source`` into a new one at ``target`` in another format; return the number of records.

    ``lib_version`` is "0.9" (read by older tools, keys up to 511 bytes) or "1.0" (keys up to 1978 bytes). The
    records are one snapshot of the source, which is only read and may be in use. They are written in slices of
    about eight MiB (``progress`` is called with the number of records so far), compared with the source, put on
    disk, and only then does the target appear. A run that is killed leaves a directory ``target.partial``,
    which the next one removes. Blocks for the whole copy; any thread.

    Raises `KeyTooLong` before anything is made if a key does not fit, `TargetExists`, `ConfigError`,
    `CopyDamaged`, `DiskFull` and what opening the source raises.
    """
    if lib_version not in get_args(LibVersion):
        raise ConfigError("unknown lib_version", where="convert", got=lib_version, expected='"0.9" or "1.0"')
    source, target = checked_path(source, "convert"), checked_path(target, "convert")
    refuse_existing(target)
    environment = open_for_reading(source)
    try:
        with Transaction(environment) as txn:
            _check_source(environment, txn, MAX_KEY_SIZES[lib_version])
            with staged(target, source) as directory:
                return _fill(txn, directory, target, lib_version, progress)
    finally:
        close_handle(environment)


def _check_source(environment: Environment, txn: Transaction, limit: int) -> None:
    if names := environment.names_of_databases():
        raise faults.NotADatabase(
            "an LMDB file with named databases, not a database of this package",
            where=environment.path,
            got=names,
            next_step="copy it with the tools of the program that wrote it",
        )
    if environment.max_key_size <= limit:
        return
    for key in txn.cursor().iternext(True, False):
        if len(key) > limit:
            slot = int.from_bytes(key[:2], "big")
            raise faults.KeyTooLong(
                f"a key of slot {slot} is too long for the format asked for",
                where=environment.path,
                got=f"{len(key)} bytes, beginning with {key[:16].hex()}",
                expected=f"at most {limit} bytes, the two of the slot included",
                next_step="keep the format, or delete the record",
                slot=slot,
                size=len(key),
                limit=limit,
            )


def _fill(
    txn: Transaction,
    directory: str,
    target: str,
    lib_version: LibVersion,
    progress: Callable[[int], object] | None,
) -> int:
    raw = open_raw(directory, Options(lib_version=lib_version, lock=False, sync=False))
    try:
        done = 0
        for rows in _slices(txn):
            with raw.begin(write=True) as copy:
                copy.cursor().putmulti(rows, append=True)
            done += len(rows)
            if progress is not None:
                progress(done)
        raw.sync(True)
        _compare(txn, raw, target)
    except lmdb.Error as exc:
        if isinstance(exc, DatabaseError):
            raise
        raise faults.translate(exc, target, used=0, limit=0) from exc
    finally:
        raw.close()
    return done


def _slices(txn: Transaction) -> Iterator[list[tuple[bytes, bytes]]]:
    rows, size = [], 0
    for key, data in txn.cursor():
        rows.append((key, data))
        size += len(key) + len(data)
        if size >= _SLICE_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _compare(txn: Transaction, raw: Any, target: str) -> None:
    with raw.begin() as copy:
        for number, (ours, theirs) in enumerate(zip_longest(txn.cursor(), copy.cursor())):
            if ours != theirs:
                raise _damaged(target, (f"record {number} differs",))
