# SPDX-License-Identifier: MIT
"""Plugins for tests, asked for as ``tests.plugin_samples:name``: notes of three schema versions, and one that fails."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from zlmdb import Database, Map, Schema, Transaction, table
from zlmdb.plugins import API_VERSION, Context, Plugin


@table("a0f6a0a6-6a3e-4a77-93a6-6a1f6e1c4d01")
class Notes(Map[int, str]):
    """Notes by number."""

    key_kind, value_kind = "Uint64", "String"


@table("a0f6a0a6-6a3e-4a77-93a6-6a1f6e1c4d02")
class NotesByText(Map[str, int]):
    """Number of each note by its text."""

    key_kind, value_kind = "String", "Uint64"


class Tables(Schema):
    """The tables of version 1."""

    notes: Notes

    def attach(self, db: Database) -> None:
        self.notes = db.attach_table(Notes)


class IndexedTables(Tables):
    """The tables of version 2."""

    by_text: NotesByText

    def attach(self, db: Database) -> None:
        self.notes = db.attach_table(Notes)
        self.by_text = db.attach_table(NotesByText)
        self.notes.attach_index("by_text", self.by_text, lambda text: text)


@dataclasses.dataclass(frozen=True)
class Config:
    """Where the notes are, and what goes wrong."""

    path: str
    maxsize: int | None = None
    readonly: bool = False
    fails: str = ""
    """The step that fails."""
    how: str = "LookupError"
    """With what: the name of an exception in `FAULTS`, or "hang", or "hang on" whoever cancels it."""


class Odd(BaseException):
    """An exception that no ``except Exception`` takes."""


class Unspeakable(Exception):
    """An exception that cannot be turned into text."""

    def __str__(self) -> str:
        raise ValueError("no text")

    def __repr__(self) -> str:
        raise ValueError("no text either")

    def __bool__(self) -> bool:
        return False


async def hang_on() -> None:
    """Wait for ever, cancelled or not."""
    while True:
        with contextlib.suppress(CancelledError):
            await Deferred()


class NotesStore:
    """Notes; each step can be made to fail or hang after it has done its work, ``early`` before."""

    tables: type[Tables] = Tables

    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self.context = context
        self.calls: list[str] = []
        self.db: Any = None
        self.schema: Any = None
        if config.fails == "create":
            raise FAULTS[config.how]("create")

    def _step(self, name: str) -> Awaitable[None] | None:
        self.calls.append(name)
        if name != self.config.fails:
            return None
        if self.config.how == "hang":
            return Deferred()
        if self.config.how == "hang on":
            return hang_on()
        if self.config.how == "fails later":
            later: Deferred[None] = Deferred()
            self.context.call_later(0, lambda: later.errback(GeneratorExit()))
            return later
        raise FAULTS[self.config.how](name)

    async def attach(self) -> None:
        config = self.config
        self.db = await self.context.open_database(
            config.path, maxsize=config.maxsize, readonly=config.readonly, sync=False
        )
        self.schema = await self.db.attach(self.tables)
        await self._pausing("attach")

    async def _pausing(self, step: str) -> None:
        if (pause := self._step(step)) is not None:
            await pause

    def migrate(self) -> Any:
        return self._step("migrate")

    def start(self) -> Any:
        return self._step("start")

    def drain(self) -> Any:
        return self._step("drain")

    async def stop(self) -> None:
        await self._pausing("stop")
        if self.db is not None:
            await self.db.close()

    def put(self, number: int, text: str) -> Deferred[None]:
        """Store a note."""
        put: Deferred[None] = self.db.write(lambda txn: self.schema.notes.__setitem__((txn, number), text))
        return put

    def get(self, number: int) -> str | None:
        """Return a note."""
        with self.db.begin() as txn:
            text: str | None = self.schema.notes[txn, number]
            return text


class IndexedNotesStore(NotesStore):
    """Version 2: it fills the index of what version 1 wrote."""

    tables = IndexedTables

    def upgrade(self, txn: Transaction, found: int) -> None:
        self.calls.append(f"upgrade from {found}")
        self.schema.notes.rebuild_index(txn, "by_text")
        if self.config.fails == "upgrade":
            raise FAULTS[self.config.how]("upgrade")


class WaitingUpgradeStore(NotesStore):
    """Its upgrade cannot run in a transaction."""

    async def upgrade(self, txn: Transaction, found: int) -> None:
        raise NotImplementedError


FAULTS: dict[str, Callable[[str], BaseException]] = {
    each.__name__: each for each in (LookupError, SystemExit, Odd, Unspeakable, KeyboardInterrupt, GeneratorExit)
}

v1 = Plugin("notes", API_VERSION, 1, Config, NotesStore)
v2 = Plugin("notes", API_VERSION, 2, Config, IndexedNotesStore)
v2_without_upgrade = Plugin("notes", API_VERSION, 2, Config, NotesStore)
v3 = Plugin("notes", API_VERSION, 3, Config, IndexedNotesStore)
waiting = Plugin("notes", API_VERSION, 2, Config, WaitingUpgradeStore)
other = Plugin("other-notes", API_VERSION, 1, Config, NotesStore)
