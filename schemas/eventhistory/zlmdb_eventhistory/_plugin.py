# SPDX-License-Identifier: MIT
"""The history alone as a store: it opens a database and offers its methods as Deferreds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge
from twisted.internet.defer import Deferred, fail

from zlmdb import Transaction
from zlmdb.errors import DatabaseClosed
from zlmdb.plugins import Context, Plugin
from zlmdb.twisted import AsyncDatabase
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._schema import EventHistory, Page


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the database is and how it is opened; ``maxsize`` is in bytes, None reserves address space."""

    path: str
    maxsize: Annotated[int, Ge(131_072)] | None = None
    readonly: bool = False
    sync: bool = True


class EventHistoryStore:
    """An event history in a file of its own; call it on the reactor's thread.

    Nothing raises: bad arguments, and use before the start or after the stop (`DatabaseClosed`), give failed
    Deferreds.
    """

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._db: AsyncDatabase | None = None
        self._history: EventHistory | None = None

    # --- the steps of its life

    async def attach(self) -> None:
        """Open the database and attach the tables."""
        config = self._config
        self._db = db = await self._context.open_database(
            config.path, maxsize=config.maxsize, readonly=config.readonly, sync=config.sync
        )
        self._history = await db.attach(EventHistory)

    def migrate(self) -> None:
        """Do nothing: there is one version of these tables."""

    def start(self) -> None:
        """Do nothing: there is nothing to be done without being asked."""

    def drain(self) -> None:
        """Do nothing: closing writes what was accepted."""

    async def stop(self) -> None:
        """Write what was accepted and close the database."""
        db, self._db, self._history = self._db, None, None
        if db is not None:
            await db.close()

    # --- what it is for

    def append(self, event: Event) -> Deferred[int]:
        """Store an event; fires with its sequence after the commit. See `EventHistory.append`.

        The event is read on the writer's thread: do not change what it holds until then.
        """
        if self._db is None or self._history is None:
            return self._not_open()
        return self._db.write(self._history.append, event)

    def page(self, **query: Any) -> Deferred[Page]:
        """Return a page of events; arguments as for `EventHistory.page`."""
        if self._db is None or self._history is None:
            return self._not_open()
        history = self._history

        def read(txn: Transaction) -> Page:
            return history.page(txn, **query)

        return self._db.read(read)

    def get(self, publication: int) -> Deferred[Event | None]:
        """Return the event with this publication id, or None."""
        if self._db is None or self._history is None:
            return self._not_open()
        return self._db.read(self._history.get, publication)

    def _not_open(self) -> Deferred[Any]:
        return fail(DatabaseClosed("the event history is not open", where=self._config.path, next_step="start it"))


plugin = Plugin("eventhistory", (1, 0), 1, Config, EventHistoryStore)
