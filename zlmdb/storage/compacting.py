# SPDX-License-Identifier: MIT
"""Compact a database in its place: a compact copy takes the place of the file while nobody else can open it.

Sole use is the exclusive lock on the first byte of ``lock.mdb``, on which LMDB holds a shared one as long as an
environment is open, and for which it waits when opening one. Two things are seen to go wrong when a file is
replaced under that lock, and are prevented here:

- ``lock.mdb`` keeps the number of the last transaction, which for a compact copy begins anew. A process that
  waited and trusts that number would take the wrong meta page for the newest, and find the database empty.
  So the lock file is cut to nothing first and made anew last; if this process is killed in between, those that
  wait fail to open, and the next one makes the lock file.
- Opening and closing ``lock.mdb`` drops the locks that LMDB has on it for the same process. So this is refused
  in a process that has the environment open, and opens nothing by LMDB's locks meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from zlmdb.errors import DatabaseError
from zlmdb.storage import faults, registry
from zlmdb.storage.copying import backup
from zlmdb.storage.formats import data_file
from zlmdb.storage.opening import Options, open_raw, sync_directory, with_format


class Compaction(NamedTuple):
    """The size of the file in bytes, before and after."""

    before: int
    after: int


def compact(path: str, prepare: Callable[[], object] | None = None) -> Compaction:
    """Give the free pages of the database at ``path`` back to the file system.

    ``prepare`` is called first, when nobody else can open the database any more; it may open it with
    ``lock=False``. The file is replaced at once by a copy that was checked and is on disk: a kill at any point
    leaves the old file or the new one. Processes that open the database meanwhile wait. Who has it open with
    ``lock=False`` is not seen, and goes on with the old file; so does another package that waits to open it
    read-only. Blocks on the disk, and keeps other threads of this process from opening databases; any thread.

    Raises `LockHeld` while any process, this one too, has it open, `DatabaseMissing`, `NotADatabase`,
    `AccessDenied`, `DiskFull`, `CopyDamaged`, and what ``prepare`` raises.
    """
    with _sole_use(path) as options:
        data = data_file(path).resolve()  # a link stays one
        before = data.stat()
        if prepare is not None:
            prepare()
        try:
            _replace(data, path, options)
        except OSError as exc:
            if isinstance(exc, DatabaseError):
                raise
            raise faults.from_system(exc, path) from exc
        return Compaction(before.st_size, data.stat().st_size)


def _replace(data: Path, path: str, options: Options) -> None:
    aside = data.with_name("compacting")
    shutil.rmtree(aside, ignore_errors=True)  # what a killed run left
    environment = registry.open_environment(path, options)
    try:
        backup(environment, str(aside), compact=True)
    finally:
        registry.close_handle(environment)
    owner = data.stat()
    os.chown(aside / data.name, owner.st_uid, owner.st_gid)
    (aside / data.name).replace(data)
    sync_directory(data.parent)
    aside.rmdir()


@contextmanager
def _sole_use(path: str) -> Iterator[Options]:
    """Keep everybody else from opening the database; give the options to read it with."""
    options = with_format(path, Options(readonly=True, lock=False))
    with registry._registry_lock:
        if registry._open_here(path) is not None:
            raise _in_use("this process has the database open", path, "close all its handles first")
        descriptor = _lock(path)
        try:
            yield options
        finally:
            try:
                # LMDB makes the lock file anew, because this process has sole use of it; closing gives that up
                open_raw(path, Options(lib_version=options.lib_version)).close()
            finally:
                os.close(descriptor)


def _lock(path: str) -> int:
    owner = data_file(path).stat()
    descriptor = -1
    try:
        descriptor = os.open(Path(path) / "lock.mdb", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, owner.st_mode & 0o777)
        if os.fstat(descriptor).st_uid != owner.st_uid:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        os.ftruncate(descriptor, 0)
    except OSError as exc:
        if descriptor >= 0:
            os.close(descriptor)
        if exc.errno in {errno.EAGAIN, errno.EACCES} and descriptor >= 0:
            remedy = "stop the programs that do (fuser names those that have its lock.mdb open), and start them again"
            raise _in_use("another process has the database open", path, remedy) from exc
        raise faults.from_system(exc, path) from exc
    return descriptor


def _in_use(what: str, path: str, remedy: str) -> faults.LockHeld:
    return faults.LockHeld(what, where=path, expected="that nobody uses it", next_step=remedy)
