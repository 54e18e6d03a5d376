# SPDX-License-Identifier: MIT
"""`DatabaseService`: a database that is open as long as its service runs."""

from __future__ import annotations

import os
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from zlmdb.errors import DatabaseClosed
from zlmdb.twisted._bridge import failure_of
from zlmdb.twisted._database import AsyncDatabase, open_database
from zlmdb.workers.databaseface import check_seconds


class DatabaseService(Service):
    """Opens the database in the directory ``path`` when it is started, and drains and closes it when it is stopped.

    To be used on the reactor's thread. ``deadline`` (seconds) is that of closing; what was not written by then is
    logged. ``options`` are those of `open_database`. A service without a parent, which no application would stop,
    is closed before the reactor's shutdown. Twisted stops the services of one parent all at once: one that still
    writes while it stops should stop this one itself, when it is done.

    Raises `ConfigError` for a deadline that is no time.
    """

    _log = Logger()

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        reactor: Any = None,  # what Twisted's many reactor interfaces have in common
        deadline: float | None = None,
        **options: Any,
    ) -> None:
        check_seconds("deadline", deadline)
        self._path = os.fspath(path)
        self._reactor = reactor
        self._deadline = deadline
        self._options = options
        self._opened: AsyncDatabase | Failure | None = None
        self._waiting: list[Deferred[AsyncDatabase]] = []
        self._lock = DeferredLock()  # a stop waits for the start to be done, and a new start for the stop

    @property
    def database(self) -> AsyncDatabase:
        """The database; raises `DatabaseClosed` unless it is open."""
        if isinstance(self._opened, AsyncDatabase):
            return self._opened
        raise DatabaseClosed(
            "the database is not open",
            where=self._path,
            next_step="start the service and wait for `await service.opened()`",
        )

    def opened(self) -> Deferred[AsyncDatabase]:
        """Return the database as soon as it is open; fails with what opening it raised."""
        if self._opened is None:
            waiter: Deferred[AsyncDatabase] = Deferred()
            self._waiting.append(waiter)
            return waiter
        return fail(self._opened) if isinstance(self._opened, Failure) else succeed(self._opened)

    def startService(self) -> None:  # noqa: N802
        """Begin to open the database; `opened` tells the outcome, and a failure is logged."""
        super().startService()  # type: ignore[no-untyped-call]
        self._lock.run(ensureDeferred, self._open(close_at_shutdown=self.parent is None))

    def stopService(self) -> Deferred[None]:  # noqa: N802  # pyright: ignore[reportIncompatibleMethodOverride]
        """Write all that was asked for and close the database, once its opening is over."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self._lock.run(lambda: ensureDeferred(self._close()))

    async def _open(self, close_at_shutdown: bool) -> None:
        if isinstance(self._opened, AsyncDatabase):  # it was started twice
            return
        try:
            self._opened = await open_database(
                self._path,
                reactor=self._reactor,
                close_at_shutdown=close_at_shutdown,
                shutdown_deadline=self._deadline,
                **self._options,
            )
        except Exception as error:  # noqa: BLE001 - it is logged, and told by `opened`
            self._opened = failure_of(error)
            self._log.failure("{path} was not opened", self._opened, path=self._path)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            self.opened().chainDeferred(waiter)

    async def _close(self) -> None:
        opened, self._opened = self._opened, None
        if isinstance(opened, AsyncDatabase):
            await opened.close(self._deadline)
