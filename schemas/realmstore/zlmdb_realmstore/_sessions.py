# SPDX-License-Identifier: MIT
"""The sessions of a realm, as a router tells of them and asks for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from zlmdb import Transaction
from zlmdb.errors import WrongValue, ZlmdbError
from zlmdb.plugins import Context
from zlmdb_realmstore._config import Config
from zlmdb_realmstore._life import Life
from zlmdb_realmstore._record import Record
from zlmdb_realmstore._records import Leaving, check_time, leaving_session, session_details, session_record
from zlmdb_realmstore._session import Session
from zlmdb_realmstore._storable import storable_session


class _Shutdown:
    """The close details of sessions that end with the process."""

    reason = "wamp.close.system_shutdown"
    message = None


class SessionStore(Life):
    """The part of `RealmStore` that keeps sessions."""

    def __init__(self, config: Config, context: Context, clock: Callable[[], float]) -> None:
        super().__init__(config, context, clock)
        self._joined: dict[int, tuple[Any, Session]] = {}  # by the identity of the router's session object

    def store_session_joined(self, session: Any, details: Any) -> None:
        """Store a session that joins the realm, as of now, but for what could not be read back, which is logged.

        Raises as `store_event` does.
        """
        record = session_record(session, details, self._context.time_ns())
        record, size, lost = storable_session(record, self._max_key_size, self._config.maxsize)
        if lost:
            self._log.error(
                "{where}: session {session} is stored without {lost}: these could not be read back",
                where=self._config.path,
                session=record.session,
                lost=", ".join(lost),
            )
        self._submit_now(Record(lambda txn: self._insert(txn, record), record, size=size))
        self._joined[id(session)] = session, record

    def store_session_left(self, session: Any, details: Any) -> None:
        """Store that a session left, as of now, with reason and message of the close details.

        Raises as `store_event` does. Once the store stops, sessions that were still there have left already.
        """
        known, record = self._joined.get(id(session), (None, None))
        if not (self._ending and known is session):
            leaving = leaving_session(session, details, record, self._context.time_ns())
            self._submit_now(Record(lambda txn: self._leave(txn, leaving), leaving))
        self._joined.pop(id(session), None)

    def _end(self) -> None:
        """Store that all sessions leave which are still there: the process that has them ends."""
        if self._ready and not self._ending and not self._config.readonly:
            for session, record in self._joined.values():
                try:
                    leaving = leaving_session(session, _Shutdown, record, self._context.time_ns())
                    self._submit_now(Record(partial(self._leave, leaving=leaving), leaving))
                except ZlmdbError as error:
                    self._log.error(
                        "{where}: that {session} left is not stored: {error}",
                        where=self._config.path,
                        session=record.session,
                        error=error,
                    )
        super()._end()

    def get_session_by_session_id(
        self, session_id: int, joined_before: int | None = None, *, joined_at: int | None = None
    ) -> dict[str, Any] | None:
        """Return the details of the session with this id that joined last; None if there is none.

        Times are in nanoseconds: ``joined_before`` leaves out what joined then or later, ``joined_at`` what joined
        earlier than that. Raises `WrongType` for what are no times.
        """
        check_time("joined_before", joined_before)
        check_time("joined_at", joined_at)
        found = [
            record.content
            for record in self._buffer.accepted()
            if isinstance(record.content, Session)
            and record.content.session == session_id
            and (joined_before is None or (record.content.joined_at or 0) < joined_before)
        ]
        if (db := self._readable()) is not None:
            with db.begin() as txn:
                stored = self._schema.latest_session(txn, session_id, joined_before)
            found += [stored] if stored else []
        latest = max(found, key=lambda record: record.joined_at or 0, default=None)
        if latest is None or (latest.joined_at or 0) < (joined_at or 0):
            return None
        return session_details(latest)

    def get_sessions_by_authid(self, authid: str) -> list[tuple[int, int]]:
        """Return (session id, joined at in ns) of all sessions of an authid, newest first."""
        contents = (record.content for record in self._buffer.accepted())
        found = {(c.session, c.joined_at) for c in contents if isinstance(c, Session) and c.authid == authid}
        if (db := self._readable()) is not None:
            with db.begin() as txn:
                found.update(self._schema.sessions_of(txn, authid))
        return sorted(
            ((session, joined_at or 0) for session, joined_at in found), key=lambda each: each[::-1], reverse=True
        )

    def _insert(self, txn: Transaction, record: Session) -> None:
        assert record.oid is not None
        self._schema.sessions.insert(txn, record.oid, record)

    def _leave(self, txn: Transaction, leaving: Leaving) -> None:
        oid: UUID | None = leaving.oid
        if oid is None and leaving.session_id is not None:
            oid = self._schema.latest_oid(txn, leaving.session_id)
        if oid is None or not self._schema.leave(txn, oid, *leaving[2:]):
            raise WrongValue("a session left that did not join", got=leaving, expected="a session in the store")
