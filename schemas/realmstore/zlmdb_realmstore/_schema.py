# SPDX-License-Identifier: MIT
"""The tables of a realm: sessions as existing files have them (FORMAT.md sections 6.1 and 6.4), and the history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from zlmdb import Database, Map, Schema, Transaction, table
from zlmdb.errors import DecodeError
from zlmdb_eventhistory import EventHistory
from zlmdb_realmstore._readable import Unreadable, readable_sessions
from zlmdb_realmstore._session import Session

K = TypeVar("K")

VERSION: Final = 1  # of these tables, as a whole
_END: Final = 2**63 - 1  # the latest time that a Timestamp key can hold, in nanoseconds

AuthidKey: TypeAlias = tuple[str, int, int]


@table("403ecc06-f564-4ea9-92f2-c4c13bd2ba5a", build=Session.build, cast=Session.cast)
class Sessions(Map[UUID, Session]):
    """Sessions by their permanent id."""

    key_kind, value_kind = "Uuid", "FlatBuffers"


@table("0ea1ea1a-45f2-4352-a4a0-1fafff099c96")
class IndexSessionsBySessionId(Map[tuple[int, int], UUID]):
    """(WAMP session id, joined at) to the permanent id."""

    key_kind, value_kind = "Uint64Timestamp", "Uuid"


@table("3e823a42-4c63-4c8e-9fa1-c402ab445ef5")
class IndexSessionsByAuthid(Map[tuple[str, int, int], UUID]):
    """(authid, joined at, WAMP session id) to the permanent id; existing programs do not keep it."""

    key_kind, value_kind = "StringUint64Uint64", "Uuid"


@table("b0a25992-606c-4788-88cc-e535a3e75c63")
class WaitingCalls(Map[int, dict[str, Any]]):
    """Calls that wait for a callee, in the order in which they came; the record is `StoredCall`'s."""

    key_kind, value_kind = "Uint64", "Cbor"


