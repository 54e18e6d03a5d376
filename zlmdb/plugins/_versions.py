# SPDX-License-Identifier: MIT
"""Which version of a plugin's schema a file has: noted in the file, checked when a store opens it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from zlmdb import Database, Map, Transaction, table
from zlmdb.errors import SchemaError, SchemaTooNew
from zlmdb.orm import catalogue
from zlmdb.orm.functions import call, check_function

_TABLE: Final = "6e0dbb5f-7c92-4b6c-b0a2-2f5e5b1d9a47"

Upgrade = Callable[[Transaction, int], object]
"""``Store.upgrade``."""


@table(_TABLE)
class SchemaVersions(Map[str, int]):
    """Name of a plugin to the version of its schema that the file has."""

    key_kind, value_kind = "String", "Uint64"


def stored_version(txn: Transaction, database: Database, plugin: str) -> int | None:
    """Return the version of a plugin's schema in the file; None if there is none. Writes nothing."""
    if SchemaVersions._zlmdb_oid not in catalogue.entries(txn):
        return None
    return database.attach_table(SchemaVersions)[txn, plugin]


class Databases:
    """The databases that one store has opened; to be used on the loop's thread.

    Their versions are compared with the plugin's before the store gets them, so a file that is refused is as it was.
    """

    def __init__(self, plugin: str, version: int, open_database: Callable[..., Awaitable[Any]]) -> None:
        self._plugin = plugin
        self._version = version
        self._open_database = open_database
        self._upgrade: Upgrade | None = None
        self._opened: list[Any] = []  # the faces' handles

    def upgraded_by(self, upgrade: Upgrade) -> None:
        """Have older files upgraded by this function; raises `WrongType` for one that cannot run in a transaction."""
        check_function(upgrade)
        self._upgrade = upgrade

    async def open(self, *args: Any, **options: Any) -> Any:
        """Open a database as the face's function does.

        Raises:
            SchemaTooNew: its data are of a newer version of the schema.
            SchemaError: they are of an older one, and the store cannot upgrade them, or not read-only.
        """
        db = await self._open_database(*args, **options)
        self._opened.append(db)
        self._check(db.database, await db.read(stored_version, db.database, self._plugin))
        return db

    async def upgrade(self) -> None:
        """Bring each database to the plugin's version, in one write transaction each, if it is not there yet."""
        for db in self._opened:
            found = await db.read(stored_version, db.database, self._plugin)
            if found != self._version and not db.database.is_readonly:
                await db.write(self._bring_up, db.database)

    async def close(self) -> None:
        """Close those that are still open."""
        while self._opened:
            db = self._opened.pop()
            if db.database.is_open:
                await db.close()

    def _bring_up(self, txn: Transaction, database: Database) -> None:
        found = stored_version(txn, database, self._plugin)  # another process may have been faster
        self._check(database, found)
        if self._upgrade is not None and found != self._version:
            call(self._upgrade, (found or 0,), txn)
        database.attach_table(SchemaVersions)[txn, self._plugin] = self._version

    def _check(self, database: Database, found: int | None) -> None:
        if found is None or found == self._version:
            return
        where = f"{database.path}, schema of plugin {self._plugin!r}"
        if found > self._version:
            raise SchemaTooNew(
                "the data are of a newer version than this plugin knows",
                where=where,
                got=found,
                expected=f"{self._version} at most",
                next_step="install a newer version of the plugin; nothing was changed",
            )
        if self._upgrade is None or database.is_readonly:
            raise SchemaError(
                "the data are of an older version, and cannot be upgraded",
                where=where,
                got=found,
                expected=str(self._version),
                next_step="open it for writing once; nothing was changed"
                if self._upgrade is not None
                else "use a version of the plugin that has an upgrade from there; nothing was changed",
            )
