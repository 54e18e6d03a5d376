# SPDX-License-Identifier: MIT
"""Ranges of a map: typed bounds to raw ones, and raw chunks to typed records."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any

from zlmdb import storage
from zlmdb.errors import DataError, DecodeError
from zlmdb.storage import Transaction, end_of_prefix, scan

if TYPE_CHECKING:
    from zlmdb.orm.base import MapBase


def bounds(map_: MapBase[Any, Any], from_key: Any, to_key: Any, prefix: Any) -> tuple[bytes, bytes | None]:
    """Return the raw range of ``from_key <= key < to_key`` that begins with ``prefix``; None means unbounded."""
    slot = map_.raw_prefix
    try:
        begin = slot if prefix is None else slot + map_.key_codec.encode_prefix(prefix)
    except DataError as exc:
        raise exc.at(map_.title) from exc.__cause__
    low, high = begin, end_of_prefix(begin)
    if from_key is not None:
        low = max(low, map_.raw_key(from_key))
    if to_key is not None:
        end = map_.raw_key(to_key)
        high = end if high is None else min(high, end)
    return low, high


def count(txn: Transaction, low: bytes, high: bytes | None) -> int:
    """Count the records of a raw range."""
    return storage.count(txn, low, high)


def select(
    map_: MapBase[Any, Any],
    txn: Transaction,
    low: bytes,
    high: bytes | None,
    return_keys: bool,
    return_values: bool,
    reverse: bool,
    limit: int | None,
) -> Iterator[Any]:
    """Yield the typed records of a raw range."""
    for raws, datas in scan(txn, low, high, reverse=reverse, values=return_values, limit=limit):
        if return_keys and return_values:
            yield from zip(_keys(map_, raws), _values(map_, raws, datas), strict=True)
        elif return_keys:
            yield from _keys(map_, raws)
        elif return_values:
            yield from _values(map_, raws, datas)
        else:
            yield from repeat(None, len(raws))


def _keys(map_: MapBase[Any, Any], raws: list[bytes]) -> list[Any]:
    try:
        return map_.key_codec.decode_many([raw[2:] for raw in raws])
    except DecodeError as exc:
        for raw in raws:
            _one_key(map_, raw)
        raise exc.at(map_.title) from exc.__cause__


def _one_key(map_: MapBase[Any, Any], raw: bytes) -> Any:
    try:
        return map_.key_codec.decode(raw[2:])
    except DecodeError as exc:
        raise map_.undecodable(raw, exc) from exc


def _values(map_: MapBase[Any, Any], raws: list[bytes], datas: list[Any]) -> Iterator[Any]:
    if datas and (type(datas[0]) is bytes or map_.value_codec.views):
        decode = map_.value_codec.decode
        at = 0
        try:
            for at, data in enumerate(datas):  # noqa: B007  the place of a failure is needed below
                yield decode(data)
        except GeneratorExit:
            raise
        except Exception as exc:
            raise map_.undecodable(raws[at], exc) from exc
    else:
        yield from map(map_.from_raw, raws, datas)
