# SPDX-License-Identifier: MIT
"""The life of a realm store: from opening its database to the last flush."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from zlmdb import Transaction
from zlmdb.errors import ConfigError, DatabaseClosed, DatabaseError, ReadonlyTransaction
from zlmdb.plugins import Context
from zlmdb.twisted import AsyncDatabase
from zlmdb_eventhistory import Imported, Maintenance, OldHistory, Sweeper
from zlmdb_realmstore._buffer import Buffer
from zlmdb_realmstore._config import Config
from zlmdb_realmstore._readable import Unreadable
from zlmdb_realmstore._record import BufferStats, Outcome, Record, Step
from zlmdb_realmstore._schema import RealmSchema

_BETWEEN_PAUSES: Final = 32  # records that the writer's thread writes before the reactor's thread gets its turn
_SMALLEST_KEY: Final = 511  # bytes that a key may have in every format
_PAUSE: Final = 0.0001  # seconds; a wait of any length hands over the interpreter lock


class Life:
    """The steps of a plugin's life, and the router's `start` and `stop`; the base of `RealmStore`."""

    _log = Logger()

    def __init__(self, config: Config, context: Context, clock: Callable[[], float]) -> None:
        if context.reactor is None:
            raise ConfigError("the realm store runs under Twisted", where=config.path, expected="a reactor")
        self._config = config
        self._context = context
        self._buffer = Buffer(
            config.max_buffer,
            config.max_buffer_bytes,
            config.buffer_flush / 1000,
            config.durability,
            config.overflow,
            context.call_later,
            clock=clock,
            where=config.path,
        )
        self._sweeper = Sweeper(self._maintain, config.sweep_interval, context.call_later)
        self._db: AsyncDatabase | None = None
        self._schema = RealmSchema()
        self._trigger: Any = None  # of the reactor's shutdown
        self._running = self._ready = self._stopping = False
        self._ending = False  # nothing new is taken
        self._outcome: Failure | bool = False  # of stopping
        self._stoppers: list[Deferred[None]] = []

    @property
    def type(self) -> str:
        """The store's type in a configuration."""
        return "realmstore"

    @property
    def is_running(self) -> bool:
        """Whether it is started and not stopped."""
        return self._running

    @property
    def schema(self) -> RealmSchema:
        """The tables, attached once the store is."""
        return self._schema

    async def attach(self) -> None:
        """Open the database and attach the tables."""
        config = self._config
        # before the database has its own: at a shutdown the buffer is handed over first
        if self._trigger is None:
            reactor = self._context.reactor
            self._trigger = reactor.addSystemEventTrigger("before", "shutdown", self._stop_at_shutdown)
        self._db = db = await self._context.open_database(
            config.path, maxsize=config.maxsize, readonly=config.readonly, sync=config.sync
        )
        try:
            if not self._stopping:
                self._schema = await db.attach(RealmSchema)
                self._schema.history.clock = self._context.time_ns
        except BaseException:  # a file that cannot be used is not kept open
            self._db = None
            await db.close()
            raise
        if self._stopping:
            await db.close()
            raise DatabaseClosed("the store was stopped while it was opened", where=config.path)

    async def migrate(self) -> None:
        """Complete what files of other programs lack, and what the configuration says of the history.

        That is the index by authid, and their publications in the history.
        """
        db = self._db
        if db is None:
            return
        if not self._config.readonly:
            await self._complete_index(db)
            await self._import_publications(db)
            patterns = [item.pattern() for item in self._config.event_history]
            await db.write(self._schema.history.configure, patterns)
        await self._restore()

    async def _complete_index(self, db: AsyncDatabase) -> None:
        unreadable: Unreadable = {}
        await db.write(self._schema.complete_index, unreadable)
        for key, error in list(unreadable.items())[:1]:
            self._log.error(
                "{where}: {count} sessions cannot be read and are passed over, such as {key}: {error}",
                where=self._config.path,
                count=len(unreadable),
                key=key,
                error=error,
            )

    async def _import_publications(self, db: AsyncDatabase) -> None:
        old = await db.attach(OldHistory)
        if await db.read(self._is_imported, old):
            return
        done = Imported()
        while not done.done:
            done = await db.write(old.step, self._config.sweep_slice)
        self._log.info("{where}: of other programs: {done}", where=self._config.path, done=done)

    def _is_imported(self, txn: Transaction, old: OldHistory) -> bool:
        return old.progress(txn).done

    async def _restore(self) -> None:
        """Take up what a former process left to be done."""

    def start(self) -> Deferred[None]:
        """Begin to write; opens the database first if `attach` has not.

        Fails with `DatabaseError` if the store was started before, and with what opening raises.
        """
        if self._running or self._stopping:
            return fail(DatabaseError("a store is started once only", where=self._config.path))
        self._running = True
        return ensureDeferred(self._start())

    async def _start(self) -> None:
        try:
            if self._db is None:
                await self.attach()
                await self.migrate()
        except BaseException as error:  # raised again: a start that was cancelled may be tried once more
            self._running = False
            self._buffer.suspend(error)
            raise
        self._ready = True
        if not self._config.readonly and not self._stopping:
            self._buffer.open(self._write)
            self._sweeper.start()

    def drain(self) -> Deferred[None]:
        """Take nothing new; fires when all that was taken is in the file. Fails with `NotWritten` otherwise."""
        self._end()
        return self._buffer.close()

    def _end(self) -> None:
        """Prepare for the end, before the last records are taken; once."""
        self._ending = True

    def stop(self) -> Deferred[None]:
        """Write everything that was taken, then close the database; further calls have the same outcome.

        Fails with `NotWritten` if acknowledged records could not be written.
        """
        stopper: Deferred[None] = Deferred()
        self._stoppers.append(stopper)
        if not self._stopping:
            self._end()
            self._stopping = True
            ensureDeferred(self._stop()).addCallbacks(lambda _: True, lambda failure: failure).addBoth(self._stopped)
        elif self._outcome:
            self._stopped(self._outcome)
        return stopper

    async def _stop(self) -> None:
        closed = self._buffer.close()  # first: at a shutdown the database itself may be closed right after this
        try:
            await self._sweeper.stop()
            await closed
        finally:
            if self._db is not None:
                await self._db.close()

    def _stopped(self, outcome: Failure | bool) -> None:
        self._outcome = outcome
        self._running = False
        self._log.info("{where}: closed; {counts}", where=self._config.path, counts=self.stats())
        if self._trigger is not None:  # not before: a shutdown that begins meanwhile has to wait
            self._context.reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        stoppers, self._stoppers = self._stoppers, []
        for stopper in stoppers:
            if isinstance(outcome, Failure):
                stopper.errback(outcome)
            else:
                stopper.callback(None)

    def _stop_at_shutdown(self) -> Deferred[None]:
        self._trigger = None  # it is firing, and must not be removed any more
        return self.stop()

    def _readable(self) -> AsyncDatabase | None:
        """Return the database, None before the store is started; raise `DatabaseClosed` after `stop`."""
        if self._stopping:
            raise DatabaseClosed("the store is closed or closing", where=self._config.path, next_step="start a new one")
        return self._db if self._ready else None

    # --- the way to the file

    @property
    def is_full(self) -> bool:
        """Whether as many records, or bytes, wait to be written as may; `flushed` tells when there is room."""
        return self._buffer.is_full

    def flushed(self) -> Deferred[None]:
        """Write what is buffered now; fires when that is done. Fails with the cause if it cannot be."""
        return self._buffer.flushed()

    def stats(self) -> BufferStats:
        """Return the counters of the buffer."""
        return self._buffer.stats()

    @property
    def _max_key_size(self) -> int:
        return _SMALLEST_KEY if self._db is None else self._db.database.max_key_size

    def _submit(self, record: Record) -> Deferred[Any]:
        if self._config.readonly and not self._stopping:
            return fail(ReadonlyTransaction("the store is opened read-only", where=self._config.path))
        return self._buffer.submit(record)

    def _submit_now(self, record: Record) -> None:
        """Submit for a caller that waits for nothing: raise what is known now; the buffer logs what comes later.

        To this caller it is acknowledged with the return, whatever the durability.
        """
        record.patient = False
        refusals: list[Failure] = []
        self._submit(record).addErrback(refusals.append)
        if refusals:
            refusals[0].raiseException()

    def _maintain(self) -> Deferred[Maintenance]:
        assert self._db is not None
        return self._db.write(self._schema.history.maintain, self._config.sweep_slice)

    def _write(self, steps: list[Step]) -> Deferred[list[Outcome]]:
        assert self._db is not None
        return self._db.write(write_batch, steps)


def write_batch(txn: Transaction, steps: list[Step]) -> list[Outcome]:
    """Run each step in a savepoint of its own; return what became of each. Writer's thread only.

    A failure of the storage leaves it, and with it the transaction; anything else concerns one record.
    """
    outcomes: list[Outcome] = []
    for number, step in enumerate(steps, start=1):
        try:
            with txn.savepoint():
                step(txn)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a record must not harm the others
            outcomes.append(error)
        else:
            outcomes.append(None)
        if number % _BETWEEN_PAUSES == 0:
            time.sleep(_PAUSE)
    return outcomes
