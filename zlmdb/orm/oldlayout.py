# SPDX-License-Identifier: MIT
"""Records in an old layout: which tables can hold them, and what becomes of each in the new one."""

from __future__ import annotations

import struct
from typing import Any, Final

from zlmdb.codecs import Layout, old_keys
from zlmdb.errors import DataError, DecodeError
from zlmdb.orm.map import Map
from zlmdb.orm.sets import SetMap
from zlmdb.storage import KeyTooLong, Transaction, end_of_prefix, scan

_SLOT: Final = struct.Struct(">H")


def may_be_old(map_: Map[Any, Any]) -> bool:
    """Tell whether another program stores the records of such a table in another layout than this one."""
    return map_.key_codec.layout is Layout.UPGRADED or isinstance(map_, SetMap)


def slot_range(slot: int) -> tuple[bytes, bytes | None]:
    """Return the raw range of all records of a slot."""
    prefix = _SLOT.pack(slot)
    return prefix, end_of_prefix(prefix)


def holds_packed_sets(map_: Map[Any, Any], txn: Transaction, slot: int) -> bool:
    """Tell by its first record whether a slot, of which the catalogue says nothing, holds packed sets."""
    if not isinstance(map_, SetMap):
        return False
    for raws, datas in scan(txn, *slot_range(slot), limit=1):
        try:
            map_.pairs.decode(raws[0][2:])
        except DecodeError:
            return True
        return bool(datas[0])  # a member's record is empty
    return False


class OldLayout:
    """The old layout of a table's records; ``slot`` is where they lie, ``limit`` the longest raw key in bytes."""

    def __init__(self, map_: Map[Any, Any], slot: int, limit: int, path: str) -> None:
        self._map = map_
        self._keys = old_keys(map_.key_codec.name)
        self._slot = slot
        self._limit = limit
        self.title = f"{type(map_).__name__}, {path}, slot {slot}"

    def renew(self, raw: bytes, data: bytes) -> list[tuple[bytes, bytes]]:
        """Return what becomes of an old record, given by its raw key without the slot, with raw keys likewise.

        A packed set becomes a record for each member, and the empty set none. Raises `DecodeError` naming the
        record if it is not readable, `KeyTooLong` if a new key does not fit into the file's format.
        """
        try:
            renewed = self._members(raw, data) if isinstance(self._map, SetMap) else [(self._key(raw), data)]
        except DataError as exc:
            raise self._unreadable(raw, exc) from exc
        for key, _ in renewed:
            if len(key) + _SLOT.size > self._limit:
                raise self._too_long(raw, key)
        return renewed

    def _key(self, raw: bytes) -> bytes:
        return raw if self._keys is None else self._keys.renew(raw)

    def _members(self, raw: bytes, data: bytes) -> list[tuple[bytes, bytes]]:
        map_: Any = self._map
        key = map_.key_codec.decode(self._key(raw))
        parts = key if map_.key_codec.parts else (key,)
        return [(map_.pairs.encode((*parts, member)), b"") for member in map_.value_codec.decode(data)]

    def _unreadable(self, raw: bytes, exc: DataError) -> DecodeError:
        return DecodeError(
            f"a record in the old layout cannot be read, and so the table cannot be upgraded: {exc.what}",
            where=f"{self.title}, raw key {raw.hex()}",
            got=exc.got,
            expected=exc.expected or self._map.kind,
            next_step="the table is as it was: mend or delete this record with the program that wrote it, or compare"
            " the table's declaration with that program's",
            map=type(self._map).__name__,
            slot=self._slot,
            key=raw,
        )

    def _too_long(self, raw: bytes, key: bytes) -> KeyTooLong:
        size = len(key) + _SLOT.size
        return KeyTooLong(
            "the new layout takes a few bytes more, which the format of this file does not have for this key",
            where=f"{self.title}, raw key {raw.hex()}",
            got=f"{size} bytes with the slot's two",
            expected=f"at most {self._limit} bytes",
            next_step="the table is as it was: convert the database to format 1.0 (zlmdb.convert), then attach again",
            map=type(self._map).__name__,
            size=size,
            limit=self._limit,
        )
