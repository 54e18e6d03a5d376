# SPDX-License-Identifier: MIT
"""The synchronous handle behind an asynchronous environment of named databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from zlmdb.errors import DecodeError, NotADatabase, SchemaTooNew
from zlmdb.orm import Database, catalogue
from zlmdb.orm.functions import call
from zlmdb.storage import NamedTransaction, NotOpened, ReadonlyTransaction, Transaction, TransactionStats, open_named
from zlmdb.workers.limits import check_positive

T = TypeVar("T")
MAX_DBS: Final = 128  # LMDB walks over all of them when a transaction begins: 40 ns a commit


class NamedHandle(Database):
    """A handle on an LMDB environment; `begin` gives transactions over its named databases.

    Raises what `Database` raises, and `NotADatabase` for a database of tables, known by its catalogue.
    """

    def __init__(self, path: str, max_dbs: int = MAX_DBS, **options: Any) -> None:
        super().__init__(path, open_now=False, **options)
        check_positive("max_dbs", max_dbs)
        self._options = replace(self._options, max_dbs=max_dbs)
        self._open()
        try:
            self._refuse_tables()
        except BaseException:  # an interrupt too: nobody has the handle yet who could close it
            self.close()
            raise

    @classmethod
    def open_with(cls, path: str, options: dict[str, Any]) -> NamedHandle:
        """Return a handle opened with ``options``; may wait for the disk."""
        return cls(path, **options)

    def begin(
        self, write: bool = False, buffers: bool = True, stats: TransactionStats | None = None
    ) -> NamedTransaction:
        """Return a transaction for ``with``; all others of the parameters have no use here."""
        environment = self.environment
        if write and environment.options.readonly:
            raise ReadonlyTransaction(
                "the environment was opened read-only", where=self._path, next_step="open it with readonly=False"
            )
        return NamedTransaction(environment, write, self)

    def read(self, function: Callable[..., T], *args: Any) -> T:
        """Return ``function(txn, *args)`` in a read transaction; it is run again when a database has to be opened."""
        while True:
            try:
                with self.begin() as txn:
                    return call(function, args, txn)
            except NotOpened as missing:
                open_named(self.environment, missing.name)

    def _refuse_tables(self) -> None:
        with Transaction(self.environment) as txn:
            try:
                is_other = bool(catalogue.entries(txn))
            except DecodeError:  # records of another program, which happen to begin as the catalogue does
                is_other = False
            except SchemaTooNew:
                is_other = True
        if is_other:
            raise NotADatabase(
                "a database of tables, not an environment of named databases",
                where=self._path,
                next_step="open it with zlmdb.Database or open_database",
            )
