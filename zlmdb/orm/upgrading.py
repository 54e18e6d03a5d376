# SPDX-License-Identifier: MIT
"""Upgrade a table from its old layout: copy it in slices to a new slot, then switch the catalogue in one transaction.

Each slice is read without holding the writers' lock and written in a transaction of its own, which also notes in the
catalogue how far the copy has come: whoever finds it after a kill goes on from there, and of several processes
each does the slices that no other has done.

What others write to the old slot meanwhile is not lost. The whole copy is compared with the old slot in a snapshot,
and the switch is made in a transaction that LMDB numbers as the very next one: so nothing was written in between. If
others keep writing, or the copy differs, it is compared and mended inside the switching transaction.

The old slot stays as it is, under an entry that says what it holds (see `zlmdb.orm.retired`).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from zlmdb.errors import SchemaError
from zlmdb.orm import catalogue
from zlmdb.orm.catalogue import Copying, Retired, Slot
from zlmdb.orm.map import Map
from zlmdb.orm.oldlayout import OldLayout, slot_range
from zlmdb.storage import Transaction, clear, count, scan

if TYPE_CHECKING:
    from zlmdb.orm.database import Database

SLICE_RECORDS = 5000
SLICE_BYTES = 4 << 20
_ROUNDS: Final = 3  # comparisons without the writers' lock, before one with it
_SLOT: Final = struct.Struct(">H")
_LENGTHS: Final = struct.Struct(">II")


class Digest:
    """The number of records seen and a digest of their keys, without the slot, and values."""

    def __init__(self) -> None:
        self.records = 0
        self.renewed = 0
        """How many records they are in the new layout."""
        self._hash = hashlib.blake2b(digest_size=16, usedforsecurity=False)

    def add(self, raw: bytes, data: bytes) -> None:
        """Take a record in."""
        self.records += 1
        self._hash.update(_LENGTHS.pack(len(raw), len(data)) + raw + data)

    def value(self) -> bytes:
        """Return the digest."""
        return self._hash.digest()


class Slice:
    """Some old records in their new form; ``copied`` is what the catalogue is to say when they are written."""

    def __init__(self, records: list[tuple[bytes, bytes]], copied: Copying, is_last: bool) -> None:
        self.records = records
        self.copied = copied
        self.is_last = is_last


class Upgrade:
    """The upgrade of one table of ``db``, with the kinds of ``map_``. Works on the calling thread, which it blocks."""

    def __init__(self, db: Database, map_: Map[Any, Any], table: Slot) -> None:
        self._db = db
        self._map = map_
        self._oid = table.oid
        self._layout = OldLayout(map_, table.slot, db.max_key_size, db.dbpath)
        self._begun = db.environment.clock()

    def run(self) -> Slot:
        """Upgrade the table in slices and return its new entry; that of another process, if one was quicker.

        Raises `DecodeError`, `KeyTooLong` and what writing raises; the table stays in its old layout then, and
        the next `run` goes on where this one ended.
        """
        _log("%s: upgrading from the old layout to %s", self._layout.title, self._map.kind)
        while True:
            renewed = self.step()
            if renewed is not None:
                return renewed

    def step(self) -> Slot | None:
        """Copy a slice and return None; return the new entry when the table is switched to its copy."""
        with self._db.begin() as txn:
            table, copy = self._state(txn)
            if table.kind is not None:
                return table
            is_ours = self._is_ours(copy)
            found = self._read_slice(txn, table, copy if is_ours else None)
        if copy is not None and not is_ours:  # by a program that declares the table otherwise
            empty_slot(self._db, copy)
            return None
        if not found.records and found.is_last:
            return self._finish()
        with self._db.begin(write=True) as txn:
            if self._state(txn) == (table, copy):  # else another process was quicker
                self._write_slice(txn, table, copy, found)
        return None

    def is_small(self, txn: Transaction) -> bool:
        """Tell whether a single slice holds the whole table."""
        return self._read_slice(txn, self._state(txn)[0], None).is_last

    def run_inside(self, txn: Transaction) -> Slot:
        """Upgrade the whole table within a write transaction."""
        table, copy = self._state(txn)
        if copy is not None and not self._is_ours(copy):
            clear(txn, *slot_range(copy.slot))
        return self._settle(txn, table, copy)

    # --- slices

    def _state(self, txn: Transaction) -> tuple[Slot, Slot | None]:
        taken = catalogue.entries(txn)
        table, copy = taken.get(self._oid), taken.get(catalogue.copy_oid(self._oid))
        if table is None:
            raise SchemaError("the table went from the catalogue while it was upgraded", where=self._db.dbpath)
        return table, copy

    def _is_ours(self, copy: Slot | None) -> bool:
        return copy is None or copy.kind == self._map.kind

    def _read_slice(self, txn: Transaction, table: Slot, copy: Slot | None) -> Slice:
        """Read on behind what is copied already; a set is never split."""
        low, high = slot_range(table.slot)
        done = copy.copying if copy is not None else None
        after, total = (b"", 0) if done is None else (done.after, done.records)
        records: list[tuple[bytes, bytes]] = []
        size = 0
        for raws, datas in scan(txn, low if done is None else low + after + b"\0", high):
            for raw, data in zip(raws, datas, strict=True):
                if len(records) >= SLICE_RECORDS or size >= SLICE_BYTES:
                    return Slice(records, Copying(self._oid, table.slot, after, total), is_last=False)
                after = raw[2:]
                records += self._layout.renew(after, bytes(data))
                size += len(raw) + len(data)
                total += 1
        return Slice(records, Copying(self._oid, table.slot, after, total), is_last=True)

    def _write_slice(self, txn: Transaction, table: Slot, copy: Slot | None, found: Slice) -> None:
        copy = copy or self._new_copy(txn, table)
        prefix = _SLOT.pack(copy.slot)
        for raw, data in found.records:
            txn.put(prefix + raw, data)
        catalogue.write(txn, replace(copy, copying=found.copied))

    def _new_copy(self, txn: Transaction, table: Slot) -> Slot:
        slot = catalogue.free_slot(txn, catalogue.entries(txn))
        name = f"{table.name or table.oid} (being upgraded)"
        copying = Copying(self._oid, table.slot, b"", 0)
        return Slot(catalogue.copy_oid(self._oid), slot, name, None, self._map.kind, copying)

    # --- the switch

    def _finish(self) -> Slot | None:
        for _ in range(_ROUNDS):
            with self._db.begin() as txn:
                table, copy = self._state(txn)
                if table.kind is not None or not self._is_ours(copy):
                    return None
                digest = self._compare(txn, table, copy, mend=False) if copy is not None else None
                number = txn.id()
            if copy is None or digest is None:
                break
            with self._db.begin(write=True) as txn:
                if txn.id() == number + 1:
                    return self._switch(txn, table, copy, digest)
        with self._db.begin(write=True) as txn:
            table, copy = self._state(txn)
            if table.kind is not None or not self._is_ours(copy):
                return None  # another process went ahead, which the next step sees
            return self._settle(txn, table, copy)

    def _settle(self, txn: Transaction, table: Slot, copy: Slot | None) -> Slot:
        copy = copy or self._new_copy(txn, table)
        digest = self._compare(txn, table, copy, mend=True)
        if digest is None:  # records were deleted after they had been copied
            clear(txn, *slot_range(copy.slot))
            digest = self._compare(txn, table, copy, mend=True)
        assert digest is not None, "a copy made in one transaction differs"
        return self._switch(txn, table, copy, digest)

    def _compare(self, txn: Transaction, table: Slot, copy: Slot, *, mend: bool) -> Digest | None:
        """Compare the copy with the old slot; None if they differ, by more than ``mend`` can put right by writing."""
        digest = Digest()
        prefix = _SLOT.pack(copy.slot)
        for raws, datas in scan(txn, *slot_range(table.slot)):
            for raw, data in zip(raws, map(bytes, datas), strict=True):
                digest.add(raw[2:], data)
                for key, value in self._layout.renew(raw[2:], data):
                    digest.renewed += 1
                    if txn.get(prefix + key) != value:
                        if not mend:
                            return None
                        txn.put(prefix + key, value)
        return digest if count(txn, *slot_range(copy.slot)) == digest.renewed else None

    def _switch(self, txn: Transaction, table: Slot, copy: Slot, digest: Digest) -> Slot:
        renewed = replace(table, slot=copy.slot, kind=self._map.kind)
        left = Retired(table.oid, digest.records, digest.value())
        oid = catalogue.retired_oid(table.oid, table.slot)
        catalogue.write(txn, Slot(oid, table.slot, f"{table.name or table.oid} (old layout)", retired=left))
        catalogue.write(txn, renewed)
        txn.on_commit(lambda: self._tell(renewed, digest))
        return renewed

    def _tell(self, renewed: Slot, digest: Digest) -> None:
        _log(
            "%s: upgraded in %.1f s: %d records are %d in slot %d now; the old ones stay until db.drop_old_layouts()",
            self._layout.title,
            self._db.environment.clock() - self._begun,
            digest.records,
            digest.renewed,
            renewed.slot,
        )


def empty_slot(db: Database, entry: Slot) -> None:
    """Delete the records of a slot in slices, then its entry; not if the slot has become another's meanwhile."""
    left = True
    while left:
        with db.begin(write=True) as txn:
            found = catalogue.entries(txn).get(entry.oid)
            if found is None or found.slot != entry.slot:
                return
            raws = [
                raw
                for chunk, _ in scan(txn, *slot_range(entry.slot), values=False, limit=SLICE_RECORDS, live=False)
                for raw in chunk
            ]
            txn.delete_many(raws)
            left = bool(raws)
            if left:
                catalogue.write(txn, entry)
            else:
                catalogue.remove(txn, entry.slot)


def _log(text: str, *args: object) -> None:
    import logging  # costs 5 ms, which a program without old tables is spared

    logging.getLogger("zlmdb.orm").info(text, *args)
