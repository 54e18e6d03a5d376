# SPDX-License-Identifier: MIT
"""The error tree: every error this package raises on purpose.

Each error says what happened, where, what it got, what it expected and what to do next, and carries
these as attributes, so that a program can act on them without parsing text.

Errors that existing programs catch under another name stay catchable: ``zlmdb.storage`` raises subclasses
that derive from LMDB's own classes as well, and ``NullValueConstraint`` is an alias of `NullViolation`.
"""

from __future__ import annotations

from typing import Any, Final

_NOTHING: Final = object()
_SHOWN: Final = 200  # characters of a value that an error message repeats


def shorten(value: object) -> str:
    """Return ``repr(value)`` cut to a length that fits into a message."""
    if type(value) in (str, bytes, bytearray):  # their repr is not to be made whole: it may take a second
        whole: Any = value
        if len(whole) > _SHOWN:
            unit = "characters" if isinstance(whole, str) else "bytes"
            return f"{whole[:_SHOWN]!r:.{_SHOWN}}… ({len(whole)} {unit})"
    text = _text("{!r}", value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def text_of(exc: BaseException) -> str:
    """Return what an exception of somebody else's code says; in its place, why it says nothing, if that fails."""
    return _text("{!s}", exc)


def described(exc: BaseException) -> str:
    """Return the class of an exception of somebody else's code, and what it says, whatever its ``__str__`` does."""
    return f"{type(exc).__name__}: {text_of(exc)}"


def _text(form: str, value: object) -> str:
    """Format a value: a message about bad input must not fail on it, as it would on numbers of 5,000 digits."""
    try:
        return form.format(value)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001  it is somebody else's code, too
        called = "repr" if form == "{!r}" else "str"
        return f"<{type(value).__name__} whose {called} fails: {type(exc).__name__}>"


class ZlmdbError(Exception):
    """The root of the tree.

    ``where``, ``got``, ``expected`` and ``next_step`` are None when an error has nothing to say there
    (``has_got`` tells a None that was given from none given). Further facts become attributes.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        got: object = _NOTHING,
        expected: str | None = None,
        next_step: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.has_got = got is not _NOTHING
        self.got: object = got if self.has_got else None
        self.expected = expected
        self.next_step = next_step
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        """Return the whole story on one line."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.has_got:
            text += f"; got {shorten(self.got)}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.next_step:
            text += f". Next: {self.next_step}"
        return text

    def at(self, where: str) -> ZlmdbError:
        """Add an outer place to `where` and return self: lower floors do not know what they are part of."""
        self.where = f"{where}, {self.where}" if self.where else where
        return self


class ConfigError(ZlmdbError, ValueError):
    """A configuration or an argument is wrong; ``problems`` holds one `Problem`-like line for each fault."""

    problems: tuple[str, ...] = ()


class MissingDependency(ZlmdbError, ImportError):
    """An optional library is needed and is not installed; ``extra`` is the one to install."""

    extra: str


class VersionsDiffer(ZlmdbError, RuntimeError):
    """Two packages that must agree in the version of a library have different ones."""


# --- the database and its transactions ---------------------------------------------------------------


class DatabaseError(ZlmdbError):
    """Something is wrong with the database file, its environment or a transaction."""


class DatabaseClosed(DatabaseError):
    """The database is closed, or closing and taking no new work."""


class DatabaseMissing(DatabaseError, FileNotFoundError):
    """There is no database at this path and none may be created."""

    # OSError.__new__ and __str__ have their own ideas about arguments
    __str__ = ZlmdbError.__str__


class NotADatabase(DatabaseError):
    """The file is not an LMDB data file, or is cut short or damaged."""


class FormatMismatch(DatabaseError, ValueError):
    """The file has another LMDB format than asked for, or one that this build cannot read."""


class OptionsConflict(DatabaseError):
    """The environment is open in this process with other options."""


class ForkedError(DatabaseError):
    """The database was opened in the parent process and cannot be used in a forked child."""


class MapFull(DatabaseError):
    """The ceiling of the database's size is reached; ``path``, ``used`` and ``limit`` are in bytes."""

    path: str
    used: int
    limit: int


class DiskFull(DatabaseError):
    """The file system has no room for what was to be written."""

    path: str


class ReadersFull(DatabaseError):
    """All reader slots are taken; ``limit`` is their number."""

    limit: int


class LockHeld(DatabaseError):
    """The lock of the environment could not be had."""


class SamePidError(LockHeld, RuntimeError):
    """A process of another PID namespace that has this file open has the same process id; ``pid`` is that id."""

    pid: int


class AccessDenied(DatabaseError, PermissionError):
    """The operating system does not let this process read or write the file or its directory."""

    __str__ = ZlmdbError.__str__


class TransactionsRunning(DatabaseError):
    """It can only be done while no transaction runs in this process; ``holders`` describes those that do."""

    holders: tuple[str, ...]


class TargetExists(DatabaseError, FileExistsError):
    """A copy was to be made where something stands already; nothing was changed."""

    __str__ = ZlmdbError.__str__


class CopyDamaged(DatabaseError):
    """A copy does not agree with its source, and was removed; ``problems`` says in what."""

    problems: tuple[str, ...]


class StorageFailure(DatabaseError):
    """LMDB reported a failure that has no class of its own here."""


class ReadonlyTransaction(DatabaseError):
    """A write was tried in a read transaction or on a database opened read-only."""


class NestedWrite(DatabaseError):
    """This thread has a write transaction of this database open already."""


class TransactionFinished(DatabaseError):
    """The transaction has not begun, or has ended."""


class TransactionPoisoned(DatabaseError):
    """A storage failure made the transaction unusable up to the nearest savepoint."""


class WrongThread(DatabaseError):
    """A transaction or an asynchronous handle was used on a thread, or in an event loop, that it does not belong to."""


class WrongDatabase(DatabaseError):
    """A map was used with a transaction of another database than the one it is attached to."""


class Backpressure(DatabaseError):
    """The queue of pending writes is full; ``pending`` and ``limit`` are in records or bytes."""

    pending: int
    limit: int


class NotWritten(DatabaseError):
    """A queued write was given up at closing because the deadline passed; it is not in the file."""


# --- schemas, tables, slots --------------------------------------------------------------------------


class SchemaError(ZlmdbError):
    """A table, a schema or the catalogue of slots is used or declared wrongly."""


class SlotConflict(SchemaError):
    """Two tables of different kinds claim one slot or one table UUID; ``slot`` is its number."""

    slot: int | None


class NotAttached(SchemaError):
    """The map has no slot: it was not attached to a database."""


class TableDeclaration(SchemaError, TypeError):
    """A class was declared as a table in a way that cannot work."""


class UpgradeNeeded(SchemaError):
    """The table holds ``records`` records in ``slot`` in the old layout of its kind, and is not to be upgraded now."""

    slot: int
    records: int


class SchemaTooNew(SchemaError):
    """The file was written by a newer version of the schema than this program has."""


# --- records -----------------------------------------------------------------------------------------


class DataError(ZlmdbError):
    """A key or a value is wrong, or breaks a rule of its table."""


class EncodeError(DataError):
    """A Python value cannot be stored by this codec."""


class WrongType(EncodeError, TypeError):
    """A key or value has a type that the codec does not take."""


class WrongValue(EncodeError, ValueError):
    """A key or value has the right type and lies outside what can be stored."""


class DecodeError(DataError, ValueError):
    """Stored bytes do not follow the table's layout; ``map``, ``slot`` and ``key`` say where."""

    map: str
    slot: int
    key: object


class KeyTooLong(DataError, ValueError):
    """The encoded key, with its two bytes of slot, is longer than the file's format allows (all in bytes)."""

    map: str
    size: int
    limit: int


class UniqueViolation(DataError):
    """A unique index has another owner for this key already; nothing of the statement was written."""

    index: str
    key: object
    owner: object


class NullViolation(DataError, RuntimeError):
    """A non-nullable index got None; nothing of the statement was written."""

    index: str


class KeyExists(DataError, KeyError):
    """``insert`` found a record under this key; nothing was written."""

    __str__ = ZlmdbError.__str__


class RecordMissing(DataError, KeyError):
    """There is no record under this key."""

    __str__ = ZlmdbError.__str__


class BadToken(DataError, ValueError):
    """The token of a page is damaged, or belongs to another query."""


class RecordChanged(DataError):
    """``replace(expected=…)`` found another value than the expected one; nothing was written."""


NullValueConstraint = NullViolation


# --- plugins -----------------------------------------------------------------------------------------


class PluginError(ZlmdbError):
    """A plugin could not be found, loaded, configured or run; ``plugin`` is its name, ``step`` where it failed."""

    plugin: str
    step: str


class PluginMissing(PluginError, LookupError):
    """No installed distribution offers a plugin of this name."""

    __str__ = ZlmdbError.__str__
