# SPDX-License-Identifier: MIT
"""`Database`: a handle on one database file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar, cast
from weakref import WeakValueDictionary

from zlmdb.errors import ConfigError, TableDeclaration, WrongType
from zlmdb.orm.attaching import Attaching
from zlmdb.orm.map import Map
from zlmdb.orm.published import DatabaseNames
from zlmdb.orm.running import run
from zlmdb.orm.schema import S, check_attach
from zlmdb.storage import (
    DatabaseClosed,
    Environment,
    LibVersion,
    Options,
    Reader,
    ReadonlyTransaction,
    RunningTransaction,
    Transaction,
    TransactionStats,
    checked_path,
    close_handle,
    deleting,
    engine_version,
    open_environment,
    temporary_directory,
)

if TYPE_CHECKING:
    from zlmdb.orm.check import Report
    from zlmdb.orm.retired import OldLayoutSlot

T = TypeVar("T", bound=Map[Any, Any])
R = TypeVar("R")


class Database(DatabaseNames):
    """A handle on the database in the directory ``dbpath``; handles of one process share one environment.

    ``dbpath`` None (or "") makes a temporary database that goes away at closing. ``maxsize`` is a ceiling in bytes
    (`MapFull` beyond it; use over 80 and 90 % is logged once each); None reserves address space (the file stays
    as small as its contents). ``sync=False`` and ``writemap=True`` are unsafe in a power cut, and ``writemap``
    needs room on the disk for the whole map. ``lib_version`` is the format of a new file: "1.0" (default,
    keys up to 1978 bytes) or "0.9" (readable by older tools, keys up to 511 bytes). ``context`` is any object,
    shown in `config`; ``log`` is kept for programs that pass one, and not used. ``upgrade`` says what attaching
    a table does that another program wrote in an old layout: "auto" copies it to the new one (see
    `zlmdb.orm.upgrading`), "refuse" raises `UpgradeNeeded`.

    Thread-safe: each thread begins its own transactions. Raises `DatabaseMissing`, `NotADatabase`,
    `FormatMismatch`, `OptionsConflict`, `AccessDenied`, `DiskFull`, `SamePidError` and other `DatabaseError`
    when opening.
    """

    def __init__(
        self,
        dbpath: str | os.PathLike[str] | None = None,
        maxsize: int | None = None,
        readonly: bool = False,
        lock: bool = True,
        sync: bool = True,
        create: bool = True,
        open_now: bool = True,
        writemap: bool = False,
        context: Any = None,
        log: Any = None,
        lib_version: LibVersion | None = None,
        upgrade: Literal["auto", "refuse"] = "auto",
    ) -> None:
        if upgrade not in ("auto", "refuse"):
            raise ConfigError("no way to upgrade", where="Database", got=upgrade, expected="'auto' or 'refuse'")
        self.upgrade = upgrade
        self._environment: Environment | None = None
        self._options = Options(maxsize, readonly, lock, sync, writemap, create, lib_version)
        self._is_temp = dbpath is None or (isinstance(dbpath, str) and not dbpath)
        self._path = checked_path(temporary_directory() if self._is_temp else dbpath, "Database")
        self._delete = deleting() if self._is_temp else None  # now: at the interpreter's end nothing can be imported
        self._context = context
        self._log = log
        self._open_now = open_now
        self._attached: WeakValueDictionary[int, Map[Any, Any]] = WeakValueDictionary()
        if open_now:
            self._open()

    @staticmethod
    def open(*args: Any, **kwargs: Any) -> Database:
        """Return a new open handle; arguments as for the class."""
        return Database(*args, **kwargs)

    # --- life

    def _open(self) -> None:
        if self._environment is None:
            self._environment = open_environment(self._path, self._options)

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the handle back; the last one of this process closes the file. Closing twice is fine."""
        environment = self._environment
        if environment is not None:
            close_handle(environment)
            self._environment = None
            if self._delete is not None:
                self._delete(self._path, ignore_errors=True)

    def __del__(self) -> None:
        if getattr(self, "_environment", None) is not None:
            warnings.warn(f"unclosed database {self._path}", ResourceWarning, stacklevel=2, source=self)
            self.close()

    def __reduce__(self) -> NoReturn:
        raise WrongType(
            "a handle cannot be copied or pickled",
            where="Database",
            got=self,
            next_step="open the database again where it is needed: handles of one process share its environment",
        )

    def __repr__(self) -> str:
        return f"<Database {self._path} {'open' if self.is_open else 'closed'}>"

    @property
    def environment(self) -> Environment:
        """The environment; raises `DatabaseClosed`."""
        if self._environment is None:
            raise DatabaseClosed("the database is closed", where=self._path, next_step="open it again")
        return self._environment

    @staticmethod
    def scratch(dbpath: str | os.PathLike[str]) -> None:
        """Delete the database directory, or file, if there is one. Raises `ConfigError` for what is no path."""
        path = Path(checked_path(dbpath, "scratch"))
        if path.is_dir() and not path.is_symlink():
            deleting()(path)
        else:
            path.unlink(missing_ok=True)

    # --- transactions

    def begin(self, write: bool = False, buffers: bool = False, stats: TransactionStats | None = None) -> Transaction:
        """Return a transaction for ``with``.

        ``buffers``: values come as views that are valid inside the transaction only. ``stats`` counts what is
        written. A write transaction waits for the one that runs, in whichever thread or process. Raises
        `DatabaseClosed`, `ReadonlyTransaction` on a database opened read-only and, when entered, `NestedWrite`,
        and `LockHeld` if the thread of the one that runs has ended without leaving it.
        """
        environment = self._environment or self.environment
        if stats is not None and not isinstance(stats, TransactionStats):
            raise ConfigError("no counts", where="begin", got=stats, expected="a TransactionStats, or None")
        if write and environment.options.readonly:
            raise ReadonlyTransaction(
                "the database was opened read-only", where=self._path, next_step="open it with readonly=False"
            )
        return Transaction(environment, write, buffers, stats, self)

    def run(
        self, fn: Callable[..., R], /, *args: Any, write: bool = False, buffers: bool = False, retries: int = 3
    ) -> R:
        """Return ``fn(txn, *args)``, run whole in one transaction; an exception that leaves it rolls it back.

        ``fn`` must be re-runnable: where another try can help (no reader slot or lock to be had, the growth by
        another process could not be taken over yet) it is run again from its beginning in a new transaction,
        up to ``retries`` times, after pauses of 10, 20, 40 … ms on the calling thread. Raises `WrongType` for
        coroutine and generator functions, `ConfigError` for ``retries``, and what `begin` and ``fn`` raise.
        """
        return run(lambda: self.begin(write, buffers), fn, args, retries)

    def transactions(self) -> list[RunningTransaction]:
        """Return the running transactions of this process, of all handles on this file, oldest first."""
        return self.environment.transactions()

    @property
    def long_transaction(self) -> float:
        """The age in seconds (30) above which a transaction is logged as running for long, for all handles."""
        return self.environment.long_transaction

    @long_transaction.setter
    def long_transaction(self, seconds: float) -> None:
        if type(seconds) not in (int, float) or not seconds >= 0:
            raise ConfigError("not an age", where="long_transaction", got=seconds, expected="a number of seconds >= 0")
        self.environment.long_transaction = seconds

    def sync(self, force: bool = False) -> None:
        """Flush to disk; ``force`` also on a database opened with ``sync=False``. Blocks on the disk."""
        self.environment.sync(force)

    # --- the file

    def resize(self, maxsize: int | None, timeout: float = 5.0) -> None:
        """Set the ceiling to ``maxsize`` bytes (None: 1 TiB of address space) for all handles on this file.

        Only while no transaction runs in this process; new ones wait meanwhile. Raises `TransactionsRunning`
        naming the holders, at once if this thread runs one, after ``timeout`` seconds for those of others;
        `ConfigError` for a size smaller than the file's contents; `DiskFull` with ``writemap``.
        """
        options = replace(self._options, maxsize=maxsize)
        self.environment.set_size(maxsize, timeout)
        self._options = options

    def check(self, *maps_or_schemas: Any, repair: bool = False, limit: int = 1000) -> Report:
        """Check the catalogue, and the records and indexes of the attached maps or schemas given, or of all; blocks.

        ``repair`` makes indexes agree with their tables, all or nothing. See `zlmdb.orm.check.check`.
        """
        from zlmdb.orm.check import check  # seldom needed, so not loaded with the rest

        return check(self, *maps_or_schemas, repair=repair, limit=limit)

    def backup(self, path: str | os.PathLike[str], compact: bool = True) -> int:
        """Copy the database to the new directory ``path`` while it is in use; return the copy's bytes.

        ``compact`` leaves free pages out. The copy is made aside, checked page by page, flushed to disk and
        only then renamed to ``path``. Blocks on the disk. Raises `TargetExists`, `CopyDamaged`, `DiskFull`,
        `AccessDenied`, `DatabaseMissing` if the parent directory is missing, `LockHeld` while another process
        makes the same copy, `ConfigError` for what is no path.
        """
        from zlmdb.storage.copying import backup  # seldom needed, so not loaded with the rest

        return backup(self.environment, path, compact)

    def readers(self) -> list[Reader]:
        """Return the reader slots of all processes as (pid, thread, txnid or None)."""
        return self.environment.readers()

    def clear_dead_readers(self) -> int:
        """Clear the reader slots of processes that are gone; return how many there were.

        Opening does it too, and a read transaction that finds no free slot.
        """
        return self.environment.clear_dead_readers()

    # --- tables

    def attach_table(self, klass: type[T]) -> T:
        """Return a new map bound to the slot that the file's catalogue has for the table, made if there is none.

        ``klass`` is a map class declared with ``@table``. Inside a write transaction of this thread the slot
        is allocated in that transaction and given back when it rolls back; otherwise in one of its own.
        A table in an old layout is upgraded first, which blocks as long as it takes (about 5 µs for each record).
        Raises `TableDeclaration`, `SlotConflict` if the slot holds another kind, `UpgradeNeeded`, `SchemaError`
        for a missing table on a read-only database.
        """
        map_ = Attaching(self).table(klass)
        self._attached[id(map_)] = map_
        return map_

    def attached_maps(self) -> list[Map[Any, Any]]:
        """Return the maps that were attached through this handle and are still in use, by slot."""
        attached = [reference() for reference in self._attached.valuerefs()]
        in_use = [map_ for map_ in attached if map_ is not None and map_.is_attached]
        return sorted(in_use, key=lambda map_: map_.slot or 0)

    def attach(self, schema: type[S]) -> S:
        """Attach a schema, or any class or object with ``attach(db)``, and return it attached."""
        if not callable(getattr(schema, "attach", None)):
            raise TableDeclaration("not a schema", where="attach", got=schema, expected="a Schema class")
        attach: Any = schema.attach  # on a class and on an instance alike it takes the database alone
        check_attach(attach)
        return cast("S", attach(self))

    def register_maps(self, schema: Any) -> None:
        """Enter the maps that ``schema`` holds without a table of their own into the catalogue, and bind them.

        An index that is empty while its table is not is logged: it was attached to a table that had records.
        """
        for name, map_ in schema.maps().items():
            Attaching(self).held(map_, f"{type(schema).__module__}.{type(schema).__qualname__}.{name}")
            self._attached[id(map_)] = map_
        Attaching(self).warn_of_unfilled(schema.maps().values())

    def drop_old_layouts(self, force: bool = False) -> list[OldLayoutSlot]:
        """Delete what upgraded tables have left behind; return what it was. See `zlmdb.orm.retired`."""
        from zlmdb.orm.retired import drop_old_layouts  # seldom needed, so not loaded with the rest

        return drop_old_layouts(self, force)

    # --- facts

    @property
    def dbpath(self) -> str:
        """The directory."""
        return self._path

    path = dbpath

    @property
    def is_open(self) -> bool:
        """Whether this handle is open."""
        return self._environment is not None

    @property
    def context(self) -> Any:
        """The object given as ``context``."""
        return self._context

    @property
    def maxsize(self) -> int | None:
        """The ceiling asked for, in bytes; None for none."""
        return self._options.maxsize

    @property
    def is_readonly(self) -> bool:
        """Whether it was opened read-only."""
        return self._options.readonly

    @property
    def is_sync(self) -> bool:
        """Whether commits wait for the disk."""
        return self._options.sync

    @property
    def is_writemap(self) -> bool:
        """Whether LMDB writes through the map."""
        return self._options.writemap

    @property
    def lib_version(self) -> LibVersion | None:
        """The format of the file, "0.9" or "1.0"; before it is opened, the one asked for."""
        return self._environment.lib_version if self._environment else self._options.lib_version

    @property
    def max_key_size(self) -> int:
        """The longest raw key in bytes, the two of the slot included."""
        return self.environment.max_key_size

    def config(self) -> dict[str, Any]:
        """Return how the database was opened."""
        options = self._options
        return {
            "is_temp": self._is_temp,
            "dbpath": self._path,
            "maxsize": options.maxsize,
            "readonly": options.readonly,
            "lock": options.lock,
            "sync": options.sync,
            "create": options.create,
            "open_now": self._open_now,
            "writemap": options.writemap,
            "context": None if self._context is None else str(self._context),
        }

    def stats(self, include_slots: bool = False) -> dict[str, Any]:
        """Return sizes of the open file (bytes, pages), the options that matter and LMDB's own figures.

        ``include_slots`` adds a list of the tables with their numbers of records, which walks all of them.
        """
        environment = self.environment
        engine = environment.stat()
        pages = engine["leaf_pages"] + engine["branch_pages"] + engine["overflow_pages"]
        attaching = Attaching(self)
        slots = attaching.slots()
        found = {
            "num_slots": len(slots),
            "current_size": environment.file_size(),
            "max_size": engine["map_size"],
            "page_size": engine["psize"],
            "pages": pages,
            "used": pages * engine["psize"],
            "free": 1.0 - pages * engine["psize"] / engine["map_size"],
            "read_only": environment.options.readonly,
            "sync_enabled": environment.options.sync,
            "lib_version": environment.lib_version,
            "lmdb_version": engine_version(environment.lib_version),
            **engine,
        }
        if include_slots:
            found["slots"] = [
                {
                    "oid": str(slot.oid),
                    "slot": slot.slot,
                    "name": slot.name,
                    "description": slot.description,
                    "records": attaching.records(slot),
                }
                for slot in slots
            ]
        return found
