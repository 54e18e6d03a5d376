# SPDX-License-Identifier: MIT
"""Flat records read from damaged, random and malicious buffers: a record or a `DecodeError`, nothing else."""

from __future__ import annotations

import struct
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zlmdb.codecs.flatbuffers import (
    BOOL,
    BYTES,
    CBOR_MAP,
    STRING,
    STRING_VECTOR,
    U64,
    U64_VECTOR,
    UUID_BYTES,
    FlatRecord,
    flat,
    flatbuffers_codec,
)
from zlmdb.errors import DecodeError


class Target(FlatRecord):
    number: int = flat(U64)
    text: str | None = flat(STRING)
    oid: Any = flat(UUID_BYTES)
    document: dict[str, Any] | None = flat(CBOR_MAP)
    numbers: list[int] | None = flat(U64_VECTOR)
    texts: list[str] | None = flat(STRING_VECTOR)
    flag: bool = flat(BOOL)
    blob: bytes | None = flat(BYTES)


def buffer(places: list[int], content: bytes, size: int | None = None, soffset: int | None = None) -> bytes:
    """A table of these field places: root offset, vtable, then the table with this content."""
    vtable = struct.pack(f"<{len(places) + 2}H", 4 + 2 * len(places), size or 4 + len(content), *places)
    root = 4 + len(vtable)
    return struct.pack("<I", root) + vtable + struct.pack("<i", len(vtable) if soffset is None else soffset) + content


def offset_to(number: int, offset: int, rest: bytes = b"") -> bytes:
    """A table whose one field of this number points ``offset`` bytes behind itself."""
    return buffer([0] * number + [4], struct.pack("<I", offset) + rest)


