# SPDX-License-Identifier: MIT
"""The catalogue of tables in slot 0: which slot a table has, and what its bytes mean (FORMAT.md section 1.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from zlmdb.errors import DecodeError, SchemaError
from zlmdb.orm.base import FIXED_SLOTS
from zlmdb.storage import Transaction, end_of_prefix, is_empty, scan

_KEY: Final = struct.Struct(">HH")
_SLOT: Final = struct.Struct(">H")
_LAST_SLOT: Final = 65535
_NAMESPACE: Final = UUID("5b0c7a4e-5a1f-5c1b-9f5e-7a6c6d646200")


@dataclass(frozen=True, slots=True)
class Slot:
    """An entry: ``oid`` is the table's identity in every file.

    ``kind`` says what the table's bytes mean (see `Map.kind`); None where another program made the entry.
    """

    oid: UUID
    slot: int
    name: str | None = None
    description: str | None = None
    kind: str | None = None

    def encode(self) -> bytes:
        """Return the entry as stored; ``kind`` is a field of ours that other readers pass over."""
        import cbor2

        record: dict[str, Any] = {"oid": str(self.oid), "name": self.name}
        if self.description:
            record["description"] = self.description
        record["creator"] = "unknown"
        record["slot"] = self.slot
        if self.kind is not None:
            record["kind"] = self.kind
        return bytes(cbor2.dumps(record))


def fixed_oid(slot: int) -> UUID:
    """Return the identity under which a table without a UUID of its own is registered at its fixed slot."""
    return uuid5(_NAMESPACE, f"slot {slot}")


def entries(txn: Transaction) -> dict[UUID, Slot]:
    """Read the whole catalogue; raise `DecodeError` for a record that is none of it."""
    return {entry.oid: entry for entry in (decode(raw, data) for raw, data in records(txn))}


def records(txn: Transaction) -> Iterator[tuple[bytes, bytes]]:
    """Yield the raw records of the catalogue in slot order."""
    for raws, datas in scan(txn, b"\0\0", b"\0\1"):
        for raw, data in zip(raws, datas, strict=True):
            if len(raw) >= _KEY.size:  # shorter keys are not the catalogue's
                yield raw, bytes(data)


def decode(raw: bytes, data: bytes) -> Slot:
    """Return the entry in a raw record; raise `DecodeError` if it is none."""
    import cbor2

    try:
        number = _KEY.unpack(raw)[1]
        record = cbor2.loads(data)
        if record["slot"] != number or not number:
            raise ValueError(f"slot {record['slot']} stands under the key of slot {number}")
        kind, name, description = record.get("kind"), record.get("name"), record.get("description")
        return Slot(UUID(record["oid"]), number, name, description, kind if isinstance(kind, str) else None)
    except Exception as exc:
        raise DecodeError(
            "a record of the catalogue cannot be read",
            where="slot 0",
            got=data,
            expected="a CBOR map with oid, name and slot",
            next_step="this is not a zlmdb database, or it is damaged: restore it from a backup",
            map="catalogue",
            slot=0,
            key=raw[2:],
        ) from exc


def write(txn: Transaction, entry: Slot) -> None:
    """Store an entry."""
    txn.put(_KEY.pack(0, entry.slot), entry.encode())


def free_slot(txn: Transaction, taken: dict[UUID, Slot]) -> int:
    """Return the slot for a new table: after the last one, or a gap if there is no room behind it.

    Slots that hold data, or that maps of this process claim by number, are passed over.
    """
    used = {entry.slot for entry in taken.values()}
    after = max(used, default=0) + 1
    candidates: list[int] = [*range(after, _LAST_SLOT + 1), *range(1, after)]
    for slot in candidates:
        if slot not in used and slot not in FIXED_SLOTS and slot_is_empty(txn, slot):
            return slot
    raise SchemaError("the catalogue is full", where="slot 0", got=len(used), expected="a free slot below 65536")


def slot_is_empty(txn: Transaction, slot: int) -> bool:
    """Tell whether a slot holds no record."""
    prefix = _SLOT.pack(slot)
    return is_empty(txn, prefix, end_of_prefix(prefix))
