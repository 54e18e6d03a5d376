# SPDX-License-Identifier: MIT
"""Tuple keys: several single keys side by side, in an order-preserving layout.

Parts of fixed size stand raw. A part of varying size that is not the last one ends in a mark, so that
``("a", x)`` and ``("ab", y)`` neither mix nor interleave; how it ends is the difference between layouts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from zlmdb.errors import DecodeError, EncodeError, TableDeclaration, WrongType, WrongValue

from .base import KeyCodec, Layout
from .scalars import UUID
from .timestamps import TIMESTAMP, timestamped_uuids

Encoder = Callable[[Any], bytes]
Row = Sequence[bytes]  # the raw parts of one key
Step = Callable[[bytes, int], tuple[bytes, int]]  # (key, offset) to (raw part, next offset)


class Ending(Enum):
    """How a part of varying size is told from what follows it."""

    ESCAPED = "00 01, and a NUL inside is 00 FF"
    NUL = "00, and a NUL inside is refused"
    NONE = "not at all: what follows has fixed size"


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a tuple key."""

    codec: KeyCodec[Any]
    ending: Ending = Ending.ESCAPED
    accept: Callable[[Any], Any] | None = None
    """Turns values that published kinds take besides the ordinary ones (None) into ordinary ones."""


def compose(*codecs: KeyCodec[Any]) -> KeyCodec[tuple[Any, ...]]:
    """Make the codec of tuples of these single codecs; tuple codecs among them are flattened.

    Raises `TableDeclaration` when nothing or something else than a codec is given.
    """
    singles: list[KeyCodec[Any]] = []
    for codec in codecs:
        if not isinstance(codec, KeyCodec):
            raise TableDeclaration("a key is composed of key codecs", got=codec, expected="a KeyCodec such as UUID")
        singles += codec.parts or (codec,)
    if not singles:
        raise TableDeclaration("a tuple key needs parts", expected="at least one KeyCodec")
    name = "".join(codec.name for codec in singles)
    return tuple_codec(name, [Part(codec) for codec in singles], Layout.NEW)


def tuple_codec(name: str, parts: Sequence[Part], layout: Layout) -> KeyCodec[tuple[Any, ...]]:
    """Build the codec of a tuple key from the description of its parts."""
    codecs = tuple(part.codec for part in parts)
    sizes = [codec.size for codec in codecs]
    rows = _row_splitter(parts)
    decode = _decoder(name, parts, rows)
    fresh = [codec.new_key for codec in codecs if codec.new_key]
    return KeyCodec(
        name,
        _encoder(name, parts),
        decode,
        _many_decoder(parts, rows, decode),
        _prefix_encoder(name, parts),
        size=None if None in sizes else sum(size or 0 for size in sizes),
        decode_few=timestamped_uuids if codecs == (TIMESTAMP, UUID) else None,
        parts=codecs,
        new_key=(lambda: tuple([new() for new in fresh])) if len(fresh) == len(parts) else None,
        layout=layout,
    )


# --- writing -----------------------------------------------------------------------------------------


def _escaping(encode: Encoder) -> Encoder:
    def encode_part(value: Any) -> bytes:
        raw = encode(value)
        return (raw.replace(b"\0", b"\0\xff") if b"\0" in raw else raw) + b"\0\1"

    return encode_part


def _refusing_nul(encode: Encoder, end: bytes) -> Encoder:
    def encode_part(value: Any) -> bytes:
        raw = encode(value)
        if b"\0" in raw:
            raise WrongValue("a NUL ends the string in this kind of key", got=value, expected="a str without NUL")
        return raw + end

    return encode_part


def _part_encoder(part: Part, *, last: bool) -> Encoder:
    encode = part.codec.encode
    if part.codec.size is not None or part.ending is Ending.NONE:
        return encode
    if part.ending is Ending.NUL:
        return _refusing_nul(encode, b"" if last else b"\0")
    return encode if last else _escaping(encode)


def _part_encoders(parts: Sequence[Part]) -> list[Encoder]:
    return [_part_encoder(part, last=part is parts[-1]) for part in parts]


def _accepting(encode: Encoder, accept: Callable[[Any], Any] | None) -> Encoder:
    return encode if accept is None else lambda value: encode(accept(value))


def _shape(parts: Sequence[Part]) -> str:
    return f"a tuple ({', '.join(part.codec.name for part in parts)})"


