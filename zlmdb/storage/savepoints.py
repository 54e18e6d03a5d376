# SPDX-License-Identifier: MIT
"""Parts of a write transaction that are undone together: savepoints, and statements where there are none."""

from __future__ import annotations

from sys import getrefcount
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import lmdb

from zlmdb.errors import ConfigError
from zlmdb.storage import faults

if TYPE_CHECKING:
    from zlmdb.storage.transaction import Transaction


def _references_to_a_local() -> int:
    thing = object()
    return getrefcount(thing)


ALONE: Final = _references_to_a_local()
"""What `sys.getrefcount` says of an object that one local name refers to.

``abort()`` of py-lmdb 3.0 waits until no other thread is inside a call of LMDB, for seconds where threads read without
a pause (seen). Letting go of the last reference aborts as well, and waits for nobody.
"""


class Savepoint:
    """A part of a write transaction that can be undone alone."""

    __slots__ = ("_aborts", "_around", "_commits", "_parent", "_txn")

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn
        self._parent: Any = None  # LMDB's transaction around this one's, while it is entered

    def __enter__(self) -> Transaction:
        txn = self._txn
        if not txn.write:
            faults.read_only()
        if self._parent is not None:
            raise ConfigError(
                "a savepoint is entered inside itself",
                where=txn.environment.path,
                next_step="call txn.savepoint() for each `with`",
            )
        parent = txn._raw or faults.not_running()
        try:
            child = txn.environment.begin_raw(write=True, buffers=txn.buffers, parent=parent)
        except lmdb.Error as exc:
            raise txn.failed(exc) from exc
        self._parent, self._around, txn._savepoint = parent, txn._savepoint, self
        self._aborts, self._commits = len(txn._at_abort), len(txn._at_commit)
        txn._bind(child)
        return txn

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        txn = self._txn
        poison = txn.poison
        if txn._raw is None:
            return
        if txn._savepoint is not self:
            raise ConfigError(
                "a savepoint is left that is not the last one entered",
                where=txn.environment.path,
                next_step="use `with txn.savepoint():`",
            )
        if exc_type is None and poison is None:
            raw = txn._raw
            self._leave()
            try:
                raw.commit()
            except lmdb.Error as failure:
                raise txn.failed(failure) from failure
            return
        self.undo()
        if exc_type is None:
            raise faults.TransactionPoisoned(
                "the savepoint was rolled back: an earlier statement in it failed in the storage",
                where=txn.environment.path,
                got=str(poison),
            ) from poison

    def undo(self) -> None:
        """Roll back what was written since this savepoint, the last one entered, was entered."""
        txn = self._txn
        raw = txn._raw
        self._leave()
        if getrefcount(raw) > ALONE:
            raw.abort()
        del raw
        txn.poison = None  # LMDB fails the child alone
        txn._at_commit = txn._at_commit[: self._commits]
        undone, txn._at_abort = txn._at_abort[self._aborts :], txn._at_abort[: self._aborts]
        for callback in reversed(undone):
            callback()

    def _leave(self) -> None:
        self._txn._bind(self._parent)
        self._txn._savepoint = self._around
        self._parent = None


class Unrevertable:
    """A statement of a transaction that has no savepoints: an exception that leaves it leaves a rollback only."""

    __slots__ = ("_txn",)

    def __init__(self, txn: Transaction) -> None:
        self._txn = txn

    def __enter__(self) -> Transaction:
        if not self._txn.write:
            faults.read_only()
        return self._txn if self._txn._raw is not None else faults.not_running()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is not None and self._txn._raw is not None:
            self._txn.spoil(exc)
