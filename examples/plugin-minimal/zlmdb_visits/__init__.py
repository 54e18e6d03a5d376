# SPDX-License-Identifier: MIT
"""A store that counts the visits of pages."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from twisted.internet.defer import Deferred, fail

from zlmdb import Map, Schema, Transaction, table
from zlmdb.errors import DatabaseClosed
from zlmdb.plugins import Context, Plugin
from zlmdb.twisted import AsyncDatabase


@table("7d0d9ac4-9f0c-4f0e-8a5b-0c7d2f4c1a11")
class Visits(Map[str, int]):
    """Page to the number of its visits."""

    key_kind, value_kind = "String", "Uint64"


class VisitsSchema(Schema):
    """The tables of the store; annotated attributes are attached by themselves."""

    visits: Visits


@dataclass(frozen=True, kw_only=True)
class VisitsConfig:
    """The keys of the store in a configuration."""

    path: str
    """Directory of the database."""
    step: Annotated[int, Field(ge=1)] = 1
    """What a visit counts."""


class VisitsStore:
    """Counts visits; to be used on the reactor's thread, once it is started."""

    def __init__(self, config: VisitsConfig, context: Context) -> None:
        self._config = config
        self._context = context
        self._db: AsyncDatabase | None = None
        self._schema = VisitsSchema()

    # --- what it is for

    def visit(self, page: str) -> Deferred[int]:
        """Count a visit; fires with the number of visits when it is on disk."""
        if self._db is None:
            return fail(self._closed())
        return self._db.write(self._visit, page)

    def count(self, page: str) -> int:
        """Return the number of visits of a page, at once: it is one look-up."""
        if self._db is None:
            raise self._closed()
        with self._db.begin() as txn:
            return self._schema.visits[txn, page] or 0

    def _visit(self, txn: Transaction, page: str) -> int:  # on the writer's thread
        number = (self._schema.visits[txn, page] or 0) + self._config.step
        self._schema.visits[txn, page] = number
        return number

    def _closed(self) -> DatabaseClosed:
        return DatabaseClosed("the store is not running", where=self._config.path, next_step="start it first")

    # --- the steps of its life, called by the host

    async def attach(self) -> None:
        """Open the database and attach the tables."""
        db = await self._context.open_database(self._config.path)
        self._schema = await db.attach(VisitsSchema)
        self._db = db

    def migrate(self) -> None:
        """Do nothing: this is the first version of the tables."""

    def start(self) -> None:
        """Do nothing: there are no timers."""

    def drain(self) -> None:
        """Do nothing: closing the database writes what it has taken."""

    async def stop(self) -> None:
        """Close the database."""
        db, self._db = self._db, None
        if db is not None:
            await db.close()


plugin = Plugin("visits", api=(1, 0), version=1, config=VisitsConfig, create=VisitsStore)
