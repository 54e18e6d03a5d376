# SPDX-License-Identifier: MIT
"""The catalogue of tables in slot 0: which slot a table has, and what its bytes mean (FORMAT.md section 1.4)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import UUID, uuid5

from zlmdb.errors import DecodeError, SchemaError, SchemaTooNew
from zlmdb.orm.base import FIXED_SLOTS
from zlmdb.storage import Transaction, end_of_prefix, is_empty, scan

_KEY: Final = struct.Struct(">HH")
_SLOT: Final = struct.Struct(">H")
_LAST_SLOT: Final = 65535
_NAMESPACE: Final = UUID("5b0c7a4e-5a1f-5c1b-9f5e-7a6c6d646200")
_FIELDS: Final = frozenset({"oid", "name", "description", "slot", "kind", "copying", "retired", "version"})
# other programs may add fields that say nothing to us, and get them back; a field of ours without which an entry
# would be misunderstood comes with a higher version
_VERSION: Final = 1
_GENERATION: Final = re.compile(r":(\d+)/")
_NEWEST_GENERATION: Final = 2


@dataclass(frozen=True, slots=True)
class Copying:
    """The slot is being filled with the records of ``table`` from the slot ``source``, where they have an old layout.

    ``after`` is the last raw key that was copied, without its slot; ``records`` counts those read from ``source``.
    """

    table: UUID
    source: int
    after: bytes
    records: int


@dataclass(frozen=True, slots=True)
class Retired:
    """The slot holds the records of ``table`` in their old layout, as they were when the table left it.

    ``records`` is their number, ``digest`` that of keys and values (see `zlmdb.orm.upgrading`), ``going`` says
    that they are being deleted.
    """

    table: UUID
    records: int
    digest: bytes
    going: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """An entry: ``oid`` is the table's identity in every file.

    ``kind`` says what the table's bytes mean (see `Map.kind`); None where another program made the entry.
    ``other`` has the fields that another program put in.
    """

    oid: UUID
    slot: int
    name: str | None = None
    description: str | None = None
    kind: str | None = None
    copying: Copying | None = None
    retired: Retired | None = None
    other: dict[str, Any] = field(default_factory=dict, hash=False)

    def encode(self) -> bytes:
        """Return the entry as stored; what comes after ``slot`` is ours, and other readers pass over it."""
        import cbor2

        record: dict[str, Any] = {"oid": str(self.oid), "name": self.name}
        if self.description:
            record["description"] = self.description
        record["creator"] = "unknown"
        record["slot"] = self.slot
        if self.kind is not None:
            record["kind"] = self.kind
        for name, state in (("copying", self.copying), ("retired", self.retired)):
            if state is not None:
                record["version"] = _VERSION
                record[name] = {**asdict(state), "table": str(state.table)}
        return bytes(cbor2.dumps({**record, **self.other}))


def fixed_oid(slot: int) -> UUID:
    """Return the identity under which a table without a UUID of its own is registered at its fixed slot."""
    return uuid5(_NAMESPACE, f"slot {slot}")


def copy_oid(table: UUID) -> UUID:
    """Return the identity of the slot that a table is being copied to; other programs see a table of its own."""
    return uuid5(_NAMESPACE, f"copy of {table}")


def retired_oid(table: UUID, slot: int) -> UUID:
    """Return the identity of a slot that a table has left."""
    return uuid5(_NAMESPACE, f"slot {slot}, left by {table}")


def entries(txn: Transaction) -> dict[UUID, Slot]:
    """Read the whole catalogue.

    Raises `DecodeError` for a record that is none of it, `SchemaTooNew` for one that a newer program made.
    """
    return {entry.oid: entry for entry in (decode(raw, data) for raw, data in records(txn))}


def records(txn: Transaction) -> Iterator[tuple[bytes, bytes]]:
    """Yield the raw records of the catalogue in slot order."""
    for raws, datas in scan(txn, b"\0\0", b"\0\1"):
        for raw, data in zip(raws, datas, strict=True):
            if len(raw) >= _KEY.size:  # shorter keys are not the catalogue's
                yield raw, bytes(data)


def decode(raw: bytes, data: bytes) -> Slot:
    """Return the entry in a raw record; raise `DecodeError` if it is none, `SchemaTooNew` if it is beyond us."""
    import cbor2

    try:
        number = _KEY.unpack(raw)[1]
        record = cbor2.loads(data)
        if record["slot"] != number or not number:
            raise ValueError(f"slot {record['slot']} stands under the key of slot {number}")
        unknown = _unknown(record)
        if unknown is None:
            return _entry(number, record)
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
    raise SchemaTooNew(
        "the catalogue was written by a newer program",
        where=f"slot 0, entry of slot {number} ({record.get('name')})",
        got=unknown,
        next_step="open the database with that program, or a newer version of this one; nothing was changed",
    )


def _unknown(record: dict[str, Any]) -> str | None:
    """Say what in an entry is beyond this version; None if it is all understood."""
    kind = record.get("kind")
    if record.get("version", _VERSION) != _VERSION:
        return f"version {record['version']} of the entry"
    if not isinstance(kind, (str, type(None))):
        return f"the kind {kind!r}"
    generations = [int(number) for number in _GENERATION.findall(kind or "")]
    return f"the kind {kind}" if any(number > _NEWEST_GENERATION for number in generations) else None


def _entry(slot: int, record: dict[str, Any]) -> Slot:
    copying, retired = (
        {**state, "table": UUID(state["table"])} if (state := record.get(name)) is not None else None
        for name in ("copying", "retired")
    )
    return Slot(
        UUID(record["oid"]),
        slot,
        record.get("name"),
        record.get("description"),
        record.get("kind"),
        None if copying is None else Copying(**copying),
        None if retired is None else Retired(**retired),
        {name: value for name, value in record.items() if name not in _FIELDS},
    )


def write(txn: Transaction, entry: Slot) -> None:
    """Store an entry."""
    txn.put(_KEY.pack(0, entry.slot), entry.encode())


def remove(txn: Transaction, slot: int) -> None:
    """Delete the entry of a slot, if there is one; its records stay."""
    txn.delete(_KEY.pack(0, slot))


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