def text(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


GOOD = flatbuffers_codec(Target.build, Target.cast).encode(
    Target(
        number=1,
        text="text",
        oid=UUID(int=5),
        document={"a": [1, "b", {"c": None}]},
        numbers=[1, 2, 3],
        texts=["a", "bc", ""],
        flag=True,
        blob=b"blob",
    )
)


def read_within(data: bytes) -> None:
    """Read at a random place of a larger buffer: whatever is read must not depend on what lies around."""
    framed = memoryview(b"\xff" * 64 + data + b"\xff" * 64)[64 : 64 + len(data)]
    try:
        record = Target.cast(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            Target.cast(framed)
        return
    # compared as text, as NaN in a document is not equal to itself
    assert repr(Target.cast(framed)) == repr(record)


@given(st.binary(max_size=200))
@example(b"")
@example(bytes(4))
@example(b"\xff" * 40)
def test_random_bytes_are_refused_or_read(data):
    read_within(data)


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_buffer_cut_short_never_reads_beyond_its_end(length):
    read_within(GOOD[:length])


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_are_refused_or_read(changes):
    data = bytearray(GOOD)
    for place, value in changes:
        data[place] = value
    read_within(bytes(data))


@settings(max_examples=300)
@given(
    st.integers(0, len(GOOD) // 4 - 1),
    st.sampled_from([0, 1, 4, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1]) | st.integers(0, 2**32 - 1),
)
def test_any_offset_or_length_may_be_replaced(word, value):
    read_within(GOOD[: 4 * word] + struct.pack("<I", value) + GOOD[4 * word + 4 :])


@given(st.lists(st.integers(0, 80), max_size=10), st.binary(max_size=80), st.integers(-100, 100) | st.none())
def test_random_tables_are_refused_or_read(places, content, soffset):
    read_within(buffer(places, content, soffset=soffset))


def test_every_single_byte_of_a_good_buffer_may_be_inverted():
    for place in range(len(GOOD)):
        read_within(GOOD[:place] + bytes([GOOD[place] ^ 0xFF]) + GOOD[place + 1 :])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        struct.pack("<I", 2**32 - 1),
        struct.pack("<I", 2**31) + bytes(8),
        buffer([4], bytes(8), soffset=2**31 - 1),
        buffer([4], bytes(8), soffset=-(2**31)),
        buffer([4], bytes(8), soffset=1000),
        struct.pack("<Ii", 4, 0),  # the table is its own vtable, of size 0
        struct.pack("<IHHi", 8, 3, 4, 4),  # odd size
        struct.pack("<IHHi", 8, 2, 4, 4),  # too small
        struct.pack("<IHHi", 8, 200, 4, 4),  # ends behind the buffer
        struct.pack("<IHHi", 8, 4, 3, 4),  # a table that cannot hold its own vtable offset
        buffer([4], b"1234567"),  # cut
        buffer([4], bytes(8), size=8),  # behind its table
        buffer([2], bytes(8)),  # over the vtable offset
        buffer([4, 8], bytes(20)),  # two fields overlap
        buffer([4, 4], bytes(20)),  # two fields in one place
        buffer([65535], bytes(20)),
    ],
    ids=range(18),
)
def test_a_malformed_root_or_vtable_is_refused(data):
    with pytest.raises(DecodeError):
        Target.cast(data)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize(
    "data",
    [
        (2**32 - 1, b""),
        (2**31, b""),
        (4, b""),
        (4, b"\x01\x00\x00"),
        (4, struct.pack("<I", 2**32 - 1)),
        (4, struct.pack("<I", 2**31)),
        (4, struct.pack("<I", 5) + b"abcd"),
    ],
    ids=range(7),
)
def test_a_vector_outside_the_buffer_is_refused_and_its_field_named(number, data):
    with pytest.raises(DecodeError) as caught:
        Target.cast(offset_to(number, *data))
    assert caught.value.where == f"Target.{Target.flat_fields()[number].name}"


@pytest.mark.parametrize(
    ("number", "content", "what"),
    [
        (1, b"\xff", "UTF-8"),
        (1, b"\xed\xa0\x80", "UTF-8"),
        (1, b"\xc0\x80", "UTF-8"),
        (2, b"", "Uuid"),
        (2, bytes(15), "Uuid"),
        (2, bytes(17), "Uuid"),
        (3, b"", "CBOR"),
        (3, b"\x05", "another CBOR item"),
        (3, b"\x80", "another CBOR item"),
        (3, b"\xa1\x61a", "CBOR"),
        (3, b"\xbb" + b"\xff" * 8, "CBOR"),
        (3, b"\xa1\x01" * 10_000 + b"\x00", "CBOR"),
        (3, b"\xa1\x01\xd8\x23\x61(", "CBOR"),
        (3, b"\xa1\x01\x7f", "CBOR"),
    ],
    ids=range(14),
)
def test_malformed_content_is_refused(number, content, what):
    with pytest.raises(DecodeError, match=what) as caught:
        Target.cast(offset_to(number, 4, text(content)))
    assert caught.value.where == f"Target.{Target.flat_fields()[number].name}"


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_random_documents_are_refused_or_read(content):
    read_within(offset_to(3, 4, text(b"\xa1\x01" + content)))


def test_offsets_in_a_circle_end():
    for number in (1, 2, 3, 4, 5, 7):
        read_within(offset_to(number, 0))
    # a vector of strings, the first of which is the vector itself
    cyclic = offset_to(5, 4, struct.pack("<II", 1, 2**32 - 4))
    with pytest.raises(DecodeError):
        Target.cast(cyclic)


def test_overlapping_strings_cannot_ask_for_unbounded_memory():
    # each of 1000 strings begins four bytes behind the one before, and all of them end together
    count, tail = 1000, b"x" * 1000
    lengths = [4 * (count - 1 - i) + len(tail) for i in range(count)]
    body = b"".join(struct.pack("<I", length & 0x7F7F) for length in lengths) + tail
    offsets = struct.pack(f"<{count + 1}I", count, *[4 * count for _ in range(count)])
    with pytest.raises(DecodeError, match="overlap"):
        Target.cast(offset_to(5, 4, offsets + body))


def test_an_error_does_not_show_the_bytes():
    with pytest.raises(DecodeError) as caught:
        Target.cast(offset_to(1, 4, text(b"secret\xff")))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("data", [None, 5, "text", [1]], ids=repr)
def test_what_is_no_buffer_is_refused(data):
    with pytest.raises(DecodeError, match="not a buffer"):
        Target.cast(data)
