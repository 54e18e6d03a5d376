# SPDX-License-Identifier: MIT
"""Names of maps and kinds, and what importing the codecs costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zlmdb.codecs import OID, PUBLISHED_MAPS, UUID, key_codec, split_name, value_codec
from zlmdb.errors import TableDeclaration


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("MapUuidCbor", ("Uuid", "Cbor")),
        ("MapUint16StringCbor", ("Uint16String", "Cbor")),
        ("MapBytes20Bytes20Timestamp", ("Bytes20", "Bytes20Timestamp")),
        ("MapBytes20StringTimestamp", ("Bytes20String", "Timestamp")),
        ("MapUuidUuidSet", ("Uuid", "UuidSet")),
        ("MapTimestampUuidSet", ("Timestamp", "UuidSet")),
        ("MapUuidNumPy", ("Uuid", "Numpy")),
        ("MapUuidNumpy", ("Uuid", "Numpy")),
        ("MapBytesUuid", ("Bytes", "Uuid")),
        ("MapOid3Oid3Json", ("Oid3Oid3", "Json")),
        ("MapSlotSlotFlatBuffers", ("SlotSlot", "FlatBuffers")),
        ("Map", None),
        ("MapUuid", None),
        ("MapCbor", None),
        ("MapUuidSetCbor", None),
        ("MapUuidSlot", None),
        ("MapUuidXCbor", None),
        ("MapuuidCbor", None),
        ("UuidCbor", None),
        ("", None),
    ],
)
def test_a_name_splits_into_key_and_value(name: str, split: tuple[str, str] | None) -> None:
    assert split_name(name) == split


def test_there_are_83_published_names_and_each_has_codecs() -> None:
    assert len(PUBLISHED_MAPS) == 83
    for name, (key, value) in PUBLISHED_MAPS.items():
        assert split_name(name) == (key, value)
        assert key_codec(key).name == key
        if value != "FlatBuffers":
            assert value_codec(value).name == value


def test_one_name_gives_one_codec() -> None:
    assert key_codec("Uuid") is UUID
    assert key_codec("UuidUint16") is key_codec("UuidUint16")
    assert [part is OID for part in key_codec("Oid3").parts] == [True] * 3
    assert key_codec("Oid3Uuid").parts == (OID, OID, OID, UUID)


def test_an_unknown_kind_is_refused_with_what_is_near_it() -> None:
    with pytest.raises(TableDeclaration, match="TimestampUuid"):
        key_codec("TimstampUuid")
    with pytest.raises(TableDeclaration, match="Cbor"):
        value_codec("Cbr")
    with pytest.raises(TableDeclaration):
        key_codec("")


def test_importing_the_codecs_imports_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import zlmdb.codecs.names, zlmdb.codecs.values\n"
        "found = {'numpy', 'cbor2', 'flatbuffers', 'twisted', 'asyncio', 'snappy'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_integer_timestamps_are_written_without_numpy() -> None:
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from zlmdb.codecs import TIMESTAMP, value_codec\n"
        "from zlmdb.errors import MissingDependency\n"
        "data = TIMESTAMP.encode(5)\n"
        "assert TIMESTAMP.encode(TIMESTAMP.new_key())\n"
        "for use in (lambda: TIMESTAMP.decode(data), lambda: value_codec('Numpy')):\n"
        "    try:\n"
        "        use()\n"
        "    except MissingDependency as error:\n"
        "        assert 'zlmdb[numpy]' in str(error)\n"
        "    else:\n"
        "        raise SystemExit('decoded without NumPy')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
