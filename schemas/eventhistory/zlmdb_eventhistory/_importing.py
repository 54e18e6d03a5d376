# SPDX-License-Identifier: MIT
"""The publications and events of older programs (FORMAT.md sections 6.5 and 6.6), brought into the history once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from zlmdb import Database, Map, Schema, Transaction, table
from zlmdb.codecs.flatbuffers import (
    BOOL,
    BYTES,
    CBOR_ARRAY,
    CBOR_MAP,
    STRING,
    STRING_VECTOR,
    U8,
    U64,
    U64_VECTOR,
    FlatRecord,
    flat,
)
from zlmdb.errors import DataError, DecodeError, UniqueViolation
from zlmdb_eventhistory._event import Event
from zlmdb_eventhistory._query import Subscription, check_count, check_subscription
from zlmdb_eventhistory._schema import EventHistory

_STATE: Final = "old tables"
_ALGORITHMS: Final = {1: "cryptobox", 2: "mqtt", 3: "xbr", 4: "opaque"}
_SERIALIZERS: Final = {1: "json", 2: "msgpack", 3: "cbor", 4: "ubjson", 5: "opaque", 6: "flatbuffers"}


class OldPublication(FlatRecord):
    """A publication as existing files have it."""

    timestamp: int = flat(U64)
    publication: int = flat(U64)
    publisher: int = flat(U64)
    topic: str | None = flat(STRING)
    args: list[Any] | None = flat(CBOR_ARRAY)
    kwargs: dict[str, Any] | None = flat(CBOR_MAP)
    payload: bytes | None = flat(BYTES)
    acknowledge: bool = flat(BOOL)
    retain: bool = flat(BOOL)
    exclude_me: bool = flat(BOOL)
    exclude: list[int] | None = flat(U64_VECTOR)
    exclude_authid: list[str] | None = flat(STRING_VECTOR)
    exclude_authrole: list[str] | None = flat(STRING_VECTOR)
    eligible: list[int] | None = flat(U64_VECTOR)
    eligible_authid: list[str] | None = flat(STRING_VECTOR)
    eligible_authrole: list[str] | None = flat(STRING_VECTOR)
    enc_algo: int = flat(U8)
    enc_key: bytes | None = flat(BYTES)
    enc_serializer: int = flat(U8)


class OldEvent(FlatRecord):
    """A dispatch as existing files have it."""

    timestamp: int = flat(U64)
    subscription: int = flat(U64)
    publication: int = flat(U64)
    receiver: int = flat(U64)
    retained: bool = flat(BOOL)
    acknowledged_delivery: bool = flat(BOOL)


@table("dd04931a-753b-4fde-8140-d66b93519c73", build=OldPublication.build, cast=OldPublication.cast)
class OldPublications(Map[int, OldPublication]):
    """Publications by their ids."""

    key_kind, value_kind = "Oid", "FlatBuffers"


@table("40a9df31-6065-496f-809f-027a1879654c", build=OldEvent.build, cast=OldEvent.cast)
class OldEvents(Map[tuple[int, Any], OldEvent]):
    """Dispatches by (subscription id, time)."""

    key_kind, value_kind = "OidTimestamp", "FlatBuffers"


@table("da52b55c-5ae7-467d-ae9f-9d113ebd0cb3")
class ImportOrder(Map[tuple[int, int], int]):
    """(time, publication id) of what is still to be imported, which older programs kept in the order of the ids."""

    key_kind, value_kind = "Uint64Uint64", "Uint8"


class Stage(StrEnum):
    """What an import does next."""

    SORTING = "sorting"
    PUBLICATIONS = "publications"
    DISPATCHES = "dispatches"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Imported:
    """How far an import has come, in numbers of records."""

    stage: str = Stage.SORTING.value
    publications: int = 0
    """Publications that were appended to the history."""
    dispatches: int = 0
    """Dispatches that were stored, of subscriptions that were told."""
    present: int = 0
    """Publications whose ids the history had already."""
    refused: int = 0
    """Publications that cannot be stored: without a topic, or with one that is too long."""
    unmapped: int = 0
    """Dispatches to subscription ids that are not told, or of publications that are not there."""
    damaged: int = 0
    """Records that cannot be read."""
    behind: tuple[int, ...] = ()
    """The key of the last record that was looked at in this stage."""

    @property
    def done(self) -> bool:
        """Whether there is nothing more to import."""
        return self.stage == Stage.DONE.value


@table("47d5e6b9-4b44-432d-851e-6364491fd94b")
class Imports(Map[str, Imported]):
    """How far the import has come."""

    key_kind, value_kind, record = "String", "Cbor", Imported


class OldHistory(Schema):
    """The old tables of a database, to be imported into its history before anything else is appended.

    ``old = db.attach(OldHistory)`` attaches them, which upgrades the layout of the old events (see
    `zlmdb.Database.attach_table`), and otherwise they stay as they are. ``old.subscriptions`` may be set to what the
    ids of old subscriptions stood for, as far as anybody knows: the old tables do not.
    """

    publications: OldPublications
    events: OldEvents
    order: ImportOrder
    imports: Imports
    history: EventHistory
    subscriptions: Mapping[int, Subscription]

    def attach(self, db: Database) -> None:
        """Attach the tables, and the history."""
        super().attach(db)
        self.history = db.attach(EventHistory)
        self.subscriptions = {}

    def progress(self, txn: Transaction) -> Imported:
        """Return how far the import has come."""
        return self.imports[txn, _STATE] or Imported()

    def step(self, txn: Transaction, limit: int = 1_000) -> Imported:
        """Import a slice of about ``limit`` records; return how far it has come. Call it until it is ``done``.

        Each call belongs into a write transaction of its own; after a crash the next call goes on behind the last
        one that was committed. Once it is done it does nothing, whatever the old tables hold.
        Raises `ConfigError` for a limit below 1, and for ``subscriptions`` that are none.
        """
        check_count("limit", limit)
        for subscription in self.subscriptions.values():
            check_subscription(subscription)
        state = self.progress(txn)
        if state.stage == Stage.SORTING:
            state = self._sort(txn, state, limit)
        elif state.stage == Stage.PUBLICATIONS:
            state = self._append(txn, state, limit)
        elif state.stage == Stage.DISPATCHES:
            state = self._dispatch(txn, state, limit)
        self.imports[txn, _STATE] = state
        return state

    # --- the stages

    def _sort(self, txn: Transaction, state: Imported, limit: int) -> Imported:
        damaged, behind = state.damaged, state.behind
        rows = _readable(self.publications, txn, behind[0] + 1 if behind else None, limit)
        for key, old in rows:
            behind = (key,)
            if old is None:
                damaged += 1
            else:
                self.order[txn, (old.timestamp, key)] = 0
        if len(rows) < limit:
            return replace(state, damaged=damaged, behind=(), stage=Stage.PUBLICATIONS.value)
        return replace(state, damaged=damaged, behind=behind)

    def _append(self, txn: Transaction, state: Imported, limit: int) -> Imported:
        keys = list(self.order.select(txn, return_values=False, limit=limit))
        counts = {"publications": 0, "present": 0, "refused": 0}
        for key in keys:
            counts[self._append_one(txn, key[1])] += 1
            del self.order[txn, key]
        stage = Stage.PUBLICATIONS if len(keys) == limit else Stage.DISPATCHES
        return replace(state, **_added(state, counts), stage=stage.value)

    def _append_one(self, txn: Transaction, publication: int) -> str:
        try:
            old = self.publications[txn, publication]
            if old is None or old.topic is None:
                return "refused"
            self.history.append(txn, _event(publication, old.topic, old))
        except UniqueViolation:
            return "present"
        except DataError:
            return "refused"
        return "publications"

    def _dispatch(self, txn: Transaction, state: Imported, limit: int) -> Imported:
        counts = {"dispatches": 0, "unmapped": 0, "damaged": 0}
        behind = state.behind
        rows = _readable(self.events, txn, (behind[0], behind[1] + 1) if behind else None, limit)
        for key, old in rows:
            behind = (key[0], int(key[1]))
            counts["damaged" if old is None else self._dispatch_one(txn, old)] += 1
        stage = Stage.DISPATCHES if len(rows) == limit else Stage.DONE
        return replace(state, **_added(state, counts), behind=behind, stage=stage.value)

    def _dispatch_one(self, txn: Transaction, old: OldEvent) -> str:
        subscription = self.subscriptions.get(old.subscription)
        if subscription is None or self.history.get(txn, old.publication) is None:
            return "unmapped"
        self.history.dispatch(
            txn,
            old.publication,
            subscription,
            receivers=[old.receiver],
            time_ns=old.timestamp,
            retained=old.retained,
            acknowledged=old.acknowledged_delivery,
        )
        return "dispatches"


def _added(state: Imported, counts: Mapping[str, int]) -> dict[str, Any]:
    return {name: getattr(state, name) + count for name, count in counts.items()}


def _readable(map_: Map[Any, Any], txn: Transaction, begin: Any, limit: int) -> list[tuple[Any, Any]]:
    """Return up to ``limit`` records, with None for the value of one that cannot be read."""

    def value(key: Any) -> Any:
        try:
            return map_[txn, key]
        except DecodeError:
            return None

    return [(key, value(key)) for key in map_.select(txn, begin, return_values=False, limit=limit)]


def _event(publication: int, topic: str, old: OldPublication) -> Event:
    """Return the event of an old publication; what was false or 0 there was perhaps not set, and is not set here."""
    return Event(
        publication=publication,
        topic=topic,
        time_ns=old.timestamp,
        publisher=old.publisher or None,
        args=old.args,
        kwargs=old.kwargs,
        payload=old.payload,
        acknowledge=old.acknowledge or None,
        retain=old.retain or None,
        exclude_me=old.exclude_me or None,
        exclude=old.exclude,
        exclude_authid=old.exclude_authid,
        exclude_authrole=old.exclude_authrole,
        eligible=old.eligible,
        eligible_authid=old.eligible_authid,
        eligible_authrole=old.eligible_authrole,
        enc_algo=_ALGORITHMS.get(old.enc_algo),
        enc_key=_text(old.enc_key),
        enc_serializer=_SERIALIZERS.get(old.enc_serializer),
    ).storable()


def _text(raw: bytes | None) -> str | bytes | None:
    """Return a key as the text that routers have, or as the bytes that were stored where they are no text."""
    try:
        return None if raw is None else bytes(raw).decode()
    except UnicodeDecodeError:
        return raw
