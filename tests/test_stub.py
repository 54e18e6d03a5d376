# SPDX-License-Identifier: MIT
"""The names that type checkers see are those that there are."""

from pathlib import Path

import pytest

import zlmdb
from zlmdb import compat


def test_the_stub_is_fresh() -> None:
    written = Path(zlmdb.__file__).with_suffix(".pyi").read_text()
    assert written == compat.stub(), "run: make stub"


@pytest.mark.parametrize("name", compat.map_names())
def test_every_name_of_the_stub_is_a_map_type(name: str) -> None:
    assert issubclass(getattr(zlmdb, name), zlmdb.Map)


@pytest.mark.parametrize(
    ("kind", "python"),
    [
        ("Uuid", "UUID"),
        ("Oid3", "tuple[int, int, int]"),
        ("TimestampUuid", "tuple[Time, UUID]"),
        ("UuidBytes20Uint8", "tuple[UUID, bytes, int]"),
        ("StringString", "tuple[str, str]"),
    ],
)
def test_a_key_kind_has_the_python_type_of_its_parts(kind: str, python: str) -> None:
    assert compat.key_type(kind) == python