class RealmSchema(Schema):
    """Sessions, events and waiting calls of a realm; the methods run inside a transaction, on any thread."""

    sessions: Sessions
    idx_sessions_by_session_id: IndexSessionsBySessionId
    idx_sessions_by_authid: IndexSessionsByAuthid
    calls: WaitingCalls
    history: EventHistory

    def attach(self, db: Database) -> None:
        """Attach the tables and the indexes."""
        self.sessions = db.attach_table(Sessions)
        self.idx_sessions_by_session_id = db.attach_table(IndexSessionsBySessionId)
        self.idx_sessions_by_authid = db.attach_table(IndexSessionsByAuthid)
        self.sessions.attach_index(
            "idx1", self.idx_sessions_by_session_id, lambda session: (session.session, session.joined_at)
        )
        self.sessions.attach_index(
            "authid",
            self.idx_sessions_by_authid,
            _authid_key,
            nullable=True,
        )
        self.calls = db.attach_table(WaitingCalls)
        self.history = db.attach(EventHistory)

    def complete_index(self, txn: Transaction, unreadable: Unreadable | None = None) -> bool:
        """Make the index by authid anew if programs without it wrote sessions; reads all. Return whether it did.

        Sessions that cannot be read are passed over, and entered into ``unreadable`` with their errors; what the index
        says of them stays. Neither are sessions in it whose authid is too long for a key, or that another one equals in
        all that makes the key.
        """
        unreadable = {} if unreadable is None else unreadable
        if self._authids_agree(txn, unreadable):
            return False
        self._remake_authids(txn, unreadable)
        return True

    def _authids_agree(self, txn: Transaction, unreadable: Unreadable) -> bool:
        owned = 0
        try:
            for oid, session in readable_sessions(self.sessions, txn, unreadable):
                key = self._key_by_authid(txn, session)
                if key is not None:
                    owner = self.idx_sessions_by_authid[txn, key]
                    if owner == oid:
                        owned += 1
                    elif not self._has_key(txn, owner, key):
                        return False
            return self.idx_sessions_by_authid.count(txn) == owned + len(self._entries_of(txn, unreadable))
        except DecodeError:  # in the index
            return False

    def _has_key(self, txn: Transaction, oid: UUID | None, key: AuthidKey) -> bool:
        """Tell whether there is a session whose key this is, too."""
        try:
            session = None if oid is None else self.sessions[txn, oid]
        except DecodeError:
            return False
        return session is not None and _authid_key(session) == key

    def _remake_authids(self, txn: Transaction, unreadable: Unreadable) -> None:
        index = self.idx_sessions_by_authid
        for _ in readable_sessions(self.sessions, txn, unreadable):
            pass  # all that cannot be read are known then, and what the index says of them can be kept
        kept = self._readable_entries_of(txn, unreadable) if unreadable else {}
        index.truncate(txn)
        for oid, session in readable_sessions(self.sessions, txn, unreadable):
            key = self._key_by_authid(txn, session)
            if key is not None and (txn, key) not in index:
                index[txn, key] = oid
        for key, oid in kept.items():
            if (txn, key) not in index:
                index[txn, key] = oid

    def _entries_of(self, txn: Transaction, unreadable: Unreadable) -> list[tuple[AuthidKey, UUID]]:
        """Return what the index by authid says of sessions that cannot be read."""
        if not unreadable:
            return []
        return [(key, oid) for key, oid in self.idx_sessions_by_authid.select(txn) if oid in unreadable]

    def _readable_entries_of(self, txn: Transaction, unreadable: Unreadable) -> dict[AuthidKey, UUID]:
        """Do what `_entries_of` does in an index with entries that cannot be read: what is between two is not found."""
        index, kept = self.idx_sessions_by_authid, dict[AuthidKey, UUID]()
        for reverse in (False, True):
            with suppress(DecodeError):  # a damaged key, which ends the way from here; there is another to behind it
                for key, oid in _readable_entries(index, txn, index.select(txn, return_values=False, reverse=reverse)):
                    if oid in unreadable:
                        kept[key] = oid
        return kept

    def _key_by_authid(self, txn: Transaction, session: Session) -> AuthidKey | None:
        key = _authid_key(session)
        if key is None or len(self.idx_sessions_by_authid.raw_key(key)) > txn.max_key_size:
            return None
        return key

    def latest_session(self, txn: Transaction, session_id: int, joined_before: int | None = None) -> Session | None:
        """Return the session with this id that joined last, or last before a time (ns, excluded).

        Sessions that cannot be read are passed over.
        """
        for oid in self._oids(txn, session_id, joined_before):
            try:
                session = self.sessions[txn, oid]
            except DecodeError:
                continue
            if session is not None:
                return session
        return None

    def latest_oid(self, txn: Transaction, session_id: int) -> UUID | None:
        """Return the key of the session with this id that joined last, whether it can be read or not."""
        return next(self._oids(txn, session_id, None), None)

    def _oids(self, txn: Transaction, session_id: int, joined_before: int | None) -> Iterator[UUID]:
        until = _END if joined_before is None else min(joined_before, _END)
        index = self.idx_sessions_by_session_id
        keys = index.select(txn, (session_id, 0), (session_id, until), return_values=False, reverse=True)
        return (oid for _, oid in _readable_entries(index, txn, keys))

    def sessions_of(self, txn: Transaction, authid: str) -> list[tuple[int, int]]:
        """Return (session id, joined at) of the sessions of an authid."""
        keys = self.idx_sessions_by_authid.select(txn, prefix=(authid,), return_values=False)
        return [(session_id, joined_at) for _, joined_at, session_id in keys]

    def leave(
        self, txn: Transaction, oid: UUID, left_at: int, reason: str | None = None, message: str | None = None
    ) -> bool:
        """Write when and why a session left; return whether there is such a session.

        Raises `DecodeError` if its record cannot be read.
        """
        session = self.sessions[txn, oid]
        if session is None:
            return False
        session.left_at, session.left_reason, session.left_message = left_at, reason, message
        self.sessions[txn, oid] = session
        return True


def _readable_entries(index: Map[K, UUID], txn: Transaction, keys: Iterable[K]) -> Iterator[tuple[K, UUID]]:
    for key in keys:
        try:
            oid = index[txn, key]
        except DecodeError:
            continue
        if oid is not None:
            yield key, oid


def _authid_key(session: Session) -> AuthidKey | None:
    """Return the key of a session in `IndexSessionsByAuthid`; None if it has no authid, or no time."""
    if session.authid is None or session.joined_at is None:
        return None
    return session.authid, session.joined_at, session.session
