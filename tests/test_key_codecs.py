# SPDX-License-Identifier: MIT
"""Key codecs: order on disk, prefixes, exactness of types, robustness."""

from __future__ import annotations

import contextlib
import enum
from typing import Any
from uuid import UUID, SafeUUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec_samples import PART_KEYS, TS, U, V, comparable
from zlmdb.codecs import (
    OID,
    PUBLISHED_MAPS,
    STRING,
    TIMESTAMP,
    UINT8,
    UINT16,
    UPGRADED,
    KeyCodec,
    Layout,
    compose,
    key_codec,
    legacy_key_codec,
)
from zlmdb.codecs import UUID as UUID_KEY
from zlmdb.errors import DecodeError, TableDeclaration, WrongType, WrongValue

SINGLES = [key_codec(name) for name in PART_KEYS]
PUBLISHED = [key_codec(name) for name in sorted({key for key, _ in PUBLISHED_MAPS.values()})]


def keys_of(codec: KeyCodec[Any]) -> st.SearchStrategy[Any]:
    """Return keys of a codec, made so that leading parts are often equal."""
    if not codec.parts:
        return PART_KEYS[codec.name]
    parts = [PART_KEYS[part.name] for part in codec.parts]
    if codec.name.startswith("StringString") and codec.layout is Layout.KEPT:
        parts = [part.map(lambda text: text.replace("\0", "")) for part in parts]
    return st.tuples(*parts)


@st.composite
def codecs(draw: st.DrawFn) -> KeyCodec[Any]:
    composed = st.lists(st.sampled_from(SINGLES), min_size=1, max_size=4).map(lambda parts: compose(*parts))
    return draw(st.sampled_from(SINGLES) | st.sampled_from(PUBLISHED) | composed)


@st.composite
def keys_with_codec(draw: st.DrawFn) -> tuple[KeyCodec[Any], list[Any]]:
    codec = draw(codecs())
    keys = draw(st.lists(keys_of(codec), min_size=1, max_size=8))
    if codec.parts and len(keys) > 1:  # keys that share leading parts are the interesting ones
        cut = draw(st.integers(0, len(codec.parts)))
        keys += [keys[0][:cut] + key[cut:] for key in keys[1:]]
    return codec, keys


@given(keys_with_codec())
def test_keys_come_back_and_sort_on_disk_as_they_do_in_python(case: tuple[KeyCodec[Any], list[Any]]) -> None:
    codec, keys = case
    stored = sorted({codec.encode(key) for key in keys})
    assert [comparable(codec.decode(data)) for data in stored] == sorted(set(keys))
    assert codec.decode_many(stored) == [codec.decode(data) for data in stored]
    if codec.size is not None:
        assert {len(data) for data in stored} == {codec.size}


@given(keys_with_codec(), st.data())
def test_a_prefix_covers_exactly_the_keys_with_these_leading_parts(
    case: tuple[KeyCodec[Any], list[Any]], data: st.DataObject
) -> None:
    codec, keys = case
    model = data.draw(st.sampled_from(keys))
    count = data.draw(st.integers(0, len(codec.parts))) if codec.parts else 1
    prefix = model[:count] if codec.parts else model
    last = prefix if not codec.parts else prefix[-1] if count == len(codec.parts) else None
    if isinstance(last, str | bytes):  # the last component may be a leading piece
        last = last[: data.draw(st.integers(0, len(last)))]
        prefix = (*prefix[:-1], last) if codec.parts else last

    def covered(key: Any) -> bool:
        if not codec.parts:
            return key.startswith(last) if isinstance(last, str | bytes) else key == prefix
        if isinstance(last, str | bytes):
            return key[:-1] == prefix[:-1] and key[-1].startswith(last)
        return key[:count] == prefix

    start = codec.encode_prefix(prefix)
    for key in keys:
        assert codec.encode(key).startswith(start) == covered(key)


@given(codecs() | st.sampled_from(sorted(UPGRADED)).map(legacy_key_codec), st.binary(max_size=80))
def test_random_bytes_decode_to_a_key_or_fail_with_a_decode_error(codec: KeyCodec[Any], data: bytes) -> None:
    try:
        codec.decode(data)
    except DecodeError:
        with pytest.raises(DecodeError) as caught:
            codec.decode_many([data])
        assert caught.value.has_got
        assert caught.value.expected
    else:
        assert len(codec.decode_many([data])) == 1


@given(keys_with_codec(), st.data())
def test_a_key_with_a_byte_cut_off_is_never_read_as_the_same_key(
    case: tuple[KeyCodec[Any], list[Any]], data: st.DataObject
) -> None:
    codec, keys = case
    stored = codec.encode(data.draw(st.sampled_from(keys)))
    with contextlib.suppress(DecodeError, WrongValue):
        assert codec.encode(codec.decode(stored[:-1])) == stored[:-1]


def test_a_decoded_uuid_is_complete() -> None:
    for key in [
        UUID_KEY.decode(U.bytes),
        *UUID_KEY.decode_many([U.bytes]),
        compose(UUID_KEY, OID).decode(U.bytes + bytes(8))[0],
    ]:
        assert key == U
        assert type(key) is UUID
        assert key.is_safe is SafeUUID.unknown
        assert hash(key) == hash(U)
        assert str(key) == str(U)


class Color(enum.IntEnum):
    RED = 7


class Name(str):
    pass


