# SPDX-License-Identifier: MIT
"""The slots that upgraded tables have left: what they hold, and deleting it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from zlmdb.errors import SchemaError
from zlmdb.orm import catalogue
from zlmdb.orm.catalogue import Retired, Slot
from zlmdb.orm.oldlayout import slot_range
from zlmdb.orm.upgrading import Digest, empty_slot
from zlmdb.storage import Transaction, scan

if TYPE_CHECKING:
    from zlmdb.orm.database import Database


@dataclass(frozen=True, slots=True)
class OldLayoutSlot:
    """A slot that the table ``table`` has left, with its ``records`` in their old layout."""

    table: UUID
    name: str | None
    slot: int
    records: int


def old_layouts(db: Database) -> list[OldLayoutSlot]:
    """Return the slots that upgraded tables have left, in slot order."""
    with db.begin() as txn:
        return [_shown(entry, left) for entry, left in _left(txn)]


def drop_old_layouts(db: Database, force: bool = False) -> list[OldLayoutSlot]:
    """Delete the records of the slots that upgraded tables have left, and their entries; return what they were.

    Blocks; deletes in slices, each a transaction of its own. A kill leaves the rest to the next call. The file
    keeps its size and reuses the room; `Database.backup` makes a small copy. There is no way back to the program
    that wrote the old layout afterwards.

    Raises `SchemaError`, with nothing deleted, if a slot has changed since its table left it: the old program
    still writes there, and what it wrote is not in the table. ``force`` deletes it all the same.
    """
    with db.begin() as txn:
        found = _left(txn)
        for entry, left in found:
            if not (force or left.going):
                _check_unchanged(txn, entry, left)
    for entry, left in found:
        empty_slot(db, replace(entry, retired=replace(left, going=True)))
    return [_shown(entry, left) for entry, left in found]


def _left(txn: Transaction) -> list[tuple[Slot, Retired]]:
    entries = sorted(catalogue.entries(txn).values(), key=lambda entry: entry.slot)
    return [(entry, entry.retired) for entry in entries if entry.retired is not None]


def _shown(entry: Slot, left: Retired) -> OldLayoutSlot:
    return OldLayoutSlot(left.table, entry.name, entry.slot, left.records)


def _check_unchanged(txn: Transaction, entry: Slot, left: Retired) -> None:
    digest = Digest()
    for raws, datas in scan(txn, *slot_range(entry.slot)):
        for raw, data in zip(raws, datas, strict=True):
            digest.add(raw[2:], data)
    if (digest.records, digest.value()) != (left.records, left.digest):
        raise SchemaError(
            "the old layout of the table was changed after its upgrade, by a program that does not know of it",
            where=f"{txn.environment.path}, slot {entry.slot} ({entry.name})",
            got=f"{digest.records} records",
            expected=f"the {left.records} records that were upgraded",
            next_step="stop that program, copy what is missing into the table, then drop with force=True",
        )
