# SPDX-License-Identifier: MIT
"""LMDB environments with named databases: another kind of file than a database of tables, which has none of these."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Final, Self

import lmdb

from zlmdb.errors import ConfigError, FormatMismatch, OptionsConflict, WrongValue
from zlmdb.storage import faults
from zlmdb.storage.environment import Environment
from zlmdb.storage.opening import Options
from zlmdb.storage.transaction import Transaction

_RECORD: Final = 48  # bytes of a named database's record in the main one (struct MDB_db of LMDB, both formats)
_LOOKED_AT: Final = 256  # records
_LOOKED_AT_BYTES: Final = 1 << 20


class NotOpened(BaseException):
    """A read transaction meets a database without a handle: `open_named`, then read again in a new one.

    No `Exception`, so that the function that reads does not take it for one of its own.
    """

    def __init__(self, name: bytes) -> None:
        super().__init__(name)
        self.name = name


class Handles:
    """The handles of an environment's named databases: opened once each, and kept. Thread-safe.

    They are opened inside write transactions, of which there is one at a time, because LMDB forbids it in
    concurrent ones (documentation of mdb_dbi_open). A transaction knows those published before it began.
    """

    def __init__(self) -> None:
        self.published: Mapping[bytes, Any] = {}  # replaced by each change
        self.lock = threading.Lock()

    def publish(self, name: bytes, handle: Any) -> None:
        """Let transactions that begin from now on use a handle."""
        with self.lock:
            self.published = {**self.published, name: handle}


def _handles(environment: Environment) -> Handles:
    handles: Handles = environment.shared.setdefault("handles", Handles())
    return handles


class NamedTransaction(Transaction):
    """A transaction over the named databases of an environment; what it reads are views, valid inside it only."""

    __slots__ = ("_fresh", "_known", "_names")

    def __init__(self, environment: Environment, write: bool = False, handle: object = None) -> None:
        super().__init__(environment, write, buffers=True, handle=handle)

    def __enter__(self) -> Self:
        # what is published before LMDB's transaction begins can be used in it, and what is published later cannot
        self._known = _handles(self.environment).published
        self._fresh: dict[bytes, Any] = {}
        self._names: frozenset[bytes] | None = None
        return super().__enter__()

    def find(self, name: bytes, *, create: bool = False) -> Any:
        """Return LMDB's handle of a database, made if ``create``; None if there is none.

        Raises:
            ConfigError: more databases are open than the environment was opened for.
            FormatMismatch: the database has flags under which bytes are not its only order, or the name is a record's.
            NotOpened: in a read transaction, see there.
        """
        found = self._known.get(name)
        if found is None:
            found = self._fresh.get(name)
        if found is None and (create or self._exists(name)):
            if not self.write:
                raise NotOpened(name)
            found = self._fresh[name] = open_raw(self.environment, name, self._running, create)
            self.on_abort(partial(self._fresh.pop, name))
            self.on_commit(partial(_handles(self.environment).publish, name, found))
        return found

    def holds_database(self, key: bytes, data: Any) -> bool:
        """Tell whether a record of the main database is that of a named one."""
        if len(data) != _RECORD:
            return False
        if self._names is None:
            names = self.environment.names_of_databases()
            self._names = frozenset(_record_key(self.environment, name) for name in names)
        return key in self._names or any(key == _record_key(self.environment, name) for name in self._fresh)

    def _exists(self, name: bytes) -> bool:
        data = self._running.get(_record_key(self.environment, name))
        return data is not None and len(data) == _RECORD

    @property
    def _running(self) -> Any:
        return self._raw or faults.not_running()


def _record_key(environment: Environment, name: bytes) -> bytes:
    return name if environment.lib_version == "0.9" else name + b"\0"  # seen in files of both


def open_raw(environment: Environment, name: bytes, raw: Any, create: bool) -> Any:
    """Return LMDB's handle of a database, opened in its transaction ``raw``; None for one of its own."""
    try:
        handle = environment._raw.open_db(name, txn=raw, create=create)
    except lmdb.DbsFullError as exc:
        limit = environment.options.max_dbs
        raise ConfigError(
            "there are more named databases than the environment was opened for",
            where=environment.path,
            got=name,
            expected=f"at most {limit}",
            next_step=f"open it with max_dbs={limit * 2} or more",
        ) from exc
    except lmdb.IncompatibleError as exc:
        raise FormatMismatch(
            "the name is the key of an ordinary record", where=environment.path, got=name, expected="a named database"
        ) from exc
    except lmdb.Error as exc:
        raise environment.fault(exc) from exc
    _check_flags(environment, name, handle, raw)
    return handle


