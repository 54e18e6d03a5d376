# SPDX-License-Identifier: MIT
"""Ranges of a map as columns: the parts of the keys, and the fields of the records, as NumPy arrays.

Records are decoded chunk by chunk and packed into arrays in batches, so that besides the columns themselves
only a batch of Python objects lives at a time, and while a column is joined its parts.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Sequence
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from zlmdb.codecs.optional import require
from zlmdb.errors import ConfigError, SchemaError
from zlmdb.orm import ranges
from zlmdb.storage import Transaction, scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zlmdb.orm.reading import RangeReads

_BATCH: Final = 4096  # values that are packed at once
_EXACT: Final = 1 << 53  # beyond it not every integer has a float64
_HINTS: Final = (bool, int, float, str, bytes, UUID)
DTYPES: Final = {
    "Timestamp": "M8[ns]",
    "Oid": "int64",
    "Uint8": "int64",
    "Uint16": "int64",
    "Slot": "int64",
    "Uint64": "uint64",
    "Uuid": "object",
    "String": "object",
    "Bytes": "object",
    "Bytes16": "object",
    "Bytes20": "object",
    "Bytes32": "object",
}
"""The dtypes of the kinds of single keys, which single values have too."""


class Column:
    """One column that is being filled; ``kind`` is the kind of a single key, if it is known to hold such values.

    Without one the dtype follows from the values, and from ``hint``, the type that the record's class declares.
    """

    def __init__(self, kind: str | None = None, hint: type | None = None) -> None:
        self.kind = kind
        self.types: set[type] = {hint} if hint else set()
        self.parts: list[NDArray[Any]] = []
        self._pending: list[Any] = []

    def extend(self, values: Iterable[Any]) -> None:
        """Append values."""
        self._pending += values
        if len(self._pending) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Pack what was appended since the last batch."""
        if self._pending:
            types = set(map(type, self._pending))
            self.types |= types
            dtype = DTYPES.get(self.kind) if self.kind else None
            self.parts.append(_packed(self._pending, types) if dtype is None else _array(self._pending, dtype))
            self._pending = []

    def array(self) -> NDArray[Any]:
        """Return the whole column as one array."""
        numpy = require("numpy", extra="numpy")
        self.flush()
        if dtype := DTYPES.get(self.kind) if self.kind else None:
            return _joined(self.parts, dtype)
        types = self.types - {NoneType}
        complete = NoneType not in self.types
        if complete and len({(part.dtype, part.shape[1:]) for part in self.parts}) == 1 and types != {int, float}:
            return _joined(self.parts, None)
        if complete and types == {int}:
            return _integers(self.parts)
        if types and types <= {int, float}:
            return _floats(self.parts)
        if types == {numpy.datetime64}:
            return _joined([_times(part) for part in self.parts], "M8[ns]")
        if complete and not self.parts and types == {bool}:
            return _joined([], "bool")
        return _joined([_objects(part) for part in self.parts], "object")


def _array(values: Iterable[Any], dtype: str) -> NDArray[Any]:
    numpy = require("numpy", extra="numpy")
    make = numpy.fromiter if dtype == "object" else numpy.array  # which would look into items that are sequences
    found: NDArray[Any] = make(values, dtype)
    return found


def _packed(values: list[Any], types: set[type]) -> NDArray[Any]:
    """Return values as an array of their own dtype if they have one in common, otherwise of objects."""
    numpy = require("numpy", extra="numpy")
    kind = next(iter(types)) if len(types) == 1 else None
    found: NDArray[Any]
    if kind is int:
        for dtype in ("int64", "uint64"):
            try:
                return _array(values, dtype)
            except OverflowError:
                pass
    elif kind in (bool, float) or (kind and issubclass(kind, numpy.generic)):
        found = numpy.array(values)
        return found
    elif kind is numpy.ndarray and values[0].shape and len({(item.shape, item.dtype) for item in values}) == 1:
        found = numpy.stack(values)
        return found
    return _array(values, "object")


def _joined(parts: Sequence[NDArray[Any]], dtype: str | None) -> NDArray[Any]:
    numpy = require("numpy", extra="numpy")
    found: NDArray[Any] = numpy.concatenate(parts) if parts else numpy.empty(0, dtype)
    return found


