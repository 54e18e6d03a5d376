# SPDX-License-Identifier: MIT
"""How a face opens its database: on a thread, with everything checked, and nothing left behind if it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from zlmdb.orm import Database
from zlmdb.workers.bridge import Bridge
from zlmdb.workers.engine import Engine, Reads, open_handle
from zlmdb.workers.limits import Limits, Overflow
from zlmdb.workers.operation import Durability
from zlmdb.workers.readers import ReaderPool
from zlmdb.workers.writer import DEFAULT_LIMITS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be chosen for an asynchronous database, whatever its event loop."""

    max_pending: int = DEFAULT_LIMITS.max_pending
    """Records that may be accepted and not yet committed."""
    max_pending_bytes: int = DEFAULT_LIMITS.max_pending_bytes
    """Bytes that may be."""
    overflow: Overflow = "wait"
    """Beyond these limits ``wait`` lets a write wait for room, ``error`` fails it with `Backpressure`."""
    durability: Durability = "commit"
    """When a put is answered: ``commit`` after its synced commit, ``queued`` when it is accepted (a crash may lose
    it, a stop does not, and ``flushed()`` waits for it)."""
    reads: Reads = "inline"
    """``inline`` reads single records on the loop's thread, ``thread`` on a reader's: for values that are large, or
    often not in memory."""
    readers: int = 4
    """Threads for reads."""
    options: dict[str, Any]
    """Those of `zlmdb.Database`: ``maxsize``, ``readonly``, ``sync``, ``lib_version`` …"""
    handle: Callable[[str, dict[str, Any]], Database] = open_handle


DEFAULTS = Settings(options={})


class Opening:
    """One attempt to open the database in the directory ``path``; ``waiter`` gets what ``make(engine)`` returns.

    It fails with what `zlmdb.Database` raises, and with `ConfigError` for wrong settings. If the waiter is
    cancelled, what was opened is closed again. Loop's thread, but for methods that say "reader".
    """

    def __init__(
        self, bridge: Bridge, waiter: Any, path: str, settings: Settings, make: Callable[[Engine], object]
    ) -> None:
        self._bridge = bridge
        self._waiter = waiter
        self._path = path
        self._settings = settings
        self._make = make

    def begin(self) -> None:
        """Have it opened on a reader's thread; never raises."""
        chosen = self._settings
        try:
            self._limits = Limits(chosen.max_pending, chosen.max_pending_bytes, overflow=chosen.overflow)
            self._readers = ReaderPool(f"zlmdb-reader {self._path}", chosen.readers)
        except Exception as error:  # noqa: BLE001 - it is the outcome
            self._bridge.settle(self._waiter, None, error)
        else:
            self._readers.run(partial(chosen.handle, self._path, chosen.options), self._opened)

    def _opened(self, success: bool, result: Any) -> None:  # reader
        try:
            self._bridge.deliver(partial(self._conclude, success, result))
        except Exception:  # noqa: BLE001 - a closed loop raises what it likes
            log.warning("%s: the event loop ended while the database was opened", self._path)
            self._discard(result if success else None)

    def _conclude(self, success: bool, result: Any) -> None:
        if not success:
            self._fail(result, None)
        elif self._bridge.is_settled(self._waiter):  # cancelled meanwhile
            self._discard(result)
        else:
            self._bridge.arrive()
            try:
                made = self._make(self._engine(result))
            except Exception as error:  # noqa: BLE001 - it is the outcome
                self._fail(error, result)
            else:
                self._bridge.settle(self._waiter, made, None)

    def _engine(self, database: Database) -> Engine:
        chosen, bridge = self._settings, self._bridge
        return Engine(
            database,
            self._readers,
            bridge.deliver,
            bridge.later,
            limits=self._limits,
            durability=chosen.durability,
            reads=chosen.reads,
        )

    def _fail(self, error: BaseException, database: Database | None) -> None:
        self._discard(database)
        self._bridge.settle(self._waiter, None, error)

    def _discard(self, database: Database | None) -> None:
        if database is not None:
            database.close()
        self._readers.end()
