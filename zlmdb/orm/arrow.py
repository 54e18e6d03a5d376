# SPDX-License-Identifier: MIT
"""Ranges of a map as Arrow tables, and back.

UUIDs are fixed-size binary of 16 bytes, timestamps are in nanoseconds without a zone (they count in UTC),
NumPy arrays of one shape are tensors, None is null.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from zlmdb.codecs.optional import require
from zlmdb.errors import ConfigError, WrongType, WrongValue
from zlmdb.orm.columns import Column, key_columns, record_class
from zlmdb.storage import Transaction

if TYPE_CHECKING:
    from zlmdb.orm.map import Map
    from zlmdb.orm.reading import RangeReads

_BATCH: Final = 4096  # rows that are written at once


def _arrow() -> Any:
    return require("pyarrow", extra="arrow")


# --- to Arrow ----------------------------------------------------------------------------------------


def table(map_: RangeReads[Any, Any], columns: dict[str, Column]) -> Any:
    """Return the columns as a table; raise `WrongValue` naming a column whose values have no common Arrow type."""
    arrow = _arrow()
    found = {}
    for name, column in columns.items():
        try:
            found[name] = _chunked(arrow, column)
        except (arrow.ArrowException, OverflowError, ValueError, TypeError, NotImplementedError) as exc:
            raise WrongValue(
                f"the column {name!r} has no Arrow form: {exc}",
                where=map_.title,
                got=sorted(kind.__name__ for kind in column.types),
                expected="values of one type",
                next_step="leave the column out with fields=[…]",
            ) from exc
    return arrow.table(found)


def _chunked(arrow: Any, column: Column) -> Any:
    column.flush()
    kind = _arrow_type(arrow, column)
    if kind is None:  # whatever Arrow makes of all of them together
        if any(part.ndim > 1 for part in column.parts):
            return _tensors(arrow, column)
        return arrow.array(list(map(_plain, _items(column))), from_pandas=False)
    return arrow.chunked_array([_array(arrow, part, kind) for part in column.parts], type=kind)


def _items(column: Column) -> Iterator[Any]:
    for part in column.parts:
        yield from part.tolist()


def _arrow_type(arrow: Any, column: Column) -> Any:
    """Return the type of a column if it is one of those that are read back as they were."""
    fixed = {"Uuid": 16, "Bytes16": 16, "Bytes20": 20, "Bytes32": 32}
    if column.kind in fixed:
        return arrow.binary(fixed[column.kind])
    by_kind = {
        "Timestamp": arrow.timestamp("ns"),
        "Uint64": arrow.uint64(),
        "String": arrow.string(),
        "Bytes": arrow.binary(),
        **dict.fromkeys(("Oid", "Uint8", "Uint16", "Slot"), arrow.int64()),
    }
    if column.kind in by_kind:
        return by_kind[column.kind]
    types = {kind.__name__ for kind in column.types - {NoneType}}
    if types == {"int"} and any(part.dtype.name == "uint64" for part in column.parts):
        return arrow.uint64()
    if types == {"int", "float"}:
        return arrow.float64()
    if types == {"UUID"}:
        return arrow.binary(16)
    if types == {"datetime64"} and all(part.dtype.name in ("datetime64[ns]", "object") for part in column.parts):
        return arrow.timestamp("ns")
    simple = {
        "bool": arrow.bool_,
        "int": arrow.int64,
        "float": arrow.float64,
        "str": arrow.string,
        "bytes": arrow.binary,
    }
    return simple[types.pop()]() if len(types) == 1 and types <= simple.keys() else None


def _array(arrow: Any, part: Any, kind: Any) -> Any:
    if part.dtype != object:
        return arrow.array(part, kind, from_pandas=False)
    if arrow.types.is_timestamp(kind):
        ns = [None if item is None else int(item.astype("M8[ns]").astype("int64")) for item in part]
        return arrow.array(ns, arrow.int64()).cast(kind)
    return arrow.array([_plain(item) for item in part], kind, from_pandas=False)


def _plain(item: Any) -> Any:
    return item.bytes if type(item) is UUID else item


def _tensors(arrow: Any, column: Column) -> Any:
    tensor = arrow.FixedShapeTensorArray.from_numpy_ndarray
    return arrow.chunked_array([tensor(part) for part in column.parts])


# --- from Arrow --------------------------------------------------------------------------------------


def write(
    map_: Map[Any, Any],
    txn: Transaction,
    given: Any,
    key: str | Sequence[str] | None,
    make: Callable[..., Any] | None,
) -> int:
    """Write the rows of a table as one statement; return how many."""
    if not isinstance(given, _arrow().Table):
        raise WrongType("not an Arrow table", where=map_.title, got=given, expected="a pyarrow.Table")
    names = list(key_columns(map_, [key] if isinstance(key, str) else key))
    if missing := [name for name in names if name not in given.column_names]:
        raise ConfigError(
            f"the table lacks the key's column {missing[0]!r}",
            where=map_.title,
            got=given.column_names,
            expected=f"columns {', '.join(names)}",
            next_step="name the columns of the key with key=[…]",
        )
    value_names = [name for name in given.column_names if name not in names]
    value_of = _value_maker(map_, value_names, make)
    batches = given.to_batches(max_chunksize=_BATCH)
    rows = (_rows(map_, batch, names, value_names, value_of) for batch in batches)
    return map_.put_many(txn, chain.from_iterable(rows))


def _rows(
    map_: Map[Any, Any],
    batch: Any,
    names: Sequence[str],
    value_names: Sequence[str],
    value_of: Callable[[tuple[Any, ...]], Any] | None,
) -> Iterable[tuple[Any, Any]]:
    parts = map_.key_codec.parts
    kinds = [part.name for part in parts or (map_.key_codec,)]
    key_items = [_python(batch.column(name), kind) for name, kind in zip(names, kinds, strict=True)]
    keys = zip(*key_items, strict=True) if parts else key_items[0]
    if value_of is None:
        return zip(keys, _python(batch.column("value"), map_.value_codec.name.partition("+")[0]), strict=True)
    values = zip(*[_python(batch.column(name), None) for name in value_names], strict=True)
    return zip(keys, map(value_of, values), strict=True)


def _python(column: Any, kind: str | None) -> list[Any]:
    """Return the items of a column as what a kind of key, or a field (None), takes."""
    arrow, is_a = _arrow(), _arrow().types
    if isinstance(column, arrow.FixedShapeTensorArray):
        return [item.copy() for item in column.to_numpy_ndarray()]
    if is_a.is_timestamp(column.type) and (kind == "Timestamp" or (column.type.unit == "ns" and not column.type.tz)):
        datetime64 = require("numpy", extra="numpy").datetime64
        numbers = column.cast(arrow.timestamp("ns", column.type.tz)).cast(arrow.int64()).to_pylist()
        return [None if ns is None else datetime64(ns, "ns") for ns in numbers]
    items: list[Any] = column.to_pylist()
    is_uuid = kind == "Uuid" if kind else is_a.is_fixed_size_binary(column.type) and column.type.byte_width == 16
    return [UUID(bytes=item) if type(item) is bytes else item for item in items] if is_uuid else items


def _value_maker(
    map_: Map[Any, Any], names: Sequence[str], make: Callable[..., Any] | None
) -> Callable[[tuple[Any, ...]], Any] | None:
    """Return the function from a row's items to the value; None if the column ``value`` is the value itself."""
    cls: Any = record_class(map_)
    if make is None and cls is None and list(names) == ["value"]:
        return None
    arguments = _arguments(map_, cls, names) if make is None and cls else names
    if make is None and cls is None and map_.value_kind not in ("Cbor", "Json"):
        raise ConfigError(
            "the columns make no value of this map",
            where=map_.title,
            got=list(names),
            expected="one column named value",
            next_step="say what makes a value of a row with make=…",
        )
    build = make or cls or dict
    return lambda items: build(**dict(zip(arguments, items, strict=True)))


def _arguments(map_: Map[Any, Any], cls: Any, names: Sequence[str]) -> list[str]:
    """Return the constructor's names of the fields."""
    name = cls.__name__
    if dataclasses.is_dataclass(cls):
        known = {field.name: field.name for field in dataclasses.fields(cls) if field.init}
        needed = {
            field.name
            for field in dataclasses.fields(cls)
            if field.init and field.default is field.default_factory is dataclasses.MISSING
        }
    else:
        import attr

        known = {field.name: field.alias for field in cls.__attrs_attrs__ if field.init}
        needed = {field.name for field in cls.__attrs_attrs__ if field.init and field.default is attr.NOTHING}
    if wrong := sorted(set(names) - known.keys()) or sorted(needed - set(names)):
        raise ConfigError(
            f"the columns are not the fields of {name}: {', '.join(wrong)}",
            where=map_.title,
            got=list(names),
            expected=f"columns out of {', '.join(known)}",
            next_step="drop or add columns, or say what makes a value of a row with make=…",
        )
    return [known[name] for name in names]
