# SPDX-License-Identifier: MIT
"""Open LMDB's environment, after a look at what could go wrong: format, room, access, file system, process ids."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, get_args

import lmdb

from zlmdb.errors import ConfigError, DatabaseError, FormatMismatch
from zlmdb.storage import faults
from zlmdb.storage.filesystems import free_bytes, network_mount
from zlmdb.storage.formats import data_file, sniff
from zlmdb.storage.notices import warn

RESERVE: Final = 1 << 40  # 1 TiB of address space; the file stays as small as its contents
_LEAST_RESERVE: Final = 1 << 30
_WRITEMAP_SIZE: Final = 1 << 30  # with writemap the file has the map's size, so reserving much is no option
_MAX_READERS: Final = 1022
_LOCK_FILE_BYTES: Final = 80_000  # its slots, 64 bytes each, with its head and what the directory takes
_SPARE_TXNS: Final = 16  # read transactions kept for reuse; one for each thread that reads at the same time

LibVersion = Literal["0.9", "1.0"]
DEFAULT_LIB_VERSION: LibVersion = "1.0"
MAX_KEY_SIZES: Final[dict[LibVersion, int]] = {"0.9": 511, "1.0": 1978}  # FORMAT.md 1.2
_MAJOR: Final = {"0.9": 0, "1.0": 1}

_warned_of: set[str] = set()  # mount points of network file systems


@dataclass(frozen=True, slots=True)
class Options:
    """How to open an environment. ``maxsize`` is in bytes; None reserves address space and needs no ceiling."""

    maxsize: int | None = None
    readonly: bool = False
    lock: bool = True
    sync: bool = True
    writemap: bool = False
    create: bool = True
    lib_version: LibVersion | None = None
    max_dbs: int = 0  # named databases, see `zlmdb.storage.named`; a database of tables has none

    def __post_init__(self) -> None:
        if self.lib_version is not None and self.lib_version not in get_args(LibVersion):
            raise ConfigError(
                "unknown lib_version", got=self.lib_version, expected='"0.9", "1.0" or None', where="Database"
            )
        for name in ("readonly", "lock", "sync", "writemap", "create"):
            if not isinstance(given := getattr(self, name), (bool, int, NoneType)):
                raise ConfigError(f"{name} is neither true nor false", got=given, expected="a bool", where="Database")
        if self.maxsize is not None and (type(self.maxsize) is not int or self.maxsize < 8192):
            raise ConfigError(
                "maxsize is not a usable size",
                got=self.maxsize,
                expected="bytes as an int >= 8192, or None",
                where="Database",
            )


def checked_path(path: object, where: str) -> str:
    """Return the path as text; raise `ConfigError` for what is none."""
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
    if isinstance(text, str) and text and "\0" not in text:
        return text
    raise ConfigError("not a path", where=where, got=path, expected="a str or a path object, without NUL")


def temporary_directory() -> str:
    """Make a directory for a temporary database."""
    from tempfile import mkdtemp

    return mkdtemp(prefix="zlmdb-")


def deleting() -> Callable[..., None]:
    """Return what deletes a directory; at the interpreter's end it could not be imported any more."""
    from shutil import rmtree  # the archive modules behind it are not worth loading for each import

    return rmtree


def engine_version(lib_version: LibVersion) -> str:
    """Return the version of the LMDB that serves files of this format, such as "1.0.2"."""
    return ".".join(map(str, lmdb.version(lib_version=_MAJOR[lib_version])))


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def with_format(path: str, options: Options) -> Options:
    """Return the options with the format that the file has, or that a new one is to get.

    Raises `DatabaseMissing`, `NotADatabase`, `FormatMismatch`, `AccessDenied`.
    """
    found = sniff(path)
    if found is None:
        if options.readonly or not options.create:
            raise faults.DatabaseMissing(
                "there is no database here", where=path, next_step="check the path, or open it with create=True"
            )
        return replace(options, lib_version=options.lib_version or DEFAULT_LIB_VERSION)
    if options.lib_version not in {None, found.lib_version}:
        raise FormatMismatch(
            f"the file has the format of LMDB {found.lib_version}",
            where=path,
            got=options.lib_version,
            expected=found.lib_version,
            next_step="leave lib_version out, or make a converted copy with zlmdb convert; nothing was converted",
        )
    return replace(options, lib_version="0.9" if found.lib_version == "0.9" else "1.0")


