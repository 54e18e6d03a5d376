# SPDX-License-Identifier: MIT
"""Make a database directory aside, and put it in its place whole: what a killed process leaves is never the target."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zlmdb.errors import DatabaseError
from zlmdb.storage import faults
from zlmdb.storage.formats import data_file
from zlmdb.storage.opening import sync_directory


@contextmanager
def staged(target: str, like: str | None = None) -> Iterator[str]:
    """Give an empty directory beside ``target`` to fill; rename it to ``target`` when all in it is on disk.

    Modes are taken from the database at ``like``, if given. On an exception the directory is removed; one that a
    killed process left is removed first. Raises `TargetExists`, `LockHeld` while another process makes the same
    target, `DatabaseMissing` if the parent directory is missing, `AccessDenied`, `DiskFull`.
    """
    try:
        with _claimed(target) as directory:
            yield str(directory)
            _finish(directory, target, like)
    except OSError as exc:
        if isinstance(exc, DatabaseError):
            raise
        raise faults.from_system(exc, target) from exc


@contextmanager
def _claimed(target: str) -> Iterator[Path]:
    directory = Path(f"{target.rstrip('/')}.partial")
    refuse_existing(target)
    _make(directory)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        _lock(descriptor, target)
        _clear(directory)
        try:
            yield directory
        except BaseException:  # raised again: nothing half-made stays, whatever ended the work
            shutil.rmtree(directory, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def refuse_existing(target: str) -> None:
    """Raise `TargetExists` if anything stands at ``target``."""
    if os.path.lexists(target):
        raise _exists(target)


def _exists(path: str) -> faults.TargetExists:
    return faults.TargetExists(
        "something stands here already", where=path, next_step="choose another path, or remove it first"
    )


def _make(directory: Path) -> None:
    try:
        directory.mkdir(exist_ok=True)
    except FileNotFoundError as exc:
        raise faults.DatabaseMissing(
            "the directory that should hold the copy does not exist",
            where=str(directory.parent),
            next_step="create it, or check the path",
        ) from exc
    except FileExistsError as exc:
        raise _exists(str(directory)) from exc


def _clear(directory: Path) -> None:
    left = list(directory.iterdir())
    if any(path.name != "data.mdb" for path in left):
        raise _exists(str(directory))  # not what a run of ours leaves
    for path in left:
        path.unlink()


def _lock(descriptor: int, target: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise faults.LockHeld(
            "another process is making this copy", where=target, next_step="wait for it, or choose another path"
        ) from exc
    except OSError:
        pass  # a file system, such as NFS, that locks no directories


def _finish(directory: Path, target: str, like: str | None) -> None:
    like = like or str(directory)
    with suppress(PermissionError):  # the source belongs to someone else, whose modes are not ours to give
        shutil.copymode(data_file(like), data_file(directory))
        shutil.copymode(like, directory)
    with data_file(directory).open("rb") as file:
        os.fsync(file.fileno())
    sync_directory(directory)
    refuse_existing(target)
    directory.rename(target)
    sync_directory(Path(target).absolute().parent)
