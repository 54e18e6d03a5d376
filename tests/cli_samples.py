# SPDX-License-Identifier: MIT
"""The command line as a function, and a database with a table of many a kind to use it on."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from click.testing import CliRunner, Result

import zlmdb
from zlmdb.cli.commands import zlmdb as command
from zlmdb.storage import data_file

ROOT = Path(__file__).parents[1]
ONE = UUID(int=1)
MODULE = __name__
OPEN = "db = zlmdb.Database(sys.argv[1]); hold('open')"


def script() -> list[str]:
    """The installed command, or where none is installed what its entry point says."""
    installed = Path(sys.executable).with_name("zlmdb")
    if installed.exists():
        return [str(installed)]
    module, _, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["zlmdb"].partition(
        ":"
    )
    return [sys.executable, "-c", f"import sys; from {module} import {function}; sys.exit({function}())"]


def run(*arguments: object, code: int = 0, data: str | bytes | None = None) -> Result:
    """Run the command in this process; it must end with ``code`` and show no traceback."""
    result = CliRunner().invoke(command, [*map(str, arguments)], input=data)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@zlmdb.table("2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0001")
@dataclass
class Person:
    oid: UUID
    name: str


@zlmdb.table("2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0002")
class People(zlmdb.MapUuidCbor[Person]):
    """Everybody."""


@zlmdb.table("2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0003")
class PeopleByName(zlmdb.MapStringUuid):
    pass


@zlmdb.table("2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0004", compress=1)
class Documents(zlmdb.MapTimestampUuidCbor):
    pass


@zlmdb.table("2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0005")
class Pickles(zlmdb.MapStringPickle):
    pass


@zlmdb.table("2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0006")
class Texts(zlmdb.MapUint16StringJson):
    pass


@zlmdb.table("2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0007")
class Arrays(zlmdb.MapStringNumpy):
    pass


class Everything(zlmdb.Schema):
    people: People
    by_name: PeopleByName
    documents: Documents
    pickles: Pickles
    texts: Texts
    arrays: Arrays

    def attach(self, db: zlmdb.Database) -> None:
        for name, kind in (("people", People), ("by_name", PeopleByName), ("documents", Documents)):
            setattr(self, name, db.attach_table(kind))
        for name, other in (("pickles", Pickles), ("texts", Texts), ("arrays", Arrays)):
            setattr(self, name, db.attach_table(other))
        self.people.attach_index("by_name", self.by_name, lambda person: person.name, unique=False)


def make(where: str, lib_version: Any) -> None:
    """Make the database."""
    with zlmdb.Database(where, lib_version=lib_version) as db:
        every = db.attach(Everything)
        with db.begin(write=True) as txn:
            every.people[txn, ONE] = Person(ONE, "Ada")
            every.documents[txn, (np.datetime64(7, "ns"), ONE)] = {"tag": b"\xff", "odd": float("nan"), 1: [None, True]}
            every.pickles[txn, "p"] = {"a": 1}
            every.texts[txn, (3, "t\0x")] = ["ü"]
            every.arrays[txn, "a"] = np.arange(3)
            zlmdb.MapStringString(500)[txn, "fixed"] = "x"


def file_of(path: str) -> bytes:
    return data_file(path).read_bytes()