def _encoder(name: str, parts: Sequence[Part]) -> Encoder:
    """Try the plain way first; whatever it cannot take, the careful way takes or explains."""
    encoders = _part_encoders(parts)
    careful = _careful_encoder(name, parts, [_accepting(e, p.accept) for e, p in zip(encoders, parts, strict=True)])
    quick = _quick_encoder(encoders)

    def encode(key: tuple[Any, ...]) -> bytes:
        if type(key) is tuple:
            try:
                return quick(key)
            except (EncodeError, ValueError):
                pass  # a wrong number of parts, a wrong part, or one to be accepted
        return careful(key)

    if len(parts) != 2:
        return encode
    first, second = encoders

    def encode_pair(key: tuple[Any, ...]) -> bytes:  # the commonest shape, without a second call
        if type(key) is tuple:
            try:
                a, b = key
                return first(a) + second(b)
            except (EncodeError, ValueError):
                pass
        return careful(key)

    return encode_pair


def _quick_encoder(encoders: Sequence[Encoder]) -> Callable[[tuple[Any, ...]], bytes]:
    if len(encoders) == 3:
        first, second, third = encoders

        def encode_three(key: tuple[Any, ...]) -> bytes:
            a, b, c = key
            return first(a) + second(b) + third(c)

        return encode_three
    return lambda key: b"".join([encode(item) for encode, item in zip(encoders, key, strict=True)])


def _careful_encoder(name: str, parts: Sequence[Part], encoders: Sequence[Encoder]) -> Encoder:
    def encode(key: Any) -> bytes:
        if not isinstance(key, tuple):
            raise WrongType(f"a {type(key).__name__} is no {name} key", got=key, expected=_shape(parts))
        if len(key) != len(parts):
            raise WrongValue(f"a {name} key has {len(parts)} parts", got=key, expected=_shape(parts))
        return b"".join(_located(parts, encoders, key))

    return encode


def _located(parts: Sequence[Part], encoders: Sequence[Encoder], key: tuple[Any, ...]) -> Iterable[bytes]:
    """Encode the parts given, naming the one that fails."""
    for number, (part, encode, item) in enumerate(zip(parts, encoders, key, strict=False), start=1):
        try:
            yield encode(item)
        except EncodeError as error:
            error.at(f"part {number} ({part.codec.name})")
            raise


def _prefix_encoder(name: str, parts: Sequence[Part]) -> Encoder:
    encoders = _part_encoders(parts)
    last = parts[-1]
    piece = last.codec.encode_prefix
    if last.ending is Ending.NUL and last.codec.size is None:
        piece = _refusing_nul(piece, b"")
    # the last part may be a leading piece: it alone is encoded otherwise than in a whole key
    encoders[-1] = piece
    accepting = [_accepting(encode, part.accept) for encode, part in zip(encoders, parts, strict=True)]

    def encode_prefix(prefix: Any) -> bytes:
        if not isinstance(prefix, tuple):
            raise WrongType(f"a {type(prefix).__name__} begins no {name} key", got=prefix, expected="a tuple")
        if len(prefix) > len(parts):
            start = f"the start of {_shape(parts)}"
            raise WrongValue(f"a {name} key has {len(parts)} parts", got=prefix, expected=start)
        return b"".join(_located(parts, accepting, prefix))

    return encode_prefix


# --- reading -----------------------------------------------------------------------------------------


def _fixed_step(size: int) -> Step:
    return lambda data, start: (data[start : start + size], start + size)


def _rest_step(tail: int, *, nul: bool = True) -> Step:
    """Take everything but the ``tail`` bytes of the fixed parts that follow."""

    def step(data: bytes, start: int) -> tuple[bytes, int]:
        end = len(data) - tail
        raw = data[start:end]
        if end < start or (not nul and b"\0" in raw):
            raise DecodeError("the key is too short or holds a stray NUL")
        return raw, end

    return step


def _nul_step(data: bytes, start: int) -> tuple[bytes, int]:
    end = data.find(b"\0", start)
    if end < 0:
        raise DecodeError("a string lacks the NUL at its end")
    return data[start:end], end + 1


def _escaped_step(data: bytes, start: int) -> tuple[bytes, int]:
    at = data.find(b"\0", start)
    while data[at + 1 : at + 2] == b"\xff" and at >= 0:
        at = data.find(b"\0", at + 2)
    if at < 0 or data[at + 1 : at + 2] != b"\1":
        raise DecodeError("a string or bytes part lacks the 00 01 at its end")
    return data[start:at].replace(b"\0\xff", b"\0"), at + 2


