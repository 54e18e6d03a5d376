# SPDX-License-Identifier: MIT
"""The calls of a realm that wait for a callee, as a router queues them and asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from zlmdb import Transaction
from zlmdb.codecs import encoded_size
from zlmdb.errors import WrongValue, ZlmdbError
from zlmdb.plugins import Context
from zlmdb_realmstore._calls import CallQueue, ParseCall, QueuedCall, StoredCall, check_call, is_overdue, stored_call
from zlmdb_realmstore._config import Config
from zlmdb_realmstore._readable import Unreadable, readable_calls
from zlmdb_realmstore._record import Record
from zlmdb_realmstore._records import publisher_fields
from zlmdb_realmstore._sessions import SessionStore

_MOST_TOLD: Final = 10  # calls of which the log says each why it was not restored


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
        outlives the process. It is not queued if it could not be restored from there, or the file does not take it.
        """
        if not self._calls.has_room(registration):
            return False
        queued = QueuedCall(session, call, registration, authorization)
        try:
            record, size = self._stored_call(queued)
        except ZlmdbError as error:
            self._log.error("{where}: a call is not queued: {error}", where=self._config.path, error=error)
            return False
        key = None
        if record is not None:
            key = self._calls.new_key()
            try:
                self._submit_now(Record(lambda txn: self._schema.calls.insert(txn, key, record), record, size=size))
            except ZlmdbError:  # the buffer has logged it
                return False
        self._calls.put(key, queued)
        return True

    def _stored_call(self, queued: QueuedCall) -> tuple[StoredCall | None, int]:
        """Return the record of a call, None if it has none, and how many bytes that has."""
        record = stored_call(queued, publisher_fields(queued.session), self._context.time_ns())
        if record is None:
            return None, 0
        try:
            self.parse_call(record["message"])
        except Exception as error:  # the router's parser may raise anything
            raise WrongValue(f"the call could not be restored: {error}", expected="what parse_call takes") from error
        ceiling, size = self._config.maxsize, encoded_size(record)
        if ceiling is not None and size > ceiling // 2:  # it would be tried again and again
            expected = f"at most half of maxsize, {ceiling // 2} bytes"
            raise WrongValue("the call is too large", got=f"{size} bytes", expected=expected)
        return record, size

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
        failed: Unreadable = {}
        stored, last = await self._db.read(self._read_calls, failed)
        self._calls.start_behind(last)
        now = self._context.time_ns() if stored else 0
        overdue: list[int] = []
        for key, record in stored:
            try:
                check_call(record)
                if is_overdue(record, now):
                    overdue.append(key)
                else:
                    self._calls.restore(key, record, self.parse_call)
            except Exception as error:  # noqa: BLE001 - one that this router does not understand stops no other
                failed[key] = error
        self._report_failed(failed)
        if overdue:
            self._forget(overdue)

    def _report_failed(self, failed: Unreadable) -> None:
        where, count = self._config.path, len(failed)
        for key, error in islice(failed.items(), _MOST_TOLD):
            self._log.error("{where}: call {key} stays in the file: {error}", where=where, key=key, error=error)
        if failed:
            self._log.error("{where}: {count} waiting calls were not restored", where=where, count=count)

    def _read_calls(self, txn: Transaction, unreadable: Unreadable) -> tuple[list[tuple[int, StoredCall]], int]:
        """Return the calls that can be read, and the last key of any call."""
        found = list(readable_calls(self._schema.calls, txn, unreadable))
        keys = [key for key, _ in found] + [key for key in unreadable if isinstance(key, int)]
        return found, max(keys, default=0)

    def _forget(self, keys: Iterable[int]) -> None:
        try:
            self._submit_now(Record(lambda txn: self._schema.calls.delete_many(txn, keys), f"done: calls {keys}"))
        except ZlmdbError as error:
            where = self._config.path
            self._log.error("{where}: calls {keys} stay in the file: {error}", where=where, keys=keys, error=error)