def test_subclasses_are_taken_for_what_they_are_and_bool_is_no_integer() -> None:
    assert UINT8.encode(Color.RED) == b"\7"
    assert STRING.encode(Name("a")) == b"a"
    assert TIMESTAMP.encode(Color.RED) == TIMESTAMP.encode(7)
    for codec in (UINT8, OID, TIMESTAMP):
        with pytest.raises(WrongType):
            codec.encode(True)


@pytest.mark.parametrize("value", [-1, 256, 2**100])
def test_a_number_out_of_range_is_a_wrong_value(value: int) -> None:
    with pytest.raises(WrongValue) as caught:
        UINT8.encode(value)
    assert caught.value.got == value
    assert caught.value.expected == "an int from 0 to 255"


@pytest.mark.parametrize("value", [1.0, "1", None, np.int64(1), b"1"])
def test_a_number_of_another_type_is_a_wrong_type(value: Any) -> None:
    with pytest.raises(WrongType):
        UINT16.encode(value)


def test_a_string_with_a_lone_surrogate_is_a_wrong_value() -> None:
    for codec, key in [
        (STRING, "\ud800"),
        (compose(STRING, STRING), ("\ud800", "")),
        (compose(OID, STRING), (1, "\ud800")),
    ]:
        with pytest.raises(WrongValue):
            codec.encode(key)


@pytest.mark.parametrize(
    ("unit", "count"),
    [("s", 1577836800), ("us", 1), ("ms", 5), ("m", 9), ("h", 9), ("D", 3), ("W", 2), ("M", 7), ("Y", 30)],
)
def test_a_time_of_any_unit_is_stored_in_nanoseconds(unit: str, count: int) -> None:
    time = np.datetime64(count, unit)
    assert TIMESTAMP.decode(TIMESTAMP.encode(time)) == time


@pytest.mark.parametrize(
    "time",
    [
        np.datetime64("NaT"),
        np.datetime64("NaT", "ns"),
        np.datetime64(2**62, "s"),
        np.datetime64("2263-01-01", "D"),
        np.datetime64(10_000, "Y"),
        np.datetime64("1969-12-31", "D"),
        np.datetime64(1500, "ps"),
        -1,
        2**63,
    ],
)
def test_a_time_that_cannot_be_stored_exactly_is_refused(time: Any) -> None:
    with pytest.raises(WrongValue):
        TIMESTAMP.encode(time)


def test_finer_units_are_taken_where_they_are_exact() -> None:
    assert TIMESTAMP.encode(np.datetime64(3000, "ps")) == TIMESTAMP.encode(3)


@pytest.mark.parametrize(
    ("key", "error", "part"),
    [
        ((TS,), WrongValue, None),
        ((TS, U, U), WrongValue, None),
        ([TS, U], WrongType, None),
        ("ab", WrongType, None),
        (None, WrongType, None),
        ((TS, "x"), WrongType, "part 2 (Uuid)"),
        ((1.5, U), WrongType, "part 1 (Timestamp)"),
        ((-1, U), WrongValue, "part 1 (Timestamp)"),
    ],
)
def test_a_wrong_tuple_names_the_part_that_is_wrong(key: Any, error: type[Exception], part: str | None) -> None:
    with pytest.raises(error) as caught:
        compose(TIMESTAMP, UUID_KEY).encode(key)
    assert getattr(caught.value, "where", None) == part


def test_a_prefix_that_no_key_has_is_refused() -> None:
    codec = compose(UUID_KEY, STRING)
    with pytest.raises(WrongType):
        codec.encode_prefix(U)
    with pytest.raises(WrongValue):
        codec.encode_prefix((U, "a", "b"))
    with pytest.raises(WrongType):
        codec.encode_prefix(("a",))
    assert codec.encode_prefix(()) == b""
    with pytest.raises(WrongValue):
        key_codec("Bytes16").encode_prefix(bytes(17))


def test_nested_tuple_codecs_are_flattened() -> None:
    codec = compose(compose(OID, STRING), UUID_KEY)
    assert [part.name for part in codec.parts] == ["Oid", "String", "Uuid"]
    assert codec.decode(codec.encode((1, "a", U))) == (1, "a", U)


def test_composing_nothing_or_something_else_is_refused() -> None:
    for parts in [(), ("Uuid",)]:
        with pytest.raises(TableDeclaration):
            compose(*parts)  # type: ignore[arg-type]


def test_non_final_strings_end_in_a_mark_and_escape_nul() -> None:
    assert compose(STRING, OID).encode(("a\0b", 1)) == b"a\0\xffb\0\1" + bytes(7) + b"\1"
    assert compose(STRING, STRING).encode(("a", "b\0")) == b"a\0\1b\0"


@pytest.mark.parametrize("data", [b"", b"a", b"a\0", b"a\0\2", b"a\0\xff", b"a\0\xff\0\xff", b"a\0\1\xff"])
def test_a_damaged_mark_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        compose(STRING, STRING).decode(data)


@pytest.mark.parametrize(
    "codec", [*SINGLES, *PUBLISHED, compose(UINT16, STRING, UUID_KEY)], ids=lambda codec: codec.name
)
def test_a_new_key_is_a_key(codec: KeyCodec[Any]) -> None:
    assert codec.new_key is not None
    key = codec.new_key()
    assert codec.decode(codec.encode(key)) == key


def test_new_oids_are_never_zero_and_new_strings_are_tokens() -> None:
    assert OID.new_key is not None
    assert STRING.new_key is not None
    assert all(1 <= OID.new_key() <= 2**53 for _ in range(50))
    token = STRING.new_key()
    assert [len(group) for group in token.split("-")] == [6, 6, 6, 6]
    assert V != U
