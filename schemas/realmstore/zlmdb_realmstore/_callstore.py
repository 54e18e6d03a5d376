# SPDX-License-Identifier: MIT
"""The calls of a realm that wait for a callee, as a router queues them and asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from zlmdb import Transaction
from zlmdb.errors import ZlmdbError
from zlmdb.plugins import Context
from zlmdb_realmstore._calls import CallQueue, ParseCall, QueuedCall, StoredCall, is_overdue, stored_call
from zlmdb_realmstore._config import Config
from zlmdb_realmstore._record import Record
from zlmdb_realmstore._records import publisher_fields
from zlmdb_realmstore._sessions import SessionStore


class CallStore(SessionStore):
    """The part of `RealmStore` that keeps calls."""

    def __init__(self, config: Config, context: Context, clock: Callable[[], float]) -> None:
        super().__init__(config, context, clock)
        self._calls = CallQueue(config.call_queue, config.limit)
        self.parse_call: ParseCall = list
        """Makes the router's call object of a WAMP message that is a list; to be set before the start."""

    def maybe_queue_call(self, session: Any, call: Any, registration: Any, authorization: Any) -> bool:
        """Queue a call if the configuration names its procedure and there is room; return whether it did.

        A call that has ``marshal()``, which gives its WAMP message as a list, is also written to the file and
        outlives the process. It is not queued if the file does not take it.
        """
        if not self._calls.has_room(registration):
            return False
        queued = QueuedCall(session, call, registration, authorization)
        record = stored_call(queued, publisher_fields(session), self._context.time_ns())
        key = None
        if record is not None:
            key = self._calls.new_key()
            try:
                self._submit_now(Record(lambda txn: self._schema.calls.insert(txn, key, record), record))
            except ZlmdbError:  # the buffer has logged it
                return False
        self._calls.put(key, queued)
        return True

    def get_queued_call(self, registration: Any) -> QueuedCall | None:
        """Return the oldest queued call of a registration, or None.

        A call of a former process has a stand-in as its session, which receives nothing.
        """
        return self._calls.peek(registration)

    def pop_queued_call(self, registration: Any) -> QueuedCall | None:
        """Remove and return the oldest queued call of a registration, or None.

        It is removed from the file as other records are written to it: after a crash it may be there again.
        """
        key, call = self._calls.pop(registration) or (None, None)
        if key is not None:
            self._forget([key])
        return call

    async def _restore(self) -> None:
        if self._db is None or self._config.readonly:
            return
        stored = await self._db.read(self._read_calls)
        if not stored:
            return
        now = self._context.time_ns()
        overdue: list[int] = []
        for key, record in stored:
            if is_overdue(record, now):
                overdue.append(key)
                continue
            try:
                self._calls.restore(key, record, self.parse_call)
            except Exception as error:  # noqa: BLE001 - one that this router does not understand stops no other
                where = self._config.path
                self._log.error("{where}: call {key} stays in the file: {error}", where=where, key=key, error=error)
        self._calls.start_behind(stored[-1][0])
        if overdue:
            self._forget(overdue)

    def _read_calls(self, txn: Transaction) -> list[tuple[int, StoredCall]]:
        return list(self._schema.calls.select(txn))

    def _forget(self, keys: Iterable[int]) -> None:
        try:
            self._submit_now(Record(lambda txn: self._schema.calls.delete_many(txn, keys), f"done: calls {keys}"))
        except ZlmdbError as error:
            where = self._config.path
            self._log.error("{where}: calls {keys} stay in the file: {error}", where=where, keys=keys, error=error)
