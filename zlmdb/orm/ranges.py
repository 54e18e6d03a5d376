# SPDX-License-Identifier: MIT
"""Ranges of a map: typed bounds to raw ones, and raw chunks to typed records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from operator import itemgetter, length_hint
from typing import TYPE_CHECKING, Any, Final

from zlmdb import storage
from zlmdb.codecs import TIMESTAMP, KeyCodec
from zlmdb.codecs.base import MARK
from zlmdb.codecs.optional import require
from zlmdb.errors import DataError, DecodeError
from zlmdb.storage import Transaction, end_of_prefix, scan

if TYPE_CHECKING:
    from zlmdb.orm.reading import RangeReads

_without_slot: Final = itemgetter(slice(2, None))
_FEW: Final = 8  # keys; fewer are decoded sooner one by one than in columns
_MANY: Final = 32  # keys; fewer are decoded sooner by `KeyCodec.decode_few`, where there is one
KeyReader = Callable[[list[bytes]], Iterable[Any]]
"""From raw keys to keys."""


def bounds(map_: RangeReads[Any, Any], from_key: Any, to_key: Any, prefix: Any) -> tuple[bytes, bytes | None]:
    """Return the raw range of ``from_key <= key < to_key`` that begins with ``prefix``; None means unbounded."""
    low, high = map_.raw_prefix, map_.raw_end
    if prefix is not None:
        try:
            low += map_.key_codec.encode_prefix(prefix)
        except DataError as exc:
            raise exc.at(map_.title) from exc.__cause__
        high = end_of_prefix(low)
    if from_key is not None:
        low = max(low, raw_bound(map_, from_key))
    if to_key is not None:
        end = raw_bound(map_, to_key)
        high = end if high is None else min(high, end)
    return low, high


def raw_bound(map_: RangeReads[Any, Any], key: Any) -> bytes:
    """Return the raw form of a bound: a key, or the first parts of a tuple key, which sort before all that follows."""
    codec = map_.key_codec
    if type(key) is tuple and len(key) < len(codec.parts):
        try:
            return map_.raw_prefix + codec.encode_prefix(key)
        except DataError as exc:
            raise exc.at(map_.title) from exc.__cause__
    return map_.raw_key(key)


def count(txn: Transaction, low: bytes, high: bytes | None) -> int:
    """Count the records of a raw range."""
    return storage.count(txn, low, high)


def select(
    map_: RangeReads[Any, Any],
    txn: Transaction,
    low: bytes,
    high: bytes | None,
    return_keys: bool,
    return_values: bool,
    reverse: bool,
    limit: int | None,
    live: bool,
) -> Iterator[Any]:
    """Return an iterator over the typed records of a raw range."""
    chunks = scan(txn, low, high, reverse=reverse, values=return_values, limit=limit, live=live)
    found: Iterable[Iterable[Any]]
    if return_keys and return_values:
        if map_.value_codec.plainly is not None:
            return _documents(map_, chunks)
        found = (zip(keys(map_, raws), values(map_, raws, datas), strict=True) for raws, datas in chunks)
    elif return_keys:
        found = (keys(map_, raws) for raws, _ in chunks)
    elif return_values:
        found = (values(map_, raws, datas) for raws, datas in chunks)
    else:
        found = (repeat(None, len(raws)) for raws, _ in chunks)
    return chain.from_iterable(found)  # steps from record to record without running Python


def _documents(map_: RangeReads[Any, Any], chunks: Iterable[tuple[list[bytes], list[Any]]]) -> Iterator[Any]:
    """Yield the records of a map whose values most often need no call of ours to be read."""
    decode, plainly = map_.value_codec.decode, map_.value_codec.plainly
    assert plainly is not None
    for raws, datas in chunks:
        rest = iter(datas)
        found = zip(keys(map_, raws), rest, strict=True)
        try:
            for key, data in found:
                yield key, plainly(data) if MARK not in data else decode(data)
        except Exception:  # decoders raise what they like; it is raised again
            at = -1 - length_hint(rest)
            map_.from_raw(raws[at], datas[at])  # raises what says which record it was
            raise


def keys(map_: RangeReads[Any, Any], raws: list[bytes]) -> Iterable[Any]:
    """Return the keys of raw records; `DecodeError` names the first that cannot be read."""
    try:
        return map_.read_keys(raws)
    except DecodeError as exc:
        for raw in raws:
            _one_key(map_, raw)
        raise exc.at(map_.title) from exc.__cause__


def key_reader(codec: KeyCodec[Any]) -> KeyReader:
    """Build the function that decodes raw keys, the slot's two bytes before them, column by column."""
    many, one, few = _column_reader(codec) or codec.decode_many, codec.decode, codec.decode_few
    skip = 2 if many is codec.decode_many else 0

    def read(raws: list[bytes]) -> Iterable[Any]:
        if few is not None and len(raws) < _MANY:
            return few(raws)
        if len(raws) < _FEW:
            return [one(raw[2:]) for raw in raws]
        return many(list(map(_without_slot, raws)) if skip else raws)

    return read


def _column_reader(codec: KeyCodec[Any]) -> KeyReader | None:
    """Cut columns out of the raw keys, where all parts are of fixed size and so stand at fixed places."""
    if not codec.parts or codec.size is None:
        return None
    width, start = codec.size + 2, 2
    columns: list[KeyReader] = []
    for part in codec.parts[:-1]:
        end = start + (part.size or 0)
        columns.append(_timestamps(width, start) if part is TIMESTAMP else _cut(part, slice(start, end)))
        start = end
    columns.append(_cut(codec.parts[-1], slice(start, None)))  # refuses keys of another length
    if len(columns) == 2:
        first, second = columns
        return lambda raws: zip(first(raws), second(raws), strict=True)
    return lambda raws: zip(*[column(raws) for column in columns], strict=True)


def _cut(part: KeyCodec[Any], place: slice) -> KeyReader:
    cut, many = itemgetter(place), part.decode_many
    return lambda raws: many(list(map(cut, raws)))


def _timestamps(width: int, start: int) -> KeyReader:
    """Read timestamps where they stand: NumPy needs no bytes object for each."""
    numpy = require("numpy", extra="numpy")
    array, stored, wanted = numpy.ndarray, numpy.dtype(">i8"), numpy.dtype("M8[ns]")

    def read(raws: list[bytes]) -> list[Any]:
        joined = b"".join(raws)
        if len(joined) != width * len(raws):
            raise DecodeError("a key has another length than all of its kind", expected=f"{width - 2} bytes")
        return list(array(len(raws), stored, joined, start, width).astype(wanted))

    return read


def _one_key(map_: RangeReads[Any, Any], raw: bytes) -> Any:
    try:
        return map_.key_codec.decode(raw[2:])
    except DecodeError as exc:
        raise map_.undecodable(raw, exc) from exc


def values(map_: RangeReads[Any, Any], raws: list[bytes], datas: list[Any]) -> Iterator[Any]:
    """Yield the values of raw records, each decoded when it is asked for; `DecodeError` names its record."""
    codec = map_.value_codec
    if not datas or not (type(datas[0]) is bytes or codec.views):
        yield from map(map_.from_raw, raws, datas)
        return
    rest = iter(datas)
    try:
        yield from map(codec.decode, rest)
    except Exception as exc:
        raise map_.undecodable(raws[-1 - length_hint(rest)], exc) from exc
