# SPDX-License-Identifier: MIT
"""Records of schema files read from damaged and malicious buffers: values or a `DecodeError`, nothing else."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zlmdb.codecs.flatbuffers import FbsRecord, load_fbs
from zlmdb.errors import DecodeError

SCHEMA = load_fbs(
    """
    enum E : short { A, B, C }
    struct S { x: byte; y: double; }
    union U { T, S, text: string }
    table T {
        number: ulong; text: string; blob: [ubyte]; numbers: [long]; texts: [string]; inner: T; many: [T];
        s: S; all: [S]; e: E = B; es: [E]; u: U; flag: bool; small: byte;
    }
    root_type T;
    """
)
T = SCHEMA.T
GOOD = T.encode(
    {
        "number": 5,
        "text": "text",
        "blob": b"blob",
        "numbers": [1, -2],
        "texts": ["a", "bc", ""],
        "inner": {"number": 6, "inner": {"text": "deep"}},
        "many": [{"number": 7}, {"number": 8, "u": "string"}],
        "s": (1, 2.5),
        "all": [(1, 2.5), (3, 4.5)],
        "e": 2,
        "es": [0, 1, 2],
        "u": T(text="in the union"),
        "flag": True,
        "small": -1,
    }
)
NAMES = [name for name, _ in T._shape.fields]


def everything(record: Any, depth: int = 0) -> list[str]:
    """Read each field for itself, and each element of each vector; an error counts as what was read."""
    found = []
    for name in NAMES:
        try:
            value = getattr(record, name)
            if isinstance(value, FbsRecord):
                found += everything(value, depth + 1) if depth < 5 else []
            elif name in ("blob", "numbers", "texts", "all", "es") and value is not None:
                found.append(repr(list(value)))
                found += [repr(value[at]) for at in range(min(len(value), 5))]
                found.append(repr(value.as_numpy().tolist()) if name in ("numbers", "es") else "")
            elif name == "many" and value is not None:
                found += [item for at in range(min(len(value), 3)) for item in everything(value[at], depth + 2)]
            else:
                found.append(repr(value))
        except DecodeError:
            found.append(f"{name} is malformed")
    return found


def read_within(data: bytes) -> None:
    """Read at a random place of a larger buffer: whatever is read must not depend on what lies around."""
    framed = memoryview(b"\xff" * 64 + data + b"\xff" * 64)[64 : 64 + len(data)]
    try:
        record = T.cast(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            T.cast(framed)
        return
    assert everything(T.cast(framed)) == everything(record)
    repr(record)
    with suppress(DecodeError):
        T.verify(data)


def test_what_is_well_formed_verifies():
    T.verify(GOOD)
    assert "malformed" not in repr(everything(T.cast(GOOD)))


@given(st.binary(max_size=200))
@example(b"")
@example(bytes(4))
@example(b"\xff" * 40)
def test_random_bytes_are_refused_or_read(data):
    read_within(data)


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_buffer_cut_short_never_reads_beyond_its_end(length):
    read_within(GOOD[:length])
    if length < len(GOOD) - 4:  # the last bytes are padding
        with pytest.raises(DecodeError):
            T.verify(GOOD[:length])


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_are_refused_or_read(changes):
    data = bytearray(GOOD)
    for place, value in changes:
        data[place] = value
    read_within(bytes(data))


@settings(max_examples=500, deadline=None)
@given(
    st.integers(0, len(GOOD) // 4 - 1),
    st.sampled_from([0, 1, 4, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1]) | st.integers(0, 2**32 - 1),
)
def test_any_offset_or_length_may_be_replaced(word, value):
    read_within(GOOD[: 4 * word] + struct.pack("<I", value) + GOOD[4 * word + 4 :])


def test_every_single_byte_of_a_good_buffer_may_be_inverted():
    for place in range(len(GOOD)):
        read_within(GOOD[:place] + bytes([GOOD[place] ^ 0xFF]) + GOOD[place + 1 :])


def test_a_layout_that_was_seen_does_not_let_a_shorter_buffer_through():
    number = T._shape.places.find(GOOD, struct.unpack_from("<I", GOOD)[0])[0]
    assert T.cast(GOOD).number == 5
    with pytest.raises(DecodeError, match="ends behind"):
        T.cast(GOOD[:number])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        struct.pack("<I", 2**32 - 1),
        struct.pack("<Ii", 4, 2**31 - 1),
        struct.pack("<Ii", 4, -(2**31)),
        struct.pack("<Ii", 4, 0),  # the table is its own vtable
        struct.pack("<IHHi", 8, 3, 4, 4),  # odd size
        struct.pack("<IHHi", 8, 2, 4, 4),  # too small
        struct.pack("<IHHi", 8, 200, 4, 4),  # the vtable ends behind the buffer
        struct.pack("<IHHi", 8, 4, 3, 4),  # a table that cannot hold its own beginning
        struct.pack("<IHHHHiI", 12, 8, 8, 4, 0, 8, 0),  # a long of which half is in the table
        struct.pack("<IHHHHiQ", 12, 8, 12, 2, 0, 8, 0),  # over the offset of the vtable
    ],
    ids=range(12),
)
def test_a_malformed_root_or_vtable_is_refused(data):
    with pytest.raises(DecodeError):
        T.cast(data)


@pytest.mark.parametrize("data", [None, 5, "text", [1], (4, 0), {}], ids=repr)
def test_what_is_no_buffer_is_refused(data):
    with pytest.raises(DecodeError, match="not a buffer"):
        T.cast(data)


@pytest.mark.parametrize(
    "data",
    [
        bytearray(GOOD),
        memoryview(bytearray(GOOD)),
        memoryview(GOOD),
        memoryview(b"".join(bytes([byte, 0]) for byte in GOOD))[::2],
        memoryview(GOOD).cast("c"),
        memoryview(GOOD).cast("b"),
        memoryview(GOOD + bytes(-len(GOOD) % 4)).cast("I"),
    ],
    ids=range(7),
)
def test_any_buffer_is_read(data):
    for _ in range(2):  # the second time the layout is known
        assert T.cast(data) == T.cast(GOOD)


def test_a_buffer_that_changes_does_not_change_the_record():
    data = bytearray(GOOD)
    record = T.cast(data)
    data[:] = bytes(len(data))
    assert record == T.cast(GOOD)


def test_an_error_names_the_field_and_does_not_show_the_bytes():
    data = GOOD.replace(b"text", b"\xffexT", 1).replace(b"deep", b"dee\xff")
    record = T.cast(data)
    with pytest.raises(DecodeError, match="UTF-8") as caught:
        record.inner.inner.text
    assert caught.value.where == "T.text"
    assert "dee" not in str(caught.value)


# --- small buffers that ask for much -----------------------------------------------------------------


def chain(length: int) -> bytes:
    """Tables within tables: ``length`` of them, each the field ``inner`` of the one before."""
    vtable = struct.pack("<HH5HHxx", 16, 8, 0, 0, 0, 0, 0, 4)
    start = 4 + len(vtable)
    tables = b"".join(struct.pack("<iI", 16 + 2 + 8 * at, 4) for at in range(length))
    return struct.pack("<I", start) + vtable + tables + struct.pack("<iHH", -4, 4, 4)


def test_tables_may_be_nested_deeply_and_are_walked_only_so_far():
    record = T.cast(chain(5000))
    for _ in range(4999):
        record = record.inner
    with pytest.raises(DecodeError, match="too deeply"):
        T.cast(chain(5000)).to_dict()
    with pytest.raises(DecodeError, match="too deeply"):
        T.verify(chain(5000))
    with pytest.raises(DecodeError, match="too deeply"):
        assert T.cast(chain(5000)) != T.cast(chain(4999))
    assert T.cast(chain(3)).to_dict()["inner"]["inner"]["inner"] is not None


def test_tables_that_multiply_are_refused():
    # each table has a vector of the next one, sixteen times over: 16 ** 20 tables in a few hundred bytes
    vtable = struct.pack("<HH7H", 18, 8, 0, 0, 0, 0, 0, 0, 4) + bytes(2)
    body = b""
    for _ in range(20):
        position = 24 + len(body)
        offsets = [76 - (12 + 4 * at) for at in range(16)]  # from each element to the next table
        body += struct.pack("<iI", position - 4, 4) + struct.pack("<I16I", 16, *offsets)
    body += struct.pack("<iI", 20 + len(body), 4) + struct.pack("<I", 0)
    data = struct.pack("<I", 24) + vtable + body
    record = T.cast(data)
    assert record.many[3].many[15].many[7]._places[-2] == 24 + 3 * 76
    for walk in (T.verify, lambda data: T.cast(data).to_dict(), lambda data: T.cast(data) == T.cast(data)):
        with pytest.raises(DecodeError, match="too often"):
            walk(data)


def test_overlapping_strings_cannot_ask_for_unbounded_memory():
    count = 1000
    lengths = [4 * (count - 1 - at) + 1000 for at in range(count)]
    body = b"".join(struct.pack("<I", length & 0x7F7F) for length in lengths) + b"x" * 1000
    vtable = struct.pack("<HH5H", 14, 8, 0, 0, 0, 0, 4) + bytes(2)
    head = struct.pack("<I", 20) + vtable + struct.pack("<iI", 16, 4)
    data = head + struct.pack(f"<{count + 1}I", count, *[4 * count] * count) + body
    with pytest.raises(DecodeError, match="overlap"):
        list(T.cast(data).texts)
    assert len(T.cast(data).texts) == count


def test_strings_stored_once_are_read_many_times():
    import flatbuffers

    builder = flatbuffers.Builder(0)
    text = builder.CreateString("x" * 500)
    builder.StartVector(4, 1000, 4)
    for _ in range(1000):
        builder.PrependUOffsetTRelative(text)
    vector = builder.EndVector()
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(1, text, 0)
    builder.PrependUOffsetTRelativeSlot(4, vector, 0)
    builder.Finish(builder.EndObject())
    data = bytes(builder.Output())
    T.verify(data)
    assert T.cast(data).texts == ["x" * 500] * 1000