def _check_flags(environment: Environment, name: bytes, handle: Any, raw: Any) -> None:
    flags = handle.flags(raw) if raw is not None else handle.flags()
    if found := [flag for flag, is_set in flags.items() if is_set]:
        raise FormatMismatch(
            "the named database has flags under which it is used in another way",
            where=environment.path,
            got=f"{name!r} with {', '.join(found)}",
            expected="one without flags: a value for each key, keys in the order of their bytes",
            next_step="use it with the lmdb package",
        )


def open_named(environment: Environment, name: bytes) -> None:
    """Open a database that is there, for transactions that begin later; waits for the write lock."""
    if not environment.options.readonly:
        with NamedTransaction(environment, write=True) as txn:
            txn.find(name)
        return
    handles = _handles(environment)
    with handles.lock:  # there are no write transactions that would do
        if name in handles.published:
            return
        found = open_raw(environment, name, None, create=False)
    handles.publish(name, found)


class NamedTable:
    """One named database (``name`` None for the main one) in a running transaction, in bytes.

    Records of the main database that stand for named ones are not seen. Methods raise `WrongValue` for an empty
    key, `ReadonlyTransaction`, what `NamedTransaction.find` raises, and `DatabaseError` for failures.
    """

    __slots__ = ("_name", "_txn")

    def __init__(self, txn: NamedTransaction, name: bytes | None) -> None:
        self._txn = txn
        self._name = name

    def get(self, key: bytes) -> memoryview | None:
        """Return a view of the value, or None."""
        self._check(key)
        there, handle = self._find()
        if not there:
            return None
        try:
            data: memoryview | None = self._txn._running.get(key, None, handle)
        except lmdb.Error as exc:
            raise self._txn.failed(exc) from exc
        return None if data is None or self._is_hidden(key, data) else data

    def put(self, key: bytes, data: Any, overwrite: bool = True) -> bool:
        """Store a record; return False if there is one and ``overwrite`` is False. Raises `KeyTooLong` too."""
        self._check(key)
        self._check_write()
        limit = self._txn.max_key_size
        if len(key) > limit:
            raise faults.KeyTooLong(
                "the key is too long",
                where=self._txn.environment.path,
                got=f"{len(key)} bytes",
                expected=f"at most {limit} bytes",
                size=len(key),
                limit=limit,
            )
        handle = self._find(create=True)[1]
        try:
            return bool(self._txn._running.put(key, data, True, overwrite, False, handle))
        except lmdb.Error as exc:
            raise self._refused(key, exc) from exc

    def delete(self, key: bytes) -> bool:
        """Delete a record; return whether there was one."""
        self._check(key)
        self._check_write()
        there, handle = self._find()
        try:
            return there and bool(self._txn._running.delete(key, b"", handle))
        except lmdb.Error as exc:
            raise self._refused(key, exc) from exc

    def clear(self) -> None:
        """Delete all records."""
        self._check_write()
        there, handle = self._find()
        if self._name is None:
            for key, _ in self.rows():  # LMDB would drop the named databases with the main one
                self.delete(key)
        elif there:
            try:
                self._txn._running.drop(handle, False)
            except lmdb.Error as exc:
                raise self._txn.failed(exc) from exc

    def rows(
        self, low: bytes = b"", high: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, memoryview]]:
        """Yield the records with ``low <= key < high``, ascending or descending.

        In a write transaction the next one is sought only when it is asked for, so that records may be changed.
        """
        there, handle = self._find()
        if not there or (high is not None and high <= low):
            return
        try:
            cursor = self._txn._running.cursor(handle)
            found = _seek(cursor, low, high, reverse)
            while found:
                key = bytes(cursor.key())
                if key < low if reverse else (high is not None and key >= high):
                    return
                data = cursor.value()
                if not self._is_hidden(key, data):
                    yield key, data
                    if self._txn.write:
                        found = _seek_next(cursor, key, reverse)
                        continue
                found = cursor.prev() if reverse else cursor.next()
        except lmdb.Error as exc:
            raise self._txn.failed(exc) from exc

    def stat(self) -> dict[str, int]:
        """Return LMDB's figures of this database: depth, pages and entries, and the size of a page in bytes."""
        there, handle = self._find()
        raw = self._txn._running
        try:
            found: dict[str, int] = raw.stat(handle) if handle is not None else raw.stat()
        except lmdb.Error as exc:
            raise self._txn.failed(exc) from exc
        return found if there else {name: value if name == "psize" else 0 for name, value in found.items()}

    def _find(self, *, create: bool = False) -> tuple[bool, Any]:
        """Tell whether the database is there, and return its handle, which for the main one is None."""
        if self._name is None:
            return True, None
        handle = self._txn.find(self._name, create=create)
        return handle is not None, handle

    def _is_hidden(self, key: bytes, data: Any) -> bool:
        return self._name is None and self._txn.holds_database(key, data)

    def _check(self, key: bytes) -> None:
        if not key:
            raise WrongValue("LMDB has no empty keys", where=self._txn.environment.path, got=key, expected="a byte")

    def _check_write(self) -> None:
        if not self._txn.write:
            raise faults.ReadonlyTransaction(
                "a write in a read transaction",
                where=self._txn.environment.path,
                next_step="ask for run(fn, write=True)",
            )

    def _refused(self, key: bytes, exc: lmdb.Error) -> Exception:
        fault = self._txn.failed(exc)
        if not isinstance(exc, lmdb.IncompatibleError):
            return fault
        path = self._txn.environment.path
        return WrongValue("the key is the name of a named database", where=path, got=key, expected="another key")