def _objects(part: NDArray[Any]) -> NDArray[Any]:
    if part.dtype == object:
        return part
    # tolist() would make integers of times and lists of stacked arrays
    return _array(part.tolist() if part.ndim == 1 and part.dtype.kind in "biuf" else part, "object")


def _integers(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    dtypes = {part.dtype.name for part in parts} or {"int64"}
    if dtypes == {"int64", "uint64"} and all(part.min() >= 0 for part in parts):
        return _joined([part.astype("uint64") for part in parts], None)
    if len(dtypes) == 1:
        return _joined(parts, "int64")
    return _joined([_objects(part) for part in parts], "object")


def _floats(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return numbers as floats, NaN where there is none; as objects if a number would not stay the same."""
    if all(map(_is_exact, parts)):
        nan = float("nan")
        lists = ([nan if item is None else item for item in part] if part.dtype == object else part for part in parts)
        return _joined([_array(part, "float64") for part in lists], "float64")
    return _joined([_objects(part) for part in parts], "object")


def _is_exact(part: NDArray[Any]) -> bool:
    if part.dtype.kind == "f":
        return True
    if part.dtype == object:
        return all(type(item) is not int or -_EXACT <= item <= _EXACT for item in part)
    return max(-int(part.min()), int(part.max())) <= _EXACT


def _times(part: NDArray[Any]) -> NDArray[Any]:
    nat = require("numpy", extra="numpy").datetime64("NaT")
    return part if part.dtype != object else _array([nat if item is None else item for item in part], "M8[ns]")


# --- records -----------------------------------------------------------------------------------------


def record_class(map_: RangeReads[Any, Any]) -> type | None:
    """Return the class that the map's values are declared to have, if it is one with known fields."""
    cls = map_.table or map_.record
    return cls if isinstance(cls, type) and field_names(cls) is not None else None


def field_names(record: Any) -> list[str] | None:
    """Return the names of the fields of a record, or of its class; None for what has no fields."""
    if isinstance(record, dict):
        return list(record) if all(type(name) is str for name in record) else None
    if dataclasses.is_dataclass(record):
        return [field.name for field in dataclasses.fields(record)]
    if attributes := getattr(record, "__attrs_attrs__", None):
        return [attribute.name for attribute in attributes]
    if names := getattr(record, "__record_fields__", None):  # of a schema file
        return list(names)
    if isinstance(record, type) or not hasattr(record, "__dict__"):
        return None
    return [name for name in vars(record) if not name.startswith("_")]


class _Fields:
    """The columns of the values. What they are follows from ``fields``, or from the first record, or the class."""

    def __init__(self, map_: RangeReads[Any, Any], fields: Sequence[str] | None) -> None:
        self.columns: dict[str, Column] = {}
        self._map = map_
        self._open = fields is None  # for fields that later records bring
        self._hints = _hints(record_class(map_))
        self._rows = 0
        self._scalar = False
        for name in fields or ():
            self._add(name)

    def _add(self, name: str) -> None:
        column = self.columns[name] = Column(hint=self._hints.get(name))
        column.extend([None] * self._rows)

    def begin(self, first: Any) -> None:
        """Settle what the columns are by the first value."""
        if list(self.columns) in ([], ["value"]) and field_names(first) is None:
            self._scalar = True
            self.columns = {"value": Column(self._map.value_codec.name.partition("+")[0])}
        elif self._open:
            for name in field_names(first) or ():
                self._add(name)

    def extend(self, values: list[Any]) -> None:
        """Append a chunk of values."""
        if not self._rows:
            self.begin(values[0])
        if self._scalar:
            self.columns["value"].extend(values)
        elif set(map(type, values)) == {dict}:
            for name in dict.fromkeys(chain.from_iterable(values)) if self._open else ():
                if name not in self.columns:
                    self._add(name)
            for name, column in self.columns.items():
                column.extend([value.get(name) for value in values])
        else:
            for name, column in self.columns.items():
                column.extend(self._attribute(name, values))
        self._rows += len(values)

    def _attribute(self, name: str, values: list[Any]) -> list[Any]:
        try:
            return [value.get(name) if type(value) is dict else getattr(value, name) for value in values]
        except AttributeError as exc:
            raise ConfigError(
                f"a record has no field {name!r}",
                where=self._map.title,
                got=exc.obj,
                expected=f"records with the fields {', '.join(self.columns)}",
                next_step="name fields that all records have in fields=[…]",
            ) from exc

    def finish(self) -> dict[str, Column]:
        """Return the columns; those of an empty range by the declared class."""
        if not self._rows and self._open:
            if names := field_names(record_class(self._map)):
                for name in names:
                    self._add(name)
            elif self._map.value_kind not in ("Cbor", "Json", "FlatBuffers"):
                self.begin(None)
        return self.columns


def _hints(cls: type | None) -> dict[str, type]:
    """Return the types of the fields that are declared to have a simple one, or that or None."""
    try:
        annotations = typing.get_type_hints(cls) if cls else {}
    except NameError:
        return {}
    hints: dict[str, type] = {}
    for name, annotation in annotations.items():
        choices = set(typing.get_args(annotation) or [annotation]) - {NoneType}
        if len(choices) == 1 and (hint := choices.pop()) in _HINTS:
            hints[name] = hint
    return hints


# --- reading -----------------------------------------------------------------------------------------


def checked_names(map_: RangeReads[Any, Any], names: object) -> list[str]:
    """Return names as a list; raise `ConfigError` for what is none of texts."""
    found: list[Any] = [None] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if not all(isinstance(name, str) for name in found):
        raise ConfigError("not a list of names", where=map_.title, got=names, expected="a list of str")
    return found


def key_columns(map_: RangeReads[Any, Any], names: Sequence[str] | None) -> dict[str, Column]:
    """Return empty columns for the parts of the keys: ``key``, or ``key0``, ``key1`` …, or under the names given."""
    kinds = [part.name for part in map_.key_codec.parts] or [map_.key_codec.name]
    default = [f"key{number}" for number in range(len(kinds))] if map_.key_codec.parts else ["key"]
    chosen = default if names is None else checked_names(map_, names)
    if len(set(chosen)) != len(kinds):
        raise ConfigError(
            "not the names of the key's parts", where=map_.title, got=names, expected=f"{len(kinds)} different names"
        )
    return {name: Column(kind) for name, kind in zip(chosen, kinds, strict=True)}


def read(
    map_: RangeReads[Any, Any],
    txn: Transaction,
    bounds: tuple[bytes, bytes | None],
    fields: Sequence[str] | None,
    key_names: Sequence[str] | None,
    limit: int | None,
) -> dict[str, Column]:
    """Read a raw range into columns."""
    from zlmdb.orm.sets import SetMap

    if isinstance(map_, SetMap):
        raise SchemaError("a set-valued map has no columns", where=map_.title, next_step="use select or page")
    chosen = None if fields is None else checked_names(map_, fields)
    keys = key_columns(map_, key_names)
    found = _Fields(map_, chosen)
    with_values = chosen is None or len(chosen) > 0
    for raws, datas in scan(txn, *bounds, values=with_values, limit=limit, live=False):
        _extend_keys(map_, list(keys.values()), raws)
        if with_values:
            owned = list(map(bytes, datas)) if txn.buffers else datas  # columns outlive views
            found.extend(list(ranges.values(map_, raws, owned)))
    values = found.finish()
    if clash := sorted(keys.keys() & values.keys()):
        raise ConfigError(
            f"a field and a part of the key have the same name, {clash[0]!r}",
            where=map_.title,
            got=clash,
            expected="different names",
            next_step="give other names for the key's parts with key_names=[…]",
        )
    return {**keys, **values}


def _extend_keys(map_: RangeReads[Any, Any], columns: list[Column], raws: list[bytes]) -> None:
    found = ranges.keys(map_, raws)
    if not map_.key_codec.parts:
        columns[0].extend(found)
        return
    for column, parts in zip(columns, zip(*found, strict=True), strict=True):
        column.extend(parts)
