# SPDX-License-Identifier: MIT
"""Coders: bytes as aiolmdb's coders of the same names make them, and errors that say what was wrong."""

import pickle
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlmdb import errors
from zlmdb.codecs.coders import (
    Coder,
    IdentityCoder,
    JSONCoder,
    PickleCoder,
    StringCoder,
    UInt16Coder,
    UInt32Coder,
    UInt64Coder,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def back(coder: Coder[Any], value: object) -> Any:
    """Return a value that went through its bytes."""
    return coder.deserialize(memoryview(bytes(coder.serialize(value))))


@pytest.mark.parametrize(
    ("coder", "value", "stored"),
    [
        (IdentityCoder(), b"\0\xff", b"\0\xff"),
        (StringCoder(), "ä", b"\xc3\xa4"),
        (StringCoder("latin-1"), "ä", b"\xe4"),
        (UInt16Coder(), 258, b"\1\2"),
        (UInt32Coder(), 258, b"\0\0\1\2"),
        (UInt64Coder(), 258, b"\0\0\0\0\0\0\1\2"),
        (JSONCoder(), {"a": [1, "ä"]}, b'{"a": [1, "\xc3\xa4"]}'),
        (PickleCoder(), {"a": 1}, pickle.dumps({"a": 1})),
        (JSONCoder().compressed(level=9), {"a": 1}, zlib.compress(b'{"a": 1}', 9)),
        (StringCoder().compressed(), "a" * 100, zlib.compress(b"a" * 100, 1)),
    ],
    ids=str,
)
def test_the_bytes_are_those_that_existing_files_hold(coder: Coder[Any], value: Any, stored: bytes) -> None:
    assert bytes(coder.serialize(value)) == stored
    assert coder.deserialize(memoryview(stored)) == value


@given(st.binary(max_size=5000), st.text(), st.integers(0, 2**64 - 1), JSON, st.integers(0, 9))
def test_objects_come_back(data: bytes, text: str, number: int, json: Any, level: int) -> None:
    for coder, value in (
        (IdentityCoder(), data),
        (UInt64Coder(), number),
        (JSONCoder(), json),
        (PickleCoder(), {"a": (json, text)}),
    ):
        assert back(coder, value) == value
        assert back(coder.compressed(level), value) == value


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_integers_are_ordered_as_their_bytes(a: int, b: int) -> None:
    for coder in (UInt16Coder(), UInt32Coder(), UInt64Coder()):
        assert (a < b) == (coder.serialize(a) < coder.serialize(b))


def test_any_buffer_is_bytes_and_comes_back_as_bytes() -> None:
    for value in (bytearray(b"abc"), memoryview(b"abc"), memoryview(b"aXbXc")[::2]):
        assert back(IdentityCoder(), value) == b"abc"
    large = bytes(3 << 20) + b"end"
    assert type(back(IdentityCoder(), large)) is bytes
    assert back(IdentityCoder(), large) == large


@pytest.mark.parametrize(
    ("coder", "value"),
    [
        (IdentityCoder(), "text"),
        (IdentityCoder(), None),
        (StringCoder(), b"bytes"),
        (UInt16Coder(), True),
        (UInt32Coder(), 1.0),
        (JSONCoder(), {1, 2}),
        (JSONCoder().compressed(), b"x"),
        (PickleCoder(), lambda: None),
    ],
    ids=lambda case: str(case).partition(" at 0x")[0],  # the same name in every process
)
def test_what_has_the_wrong_type_is_refused(coder: Coder[Any], value: Any) -> None:
    with pytest.raises(errors.WrongType) as caught:
        coder.serialize(value)
    assert caught.value.has_got
    assert caught.value.expected


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("coder", "value"),
    [
        (UInt16Coder(), 65536),
        (UInt32Coder(), -1),
        (UInt64Coder(), 2**64),
        (StringCoder(), "\ud800"),
        (StringCoder("ascii"), "ä"),
        (JSONCoder(), endless()),
        (JSONCoder(), "\ud800"),
    ],
    ids=lambda value: str(value).encode("ascii", "backslashreplace").decode(),
)
def test_what_cannot_be_stored_is_refused(coder: Coder[Any], value: Any) -> None:
    with pytest.raises(errors.WrongValue) as caught:
        coder.serialize(value)
    assert caught.value.has_got
    assert caught.value.expected


@pytest.mark.parametrize(
    ("coder", "stored"),
    [
        (StringCoder(), b"\xff"),
        (UInt16Coder(), b"\1"),
        (UInt32Coder(), b"\1\2\3\4\5"),
        (UInt64Coder(), b""),
        (JSONCoder(), b"{"),
        (JSONCoder(), b"\xff"),
        (JSONCoder(), b"[" * 100_000),
        (PickleCoder(), b""),
        (PickleCoder(), b"\x80\x05cnone\nnone\n."),
        (IdentityCoder().compressed(), b"plain"),
        (IdentityCoder().compressed(), zlib.compress(b"whole")[:-1]),
        (JSONCoder().compressed(), zlib.compress(b"{")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bytes_of_another_coder_are_told_from_ones_own(coder: Coder[Any], stored: bytes) -> None:
    with pytest.raises(errors.DecodeError) as caught:
        coder.deserialize(memoryview(stored))
    assert caught.value.has_got
    assert caught.value.expected


@pytest.mark.parametrize("level", [-1, 10, True, "9", None, 1.0])
def test_a_level_of_compression_that_is_none_is_refused(level: Any) -> None:
    with pytest.raises(errors.WrongValue):
        JSONCoder().compressed(level)
