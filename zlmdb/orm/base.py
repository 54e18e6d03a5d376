# SPDX-License-Identifier: MIT
"""What a map is before anything is read or written: its codecs, its slot, and the way from Python to raw bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID

from zlmdb.codecs import UUID as UUID_KEY
from zlmdb.codecs import KeyCodec, Layout, ValueCodec, key_codec, value_codec
from zlmdb.errors import DataError, DecodeError, EncodeError, NotAttached, TableDeclaration, WrongDatabase, WrongType
from zlmdb.orm.index import Index
from zlmdb.orm.published import MapNames
from zlmdb.storage import Environment, KeyTooLong, Transaction, end_of_prefix

K = TypeVar("K")
V = TypeVar("V")

_SLOT: Final = struct.Struct(">H")
FIXED_SLOTS: Final[set[int]] = set()
"""Slots that maps of this process claim by number; the allocator leaves them alone."""


class MapBase(MapNames, Generic[K, V]):
    """The declared part of a `zlmdb.orm.map.Map`; see there."""

    COMPRESS_ZLIB: ClassVar[int] = 1
    COMPRESS_SNAPPY: ClassVar[int] = 2

    key_kind: ClassVar[str | None] = None
    value_kind: ClassVar[str | None] = None
    record: ClassVar[Any] = None
    _zlmdb_oid: ClassVar[UUID | None] = None
    _zlmdb_marshal: ClassVar[Callable[..., Any] | None] = None
    _zlmdb_parse: ClassVar[Callable[..., Any] | None] = None
    _zlmdb_build: ClassVar[Callable[..., Any] | None] = None
    _zlmdb_cast: ClassVar[Callable[..., Any] | None] = None
    _zlmdb_compress: ClassVar[int | str | None] = None

    def __init__(
        self,
        slot: int | type | None = None,
        compress: int | str | None = None,
        *hooks: Callable[..., Any] | None,
        marshal: Callable[..., Any] | None = None,
        unmarshal: Callable[..., Any] | None = None,
        parse: Callable[..., Any] | None = None,
        build: Callable[..., Any] | None = None,
        cast: Callable[..., Any] | None = None,
        key: KeyCodec[K] | None = None,
        value: ValueCodec[V] | None = None,
    ) -> None:
        if hooks:  # the published order: (slot, compress, marshal, unmarshal) or (slot, compress, build, cast)
            if len(hooks) > 2:
                raise TableDeclaration(
                    "too many functions", where=type(self).__name__, got=hooks, expected="at most two"
                )
            first, second = (*hooks, None)[:2]
            if self.value_kind == "FlatBuffers":
                build, cast = build or first, cast or second
            else:
                marshal, unmarshal = marshal or first, unmarshal or second
        record = slot if isinstance(slot, type) else self.record
        self.table: type | None = record if isinstance(slot, type) else None
        for given, kind in ((key, KeyCodec), (value, ValueCodec)):
            if given is not None and not isinstance(given, kind):
                raise TableDeclaration(
                    f"not a {kind.__name__}",
                    where=type(self).__name__,
                    got=given,
                    expected="what zlmdb.codecs.key_codec(name) and value_codec(name) give",
                )
        self._key = key or _declared(self, self.key_kind, slot, key_codec)
        self._value = value or _declared(
            self,
            self.value_kind,
            slot,
            lambda name: value_codec(
                name,
                marshal=marshal or _hook(self, record, "_zlmdb_marshal"),
                unmarshal=unmarshal or parse or _hook(self, record, "_zlmdb_parse"),
                build=build or _hook(self, record, "_zlmdb_build"),
                cast=cast or _hook(self, record, "_zlmdb_cast"),
                record=record,
                compress=compress or _hook(self, record, "_zlmdb_compress"),
            ),
        )
        self._encode = self._value.encode
        self._decode = self._value.decode
        self._plainly = self._value.plainly
        self._filled = self._value.filled
        self._indexes: dict[str, Index] = {}
        self._index_attached_to: MapBase[Any, Any] | None = None
        self._environment: Environment | None = None
        self._home: tuple[int, int] | None = None
        self.is_still_there: Callable[[Transaction], bool] = _anywhere
        """Set by the catalogue: whether the table has this slot in the file of a transaction, which was opened anew."""
        self.retype: Callable[[str], None] | None = None
        """Set by the catalogue that bound this map: record that the slot has another kind from now on."""
        self._slot: int | None = None
        self._prefix = b""
        self._end: bytes | None = None
        self._encode_key: Callable[[K], bytes] = self._unattached
        self._uuid: type | None = None  # UUID where keys are UUIDs, which are then encoded in place: the commonest kind
        self._above = 0  # the slot above the bits of a UUID: one sum takes less time than two bytes objects
        if isinstance(slot, int) and not isinstance(slot, bool):
            FIXED_SLOTS.add(self._checked(slot))
            self.bind(slot, None)
        elif slot is not None and not isinstance(slot, type):
            raise TableDeclaration("not a slot", where=self.title, got=slot, expected="an int, a class or None")

    # --- identity

    @property
    def title(self) -> str:
        """The class's name and the slot, for messages."""
        return f"{type(self).__name__} (slot {self._slot})"

    @property
    def slot(self) -> int | None:
        """The number of the slot, None while the map is not attached."""
        return self._slot

    @property
    def raw_prefix(self) -> bytes:
        """The slot as it begins each raw key; empty while the map is not attached."""
        return self._prefix

    @property
    def raw_end(self) -> bytes | None:
        """The least raw key behind the slot; None if there is none."""
        return self._end

    @property
    def environment(self) -> Environment | None:
        """The environment the map is attached to; None for one with nothing but a slot number."""
        return self._environment

    @property
    def kind(self) -> str:
        """What the stored bytes mean, as the catalogue records it: key kind, value kind, compression."""
        # the second generation of layouts (see `Layout`) shares names with the first
        return f"{self._key.name}{'' if self._key.layout is Layout.KEPT else ':2'}/{self._value.name}"

    @property
    def home(self) -> tuple[int, int] | None:
        """Which file the map is attached to; None for one with nothing but a slot number."""
        return self._home

    @property
    def is_attached(self) -> bool:
        """Whether the map is bound to the slot of one file, and not only to a slot number."""
        return self._home is not None

    @property
    def key_codec(self) -> KeyCodec[K]:
        """The codec of the keys."""
        return self._key

    @property
    def value_codec(self) -> ValueCodec[V]:
        """The codec of the values."""
        return self._value

    def bind(self, slot: int, environment: Environment | None) -> None:
        """Bind this map to a slot; with an environment, to that file alone."""
        self._slot = self._checked(slot)
        self._prefix = _SLOT.pack(slot)
        self._end = end_of_prefix(self._prefix)
        self._environment = environment
        self._home = environment.key if environment else None
        self._encode_key = self._key.encode
        self._uuid = UUID if self._key is UUID_KEY else None
        self._above = slot << 128

    def unbind(self) -> None:
        """Forget the slot: the transaction that allocated it was rolled back."""
        self._slot = self._environment = self._home = None
        self._encode_key = self._unattached
        self._uuid = None

    def _checked(self, slot: int) -> int:
        if not 0 < slot < 65536:
            raise TableDeclaration("not a slot number", where=self.title, got=slot, expected="1 to 65535")
        return slot

    def _unattached(self, _key: object) -> bytes:
        raise NotAttached(
            "the map is not attached to a database",
            where=self.title,
            next_step="attach it with db.attach_table(…) or db.attach(Schema), or give it a slot number",
        )

    # --- from Python to raw and back

    def _pair(self, item: tuple[Transaction, K]) -> tuple[Transaction, K]:
        try:
            txn, key = item
            if txn.environment is not self._environment:
                self._check_home(txn)
        except (TypeError, ValueError, AttributeError):
            raise WrongType(
                "the subscript of a map is a transaction and a key",
                where=self.title,
                got=item,
                expected="m[txn, key]",
            ) from None
        return txn, key

    def check(self, txn: Transaction) -> None:
        """Raise unless this map is attached and ``txn`` is a transaction of its database."""
        if self._slot is None:
            self._unattached(None)
        if not isinstance(txn, Transaction):
            raise WrongType("not a transaction", where=self.title, got=txn, expected="what db.begin() gives")
        if txn.environment is not self._environment:
            self._check_home(txn)

    def ordered(self, txn: Transaction) -> Transaction:
        """Return what to read this map's raw records in: ``txn``, if they do not lie there in an old layout."""
        return txn

    def _check_home(self, txn: Transaction) -> None:
        if self._home is None:
            return  # a fixed slot number means that slot in any file
        if txn.environment.key != self._home or not self.is_still_there(txn):
            raise WrongDatabase(
                "the map is attached to another database than the transaction's",
                where=self.title,
                got=txn.environment.path,
                next_step="attach the table to that database too",
            )
        self._environment = txn.environment  # the same file, closed and opened again

    def raw_key(self, key: K) -> bytes:
        """Return slot and encoded ``key``; errors name this map."""
        try:
            return self._prefix + self._encode_key(key)
        except DataError as exc:
            raise exc.at(self.title) from exc.__cause__

    def raw_value(self, value: V) -> bytes:
        """Return the encoded ``value``; errors name this map."""
        try:
            return self._encode(value)
        except DataError as exc:
            raise exc.at(self.title) from exc.__cause__
        except Exception as exc:
            raise EncodeError(
                f"the value cannot be encoded: {exc!r}",
                where=self.title,
                got=value,
                expected=self.kind,
            ) from exc

    def check_length(self, raw: bytes, limit: int) -> None:
        """Raise `KeyTooLong` if the raw key does not fit into the file's format (bytes)."""
        if len(raw) > limit:
            raise KeyTooLong(
                "the key is too long for the format of this file",
                where=self.title,
                got=f"{len(raw)} bytes with the slot's two",
                expected=f"at most {limit} bytes",
                next_step="shorten it, or keep long texts in the value",
                map=type(self).__name__,
                size=len(raw),
                limit=limit,
            )

    def from_raw(self, raw: bytes, data: Any) -> V:
        """Decode a stored value; `DecodeError` names map, slot and key."""
        try:
            if type(data) is not bytes and not self._value.views:
                data = bytes(data)
            return self._decode(data)
        except Exception as exc:
            raise self.undecodable(raw, exc) from exc

    def undecodable(self, raw: bytes, cause: Exception) -> DecodeError:
        """Return the error for a record that cannot be read."""
        try:
            key: Any = self._key.decode(raw[2:])
        except DecodeError:
            key = raw[2:]
        return DecodeError(
            f"a stored record cannot be decoded: {getattr(cause, 'what', None) or repr(cause)}",
            where=f"{self.title}, key {key!r}",
            got=getattr(cause, "got", None) or "its bytes",
            expected=getattr(cause, "expected", None) or self.kind,
            next_step="check that the table has the kinds and functions it was written with, or delete the record",
            map=type(self).__name__,
            slot=self._slot,
            key=key,
        )


def _anywhere(_txn: Transaction) -> bool:
    return True


def _hook(map_: MapBase[Any, Any], record: Any, name: str) -> Any:
    return getattr(type(map_), name) or getattr(record, name, None)


def _declared(map_: MapBase[Any, Any], name: str | None, slot: object, make: Callable[[str], Any]) -> Any:
    if name is None and isinstance(slot, int):
        name = "Bytes"  # a table of which nothing but the number is known: its records as they are stored
    if name is None:
        raise TableDeclaration(
            "the map has no codecs",
            where=type(map_).__name__,
            expected="a named map type such as MapUuidCbor, or Map(key=…, value=…)",
        )
    return make(name)
