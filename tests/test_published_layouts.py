# SPDX-License-Identifier: MIT
"""The bytes of published kinds: FORMAT.md's own examples, None, and the old layouts of upgraded kinds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.codec_samples import B16, B20, KEY_EXAMPLES, LEGACY_EXAMPLES, TS, VALUE_EXAMPLES, U, V, comparable
from zlmdb.codecs import PUBLISHED_MAPS, UPGRADED, Layout, key_codec, legacy_key_codec, value_codec
from zlmdb.errors import DecodeError, EncodeError, WrongType, WrongValue

ZERO = UUID(int=0)


@pytest.mark.parametrize(("name", "key", "stored"), KEY_EXAMPLES)
def test_a_published_key_has_the_bytes_of_the_specification(name: str, key: Any, stored: str) -> None:
    codec = key_codec(name)
    assert codec.encode(key).hex() == stored
    assert codec.decode(bytes.fromhex(stored)) == key
    assert codec.decode_many([bytes.fromhex(stored)] * 3) == [key] * 3
    assert codec.name == name


def test_the_examples_cover_every_published_key_kind() -> None:
    assert {name for name, _, _ in KEY_EXAMPLES} == {key for key, _ in PUBLISHED_MAPS.values()}


@pytest.mark.parametrize(("name", "value", "stored"), VALUE_EXAMPLES)
def test_a_published_value_has_the_bytes_of_the_specification(name: str, value: Any, stored: str) -> None:
    codec = value_codec(name)
    assert codec.encode(value).hex() == stored
    assert codec.decode(bytes.fromhex(stored)) == value


def test_the_examples_cover_every_published_value_kind_but_flatbuffers() -> None:
    assert {value for _, value in PUBLISHED_MAPS.values()} - {name for name, _, _ in VALUE_EXAMPLES} == {"FlatBuffers"}


@pytest.mark.parametrize(("name", "key", "stored"), LEGACY_EXAMPLES)
def test_the_old_layout_of_an_upgraded_kind_can_be_read(name: str, key: Any, stored: str) -> None:
    legacy = legacy_key_codec(name)
    assert legacy is not None
    assert legacy.decode(bytes.fromhex(stored)) == key
    assert legacy.encode(key).hex() == stored
    assert legacy.decode_many([bytes.fromhex(stored)] * 2) == [key] * 2


def test_the_old_layout_of_a_string_tuple_is_read_by_its_length() -> None:
    legacy = legacy_key_codec("StringOid")
    assert legacy is not None
    assert legacy.decode(legacy.encode(("", 5))) == ("", 5)
    with pytest.raises(DecodeError):
        legacy.decode(b"1234567")


def test_exactly_the_upgraded_kinds_say_so() -> None:
    for name in {key for key, _ in PUBLISHED_MAPS.values()}:
        expected = Layout.UPGRADED if name in UPGRADED else Layout.KEPT
        assert key_codec(name).layout is expected
        assert (legacy_key_codec(name) is not None) == (name in UPGRADED)
    assert key_codec("UuidUint16").layout is Layout.NEW


@pytest.mark.parametrize(
    ("name", "key", "as_if"),
    [
        ("UuidUuid", (None, V), (ZERO, V)),
        ("UuidUuidUuid", (U, None, V), (U, ZERO, V)),
        ("UuidUuidUuidUuid", (U, V, None, V), (U, V, ZERO, V)),
        ("UuidBytes20Uint8", (None, None, None), (ZERO, bytes(20), 0)),
        ("UuidBytes20Uint8Uuid", (U, None, None, None), (U, bytes(20), 0, ZERO)),
        ("TimestampUuid", (None, None), (0, ZERO)),
        ("TimestampUuidString", (None, None, None), (0, ZERO, "")),
        ("TimestampString", (None, None), (0, "")),
        ("StringTimestamp", (None, None), ("", 0)),
        ("Uint16UuidTimestamp", (None, None, None), (0, ZERO, 0)),
        ("Uint64Timestamp", (None, None), (0, 0)),
        ("UuidString", (None, None), (ZERO, "")),
        ("Bytes20Timestamp", (None, TS), (bytes(20), TS)),
        ("Bytes16Timestamp", (b"", TS), (bytes(16), TS)),
    ],
)
def test_none_in_the_listed_kinds_is_filled_with_zeros(name: str, key: Any, as_if: Any) -> None:
    assert key_codec(name).encode(key) == key_codec(name).encode(as_if)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Uuid", None),
        ("OidOid", (1, None)),
        ("OidTimestamp", (None, TS)),
        ("OidTimestamp", (1, None)),
        ("UuidUuidString", (U, None, "a")),
        ("UuidUuidString", (U, V, None)),
        ("SlotUuid", (None, U)),
        ("Bytes20Timestamp", (B20, None)),
        ("Bytes16TimestampUuid", (B16, TS, None)),
        ("StringString", ("a", None)),
        ("StringOid", (None, 1)),
    ],
)
def test_none_in_all_other_kinds_is_refused(name: str, key: Any) -> None:
    with pytest.raises(WrongType):
        key_codec(name).encode(key)


@pytest.mark.parametrize("name", ["String", "Uuid", "Oid", "Timestamp", "Bytes", "Bytes16", "Bytes20", "Bytes32"])
def test_none_as_a_single_value_is_refused(name: str) -> None:
    with pytest.raises(WrongType):
        value_codec(name).encode(None)


def test_only_the_kind_that_takes_a_number_in_a_tuple_takes_it() -> None:
    codec = key_codec("UuidBytes20Uint8")
    assert codec.encode((U, B20, (7,))) == codec.encode((U, B20, 7))
    with pytest.raises(WrongType):
        key_codec("UuidBytes20Uint8Uuid").encode((U, B20, (7,), V))


@pytest.mark.parametrize("key", [("a\0b", "c"), ("a", "b\0c"), ("\0", "")])
def test_a_nul_in_the_kept_string_tuples_is_refused(key: tuple[str, str]) -> None:
    with pytest.raises(WrongValue):
        key_codec("StringString").encode(key)


@pytest.mark.parametrize("stored", [b"", b"ab", b"a\0b\0c"])
def test_stored_string_pairs_without_exactly_one_nul_are_refused(stored: bytes) -> None:
    with pytest.raises(DecodeError):
        key_codec("StringString").decode(stored)


def test_integers_beyond_an_oid_stay_usable_where_existing_programs_allow_them() -> None:
    for name, key in [("OidString", (2**64 - 1, "a")), ("StringOid", ("a", 2**64 - 1))]:
        assert key_codec(name).decode(key_codec(name).encode(key)) == key
    with pytest.raises(EncodeError):
        key_codec("OidOid").encode((2**53 + 1, 0))


def test_times_before_1970_and_nat_are_readable_and_cannot_be_written() -> None:
    codec = key_codec("TimestampUuid")
    before = codec.decode(bytes.fromhex("ffffffffffffffff") + U.bytes)
    assert comparable(before) == (-1, U)
    with pytest.raises(WrongValue):
        codec.encode(before)
    nat, _ = codec.decode(bytes.fromhex("8000000000000000") + U.bytes)
    assert str(nat) == "NaT"
    with pytest.raises(WrongValue):
        codec.encode((nat, U))
