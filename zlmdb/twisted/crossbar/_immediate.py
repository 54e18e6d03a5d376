# SPDX-License-Identifier: MIT
"""A database for callers that cannot wait: what is asked for is done, and synced, when the call returns.

It offers what the stores of plugins use of `zlmdb.twisted.AsyncDatabase`, with Deferreds that have fired.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from zlmdb import Database, Schema, Transaction
from zlmdb.errors import DatabaseError

T = TypeVar("T")
S = TypeVar("S", bound=Schema)
Ts = TypeVarTuple("Ts")


class ImmediateDatabase:
    """An open database; use it on the thread that opened it. Each write is a transaction of its own, and blocks."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def attach(self, schema: type[S]) -> Deferred[S]:
        """Attach a schema."""
        return maybeDeferred(self.database.attach, schema)

    def begin(self) -> Transaction:
        """Begin a read transaction."""
        return self.database.begin()

    def read(self, function: Callable[[Transaction, *Ts], T], *args: *Ts) -> Deferred[T]:
        """Call ``function(txn, *args)`` in a read transaction."""
        return maybeDeferred(self._run, False, function, *args)

    def write(
        self, function: Callable[[Transaction, *Ts], T], *args: *Ts, durability: str | None = None
    ) -> Deferred[T]:
        """Call ``function(txn, *args)`` in a write transaction, and commit it, whatever the durability."""
        return maybeDeferred(self._run, True, function, *args)

    def flushed(self) -> Deferred[None]:
        """Return a Deferred that has fired: nothing waits to be written."""
        return succeed(None)

    def close(self, deadline: float | None = None) -> Deferred[int]:
        """Close; there is nothing left that was not written."""
        self.database.close()
        return succeed(0)

    def _run(self, write: bool, function: Callable[..., T], *args: Any) -> T:
        with self.database.begin(write=write) as txn:
            return function(txn, *args)


def open_now(path: str, **options: Any) -> Deferred[ImmediateDatabase]:
    """Open a database; fails with what `zlmdb.Database` raises for these options."""
    return maybeDeferred(lambda: ImmediateDatabase(Database(path, **options)))


def outcome(deferred: Deferred[T]) -> T:
    """Return what a Deferred has fired with, or raise what it has failed with."""
    found: list[T] = []
    failures: list[Any] = []
    deferred.addCallbacks(found.append, failures.append)
    if failures:
        failures[0].raiseException()
    if not found:
        raise DatabaseError("the store waits for something, which this caller cannot", next_step="report this")
    return found[0]