def _steps(parts: Sequence[Part]) -> list[Step]:
    steps: list[Step] = []
    for index, part in enumerate(parts):
        following = parts[index + 1 :]
        if part.codec.size is not None:
            steps.append(_fixed_step(part.codec.size))
        elif not following or part.ending is Ending.NONE:
            tail = sum(after.codec.size or 0 for after in following)
            steps.append(_rest_step(tail, nul=part.ending is not Ending.NUL))
        else:
            steps.append(_nul_step if part.ending is Ending.NUL else _escaped_step)
    return steps


def _row_splitter(parts: Sequence[Part]) -> Callable[[bytes], Row]:
    steps = _steps(parts)

    def split(data: bytes) -> Row:
        row, at = [], 0
        for step in steps:
            raw, at = step(data, at)
            row.append(raw)
        if at != len(data):
            raise DecodeError(f"the key has {len(data)} bytes")
        return row

    return split


def _decoder(name: str, parts: Sequence[Part], split: Callable[[bytes], Row]) -> Callable[[bytes], tuple[Any, ...]]:
    quick = _cutting_decoder(parts) or _splitting_decoder(parts, split)

    def decode(data: bytes) -> tuple[Any, ...]:
        try:
            return quick(data)
        except DecodeError as error:
            raise _undecodable(name, parts, data, error) from error

    if len(parts) != 2 or parts[0].codec.size is None or parts[1].ending is Ending.NUL:
        return decode
    cut = parts[0].codec.size
    first, second = (part.codec.decode for part in parts)

    def decode_pair(data: bytes) -> tuple[Any, ...]:  # the commonest shape, without a second call
        try:
            return (first(data[:cut]), second(data[cut:]))
        except DecodeError as error:
            raise _undecodable(name, parts, data, error) from error

    return decode_pair


def _splitting_decoder(parts: Sequence[Part], split: Callable[[bytes], Row]) -> Callable[[bytes], tuple[Any, ...]]:
    decoders = [part.codec.decode for part in parts]
    return lambda data: tuple([decode(raw) for decode, raw in zip(decoders, split(data), strict=True)])


def _cutting_decoder(parts: Sequence[Part]) -> Callable[[bytes], tuple[Any, ...]] | None:
    """Cut at fixed places if only the last part may vary in size: each part checks its own length."""
    sizes = [part.codec.size for part in parts[:-1]]
    if None in sizes or parts[-1].ending is Ending.NUL:
        return None
    cuts = [sum(size or 0 for size in sizes[:count]) for count in range(len(parts))]
    decoders = [part.codec.decode for part in parts]
    if len(parts) == 3:
        _, one, two = cuts
        first, second, third = decoders
        return lambda data: (first(data[:one]), second(data[one:two]), third(data[two:]))
    plan = list(zip(decoders, map(slice, cuts, [*cuts[1:], None]), strict=True))
    return lambda data: tuple([decode(data[where]) for decode, where in plan])


def _undecodable(name: str, parts: Sequence[Part], data: bytes, error: DecodeError) -> DecodeError:
    return DecodeError(f"a stored {name} key cannot be read: {error.what}", got=bytes(data), expected=_shape(parts))


def _many_decoder(
    parts: Sequence[Part], split: Callable[[bytes], Row], decode: Callable[[bytes], tuple[Any, ...]]
) -> Callable[[Sequence[bytes]], list[tuple[Any, ...]]]:
    """Decode column by column, because a part may know a quicker way for many (NumPy for timestamps)."""
    columns = [part.codec.decode_many for part in parts]
    split_all = _fixed_rows(parts) or (lambda rows: [split(data) for data in rows])

    def decode_many(rows: Sequence[bytes]) -> list[tuple[Any, ...]]:
        if not rows:
            return []
        try:
            raw_columns = zip(*split_all(rows), strict=True)
            return list(zip(*[many(raw) for many, raw in zip(columns, raw_columns, strict=True)], strict=True))
        except DecodeError:
            return list(map(decode, rows))  # fails again, and names the key

    return decode_many


def _fixed_rows(parts: Sequence[Part]) -> Callable[[Sequence[bytes]], Iterable[Row]] | None:
    if any(part.codec.size is None for part in parts):
        return None
    record = struct.Struct("".join(f"{part.codec.size}s" for part in parts))
    size = record.size

    def split_all(rows: Sequence[bytes]) -> Iterable[Row]:
        if any(len(data) != size for data in rows):
            raise DecodeError("a key has another length than all of its kind")
        return record.iter_unpack(b"".join(rows))

    return split_all