def _seek(cursor: Any, low: bytes, high: bytes | None, reverse: bool) -> bool:
    if not reverse:
        return bool(cursor.set_range(low))
    if high is not None and cursor.set_range(high):
        return bool(cursor.prev())
    return bool(cursor.last())


def _seek_next(cursor: Any, key: bytes, reverse: bool) -> bool:
    found = bool(cursor.set_range(key))
    if reverse:
        return bool(cursor.prev() if found else cursor.last())
    return bool(found and (cursor.key() != key or cursor.next()))


# --- the two kinds of files


def check_kind(environment: Environment, options: Options) -> None:
    """Raise `OptionsConflict` if this process has the file open as the other kind than ``options`` ask for."""
    kinds = ("a database of tables", "an environment of named databases")
    has, asked = bool(environment.options.max_dbs), bool(options.max_dbs)
    if has != asked:
        raise OptionsConflict(
            f"the file is open in this process as {kinds[has]}",
            where=environment.path,
            got=kinds[asked],
            expected=kinds[has],
            next_step="use another path, or close the other handle first",
        )


def refuse_named(environment: Environment) -> None:
    """Close an environment that was opened as a database of tables and has named databases: raises `NotADatabase`.

    Only a few records are looked at, those from the first on and those whose keys begin like text, because only a
    walk over the whole file could tell for certain.
    """
    if environment.options.max_dbs:
        return
    name = None
    with suppress(lmdb.Error), Transaction(environment, buffers=True) as txn:  # damage is for those who read to report
        name = next(_names_in(environment, txn), None)
    if name is not None:
        environment.close()
        raise faults.NotADatabase(
            "an LMDB environment with named databases, not a database of tables",
            where=environment.path,
            got=name,
            next_step="open it with zlmdb.aio.open or zlmdb.twisted.open",
        )


def _names_in(environment: Environment, txn: Transaction) -> Iterator[bytes]:
    end = len(_record_key(environment, b""))
    for start in (b"", b" "):
        cursor = txn.cursor()
        size = 0
        for key, data in islice(cursor, _LOOKED_AT) if cursor.set_range(start) else ():
            size += len(data)
            if size > _LOOKED_AT_BYTES:
                break
            if len(data) == _RECORD:
                name = bytes(key)[: len(key) - end]
                if _is_database(environment, txn, name):
                    yield name


def _is_database(environment: Environment, txn: Transaction, name: bytes) -> bool:
    try:
        environment._raw.open_db(name, txn=txn._raw, create=False)
    except lmdb.Error:
        return False
    return True