def sync_directory(path: str | Path) -> None:
    """Flush the names in a directory to disk: LMDB syncs its file and never the directory that names it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_raw(path: str, options: Options) -> lmdb.Environment:
    """Open LMDB's environment; all errors come out as ours."""
    size = options.maxsize or (_WRITEMAP_SIZE if options.writemap else RESERVE)
    _check_room(path, size, options)
    if options.maxsize is not None:
        check_address_space(path, size)
    _warn_of_network(path)
    while True:
        try:
            return lmdb.open(
                path,
                map_size=size,
                readonly=options.readonly,
                create=options.create,
                lock=options.lock,
                sync=options.sync,
                writemap=options.writemap,
                max_readers=_MAX_READERS,
                max_dbs=options.max_dbs or 1,  # at least 1, so that LMDB can tell whether a file has named databases
                max_spare_txns=_SPARE_TXNS,
                lib_version=_MAJOR[options.lib_version or DEFAULT_LIB_VERSION],
            )
        except lmdb.MemoryError as exc:
            if options.maxsize is not None or size <= _LEAST_RESERVE:
                raise faults.translate(exc, path, used=0, limit=size) from exc
            size //= 2  # the system grants less address space to this process
        except (lmdb.Error, OSError) as exc:
            raise _cannot_open(exc, path, size) from exc


def _cannot_open(exc: Any, path: str, size: int) -> DatabaseError:
    if isinstance(exc, FileNotFoundError):
        if Path(path).absolute().parent.is_dir():  # a file system that takes no directories, such as /proc
            return faults.access_denied(path, str(exc))
        return faults.DatabaseMissing(
            "the directory that should hold the database does not exist",
            where=path,
            next_step=f"create {Path(path).parent}, or check the path",
        )
    if isinstance(exc, lmdb.LockError) and same_pid_elsewhere(path):
        return faults.SamePidError(
            "a process in another PID namespace, such as that of another container, has this database open and has"
            " the process id of this one; LMDB tells processes apart by that id alone",
            where=path,
            got=os.getpid(),
            expected="ids that differ",
            next_step="let the containers share one PID namespace (docker run --pid, Kubernetes"
            " shareProcessNamespace), start the program under an init, or have one process serve the others",
            pid=os.getpid(),
        )
    number = getattr(exc, "code", None) or getattr(exc, "errno", None)
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return faults.access_denied(path, str(exc))
    if isinstance(exc, OSError):
        return faults.from_system(exc, path)
    return faults.translate(exc, path, used=0, limit=size)


def same_pid_elsewhere(path: str, pid: int | None = None) -> bool:
    """Tell whether another process holds LMDB's mark of a live reader with this process's id (or ``pid``).

    The mark is a lock on the byte of ``lock.mdb`` at the offset of the id. Only for a process that does not
    have the environment open: opening and closing the file drops the locks that the process itself has on it.
    """
    import fcntl

    try:
        with (Path(path) / "lock.mdb").open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, pid or os.getpid())
    except FileNotFoundError:
        return False
    except OSError as exc:
        return exc.errno in {errno.EACCES, errno.EAGAIN}
    return False


def _check_room(path: str, size: int, options: Options) -> None:
    if options.readonly:
        return
    if options.writemap:
        check_room_for_map(path, size)
    if options.lock:
        _check_room_for_lock_file(path)


def check_room_for_map(path: str, size: int) -> None:
    """Raise `DiskFull` unless the file system can hold a map of ``size`` bytes.

    With ``writemap`` a page that the disk has no room for ends the process with SIGBUS at its first use.
    """
    _need(path, size - _allocated(data_file(path)), "writemap=True needs room for the whole map")


def check_address_space(path: str, size: int) -> None:
    """Raise `ConfigError` unless the system grants a map of ``size`` bytes: LMDB gives up its old map first."""
    import mmap

    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0).close()
    except (OSError, OverflowError) as exc:
        raise ConfigError(
            "the system does not grant so much address space", where=path, got=size, expected="a smaller maxsize"
        ) from exc


def _check_room_for_lock_file(path: str) -> None:
    # LMDB writes it through a map too, so that making one on a full disk ends the process with SIGBUS
    if not _allocated(Path(path) / "lock.mdb"):
        _need(path, _LOCK_FILE_BYTES, "there is no room for the lock file")


def _allocated(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def _need(path: str, needed: int, what: str) -> None:
    free = free_bytes(path)
    if free < needed:
        raise faults.DiskFull(
            what,
            where=path,
            got=f"{free} bytes free",
            expected=f"{needed} bytes free",
            next_step="free space on this file system, or give a smaller maxsize",
            path=path,
        )


def _warn_of_network(path: str) -> None:
    found = network_mount(path)
    if found is not None and found[0] not in _warned_of:
        _warned_of.add(found[0])
        warn(
            "%s lies on a network file system (%s at %s): LMDB needs memory maps and locks that such a one does not"
            " give to processes on several machines, and the database may be damaged; keep it on a local disk",
            path,
            found[1],
            found[0],
        )
