# SPDX-License-Identifier: MIT
"""The LMDB environment of one file: opened once per process, counted, shared by all handles, never across a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import lmdb

from zlmdb.errors import ConfigError, DatabaseError, ForkedError, FormatMismatch, OptionsConflict
from zlmdb.storage import faults
from zlmdb.storage.formats import data_file, sniff

_RESERVE: Final = 1 << 40  # 1 TiB of address space; the file stays as small as its contents
_LEAST_RESERVE: Final = 1 << 30
_WRITEMAP_SIZE: Final = 1 << 30  # with writemap the file has the map's size, so reserving much is no option
_MAX_READERS: Final = 1022
_SPARE_TXNS: Final = 16  # read transactions kept for reuse; one for each thread that reads at the same time
_PATIENCE: Final = 5.0  # seconds that closing and resizing wait for running transactions

LibVersion = Literal["0.9", "1.0"]
DEFAULT_LIB_VERSION: LibVersion = "1.0"
_MAJOR: Final = {"0.9": 0, "1.0": 1}


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

    def __post_init__(self) -> None:
        if self.lib_version is not None and self.lib_version not in _MAJOR:
            raise ConfigError(
                "unknown lib_version", got=self.lib_version, expected='"0.9", "1.0" or None', where="Database"
            )
        if self.maxsize is not None and (type(self.maxsize) is not int or self.maxsize < 8192):
            raise ConfigError(
                "maxsize is not a usable size",
                got=self.maxsize,
                expected="bytes as an int >= 8192, or None",
                where="Database",
            )


class Environment:
    """One LMDB environment, shared by the `Database` handles of this process that name the same file.

    Thread-safe. ``shared`` is room for what upper floors keep once per file.
    """

    def __init__(self, path: str, options: Options) -> None:
        self.path = path
        self.options = options
        self.shared: dict[Hashable, Any] = {}
        self.active: set[Any] = set()
        self.writer: Any = None  # the running write transaction
        self._handles = 1
        self._pid = os.getpid()
        self._ended = threading.Condition()
        self._waiting = False
        self._raw = _open_raw(path, options)
        # kept from now on: the file may be deleted, and another made in its place, while this one is open
        self.key = _file_identity(data_file(path)) or (0, id(self))
        self.begin_raw: Callable[..., Any] = self._raw.begin
        self.max_key_size = self._raw.max_key_size()
        self.lib_version: LibVersion = "1.0" if self._raw.lib_version()[0] >= 1 else "0.9"
        if not options.readonly and options.lock:
            self._raw.reader_check()  # slots of processes that died would keep pages from being reused

    # --- sharing

    def add_handle(self) -> None:
        """Count one more handle."""
        self._handles += 1

    def close_handle(self) -> None:
        """Give back one handle; the last one closes the environment.

        Raises `DatabaseError` if transactions of other threads still run after five seconds.
        """
        with _registry_lock:
            self._handles -= 1
            if self._handles:
                return
            _registry.pop(self.key, None)
        if self._pid != os.getpid():
            return  # the parent's environment: closing it here is not ours to do
        self.begin_raw = self._refuse_closed
        self._wait_for_transactions()
        self._raw.close()

    def _wait_for_transactions(self) -> None:
        me = threading.get_ident()
        for txn in list(self.active):
            if txn.thread == me:
                txn.abandon()
        self._wait_until_idle("close")

    def _wait_until_idle(self, purpose: str) -> None:
        with self._ended:
            self._waiting = True
            idle = self._ended.wait_for(lambda: not self.active, _PATIENCE)
            self._waiting = False
        if not idle:
            raise DatabaseError(
                f"cannot {purpose}: transactions still run",
                where=self.path,
                got=[txn.describe() for txn in list(self.active)],
                next_step="end them first",
            )

    def ended(self, txn: Any) -> None:
        """Take note that ``txn`` ended."""
        self.active.discard(txn)
        if self._waiting:
            with self._ended:
                self._ended.notify_all()

    def _refuse_closed(self, *_args: Any, **_kwargs: Any) -> Any:
        raise faults.DatabaseClosed("the database is closed", where=self.path, next_step="open it again")

    def forked(self) -> None:
        """Make this copy in a forked child unusable, its running transactions too.

        Ending them here, or closing the environment, would free the parent's reader slots and its lock (seen
        in both formats); letting go of the objects does not, as py-lmdb watches for forks.
        """

        def refuse(*_args: Any, **_kwargs: Any) -> Any:
            raise _forked_error(self.path)

        self.begin_raw = refuse
        _kept_from_parent.append(self._raw)
        _kept_from_parent.extend(txn.disown(refuse) for txn in list(self.active))
        self.active.clear()
        self.writer = None

    # --- the engine

    def begin(self, write: bool, buffers: bool, parent: Any = None) -> Any:
        """Begin LMDB's own transaction; errors come out as ours."""
        try:
            return self.begin_raw(write=write, buffers=buffers, parent=parent)
        except lmdb.ReadersFullError:
            if not self._raw.reader_check():
                raise faults.translate(
                    lmdb.ReadersFullError("begin"), self.path, used=0, limit=self._raw.max_readers()
                ) from None
            return self.begin(write, buffers, parent)  # slots of dead processes were cleared
        except lmdb.MapResizedError:
            self.resize(0)  # another process raised the ceiling
            return self.begin(write, buffers, parent)
        except lmdb.Error as exc:
            if isinstance(exc, DatabaseError):
                raise
            raise self.fault(exc) from exc

    def resize(self, maxsize: int) -> None:
        """Set the ceiling to ``maxsize`` bytes; 0 takes over what another process set.

        Only while no transaction runs in this process, because LMDB moves the map: begins wait at a gate
        meanwhile. Raises `DatabaseError` naming the holders if they do not end within five seconds.
        """
        gate = threading.Event()
        begin = self.begin_raw

        def wait_at_gate(*args: Any, **kwargs: Any) -> Any:
            gate.wait()
            return self.begin_raw(*args, **kwargs)

        self.begin_raw = wait_at_gate
        try:
            self._wait_until_idle("resize")
            self._raw.set_mapsize(maxsize)
        finally:
            self.begin_raw = begin
            gate.set()

    def fault(self, exc: lmdb.Error) -> DatabaseError:
        """Return our error for LMDB's ``exc``."""
        try:
            info, page = self._raw.info(), self._raw.stat()["psize"]
        except lmdb.Error:  # closed meanwhile
            return faults.DatabaseClosed("the database is closed", where=self.path, next_step="open it again")
        return faults.translate(exc, self.path, used=(info["last_pgno"] + 1) * page, limit=info["map_size"])

    def stat(self) -> dict[str, Any]:
        """Return LMDB's ``stat`` and ``info`` of the environment in one dictionary (pages and bytes)."""
        return {**self._raw.stat(), **self._raw.info()}

    def sync(self, force: bool = False) -> None:
        """Flush to disk (mdb_env_sync); ``force`` also where ``sync=False`` was chosen. Blocks on the disk."""
        try:
            self._raw.sync(force)
        except lmdb.Error as exc:
            raise self.fault(exc) from exc


