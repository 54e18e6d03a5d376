# SPDX-License-Identifier: MIT
"""Maps declared in a yaml file."""

from pathlib import Path

import pytest

import zlmdb
from zlmdb._database import KV_TYPE_TO_CLASS, Schema
from zlmdb.errors import ConfigError, MissingDependency

TEXT = """
slots:
  - {index: 100, name: users, key: string, value: json, description: some people}
  - {index: 101, name: things, key: uuid, value: cbor}
  - {index: 102, name: points, key: uuid, value: cbor, schema: point}
"""
Point = tuple[int, int]
KLASSMAP = {**KV_TYPE_TO_CLASS, "uuid-cbor-point": (zlmdb.MapUuidCbor, list, tuple)}


def parse(folder: Path, text: str) -> Schema:
    path = folder / "slots.yaml"
    path.write_text(text)
    return Schema.parse(str(path), klassmap=KLASSMAP)


@pytest.mark.usefixtures("no_fixed_slots")
def test_the_maps_have_the_slots_and_kinds_that_the_file_gives(tmp_path: Path, db: zlmdb.Database) -> None:
    schema = parse(tmp_path, TEXT)
    assert len(schema) == 3
    assert list(schema) == ["users", "things", "points"]
    assert "'name': 'things'" in str(schema)
    assert schema["users"].slot == 100
    assert isinstance(schema["things"], zlmdb.MapUuidCbor)
    key = schema["points"].new_key()
    with db.begin(write=True) as txn:
        schema["users"][txn, "joe"] = {"age": 3}
        schema["points"][txn, key] = (1, 2)
        assert schema["users"][txn, "joe"] == {"age": 3}
        assert schema["points"][txn, key] == (1, 2)
    assert db._get_slots() == {}


@pytest.mark.usefixtures("no_fixed_slots")
def test_the_schema_is_read_only_and_says_what_it_lacks(tmp_path: Path) -> None:
    schema = parse(tmp_path, TEXT)
    with pytest.raises(IndexError, match="users, things, points"):
        schema["nobody"]
    assert "nobody" not in schema
    with pytest.raises(NotImplementedError):
        schema["users"] = schema["things"]
    with pytest.raises(NotImplementedError):
        del schema["users"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slots: {}", "no list of slots"),
        ("[]", "no list of slots"),
        ("a: [", "not a yaml file"),
        ("slots: [1]", "not a slot"),
        ("slots: [{index: 99, name: a, key: uuid, value: cbor}]", "from 100 to 65535"),
        ("slots: [{index: true, name: a, key: uuid, value: cbor}]", "not an index"),
        ("slots: [{index: 100, key: uuid, value: cbor}]", "name: not a text"),
        ("slots: [{index: 100, name: a, key: uuid, value: cbor, schema: 1}]", "schema: not a text"),
        ("slots: [{index: 100, name: a, key: uuid, value: pickle}]", "no map for these kinds"),
        ("slots: [{index: 100, name: a, key: uuid, value: cbor, kind: x}]", "unknown keys"),
        (TEXT + "  - {index: 100, name: b, key: uuid, value: cbor}", "twice"),
        (TEXT + "  - {index: 105, name: users, key: uuid, value: cbor}", "twice"),
    ],
)
@pytest.mark.usefixtures("no_fixed_slots")
def test_a_fault_in_the_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse(tmp_path, text)
    assert "slots.yaml" in str(caught.value)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingDependency, match=r"zlmdb\[yaml\]"):
        parse(tmp_path, TEXT)