def engine_version(lib_version: LibVersion) -> str:
    """Return the version of the LMDB that serves files of this format, such as "1.0.2"."""
    return ".".join(map(str, lmdb.version(lib_version=_MAJOR[lib_version])))


_registry: dict[tuple[int, int], Environment] = {}
_registry_lock = threading.RLock()
_kept_from_parent: list[Any] = []
_forked_keys: set[tuple[int, int]] = set()


def open_environment(path: str, options: Options) -> Environment:
    """Open the environment in directory ``path``, or share the one this process has open already.

    Raises `OptionsConflict` if it is open with other ``readonly``, ``lib_version``, ``sync``, ``writemap`` or
    ``lock``, `DatabaseMissing`, `NotADatabase`, `FormatMismatch` and other `DatabaseError`.
    """
    with _registry_lock:
        key = _file_identity(data_file(path))
        if key in _forked_keys:
            raise _forked_error(path)
        if key is not None and key in _registry:
            return _share(_registry[key], options)
        options = _with_format(path, options)
        environment = Environment(path, options)
        if key is None:
            _sync_directories(path)
        _registry[environment.key] = environment
        return environment


def _share(environment: Environment, options: Options) -> Environment:
    present = environment.options
    for field in fields(Options):
        asked, has = getattr(options, field.name), getattr(present, field.name)
        if field.name in {"maxsize", "create"} or (field.name == "lib_version" and asked is None):
            continue
        if field.name == "lib_version":
            has = environment.lib_version
        if asked != has:
            raise OptionsConflict(
                f"the database is open in this process with another {field.name}",
                where=environment.path,
                got=asked,
                expected=repr(has),
                next_step="use the same options, or close the other handle first",
            )
    wanted = options.maxsize or _RESERVE
    if wanted > environment.stat()["map_size"] and not options.writemap:
        environment.resize(wanted)  # the largest maxsize wins
    environment.add_handle()
    return environment


def _with_format(path: str, options: Options) -> Options:
    found = sniff(path)
    if found is None:
        if options.readonly or not options.create:
            raise faults.DatabaseMissing(
                "there is no database here", where=path, next_step="check the path, or open it with create=True"
            )
        lib_version: str = options.lib_version or DEFAULT_LIB_VERSION
    elif options.lib_version not in {None, found.lib_version}:
        raise FormatMismatch(
            f"the file has the format of LMDB {found.lib_version}",
            where=path,
            got=options.lib_version,
            expected=found.lib_version,
            next_step="leave lib_version out; nothing was converted",
        )
    else:
        lib_version = found.lib_version
    return Options(**{**{f.name: getattr(options, f.name) for f in fields(Options)}, "lib_version": lib_version})


def _sync_directories(path: str) -> None:
    # LMDB syncs the file and never its directory, where the name of a new file would be lost in a power cut
    for directory in (Path(path), Path(path).parent):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _open_raw(path: str, options: Options) -> lmdb.Environment:
    size = options.maxsize or (_WRITEMAP_SIZE if options.writemap else _RESERVE)
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
                max_spare_txns=_SPARE_TXNS,
                lib_version=_MAJOR[options.lib_version or DEFAULT_LIB_VERSION],
            )
        except lmdb.MemoryError as exc:
            if options.maxsize is not None or size <= _LEAST_RESERVE:
                raise faults.translate(exc, path, used=0, limit=size) from exc
            size //= 2  # the system grants less address space to this process
        except FileNotFoundError as exc:
            raise faults.DatabaseMissing(
                "the directory that should hold the database does not exist",
                where=path,
                next_step=f"create {Path(path).parent}, or check the path",
            ) from exc
        except lmdb.Error as exc:
            raise faults.translate(exc, path, used=0, limit=size) from exc


def _file_identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _forked_error(path: str) -> ForkedError:
    return ForkedError(
        "the database was open when this process was forked, and cannot be used in the child",
        where=path,
        next_step="fork before opening it, or start the process anew (multiprocessing: spawn or forkserver)",
    )


def _after_fork_in_child() -> None:
    global _registry_lock
    _registry_lock = threading.RLock()  # another thread of the parent may have held it
    for environment in _registry.values():
        _forked_keys.add(environment.key)
        environment.forked()
    _registry.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
