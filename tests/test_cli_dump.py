# SPDX-License-Identifier: MIT
"""``zlmdb dump`` and ``zlmdb load``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import zlmdb
from tests.cli_samples import (
    MODULE,
    ONE,
    Everything,
    Person,
    Pickles,
    make,
    rows,
    run,
)


@pytest.fixture
def path(tmp_path: Path, lib_version: str, no_fixed_slots: None) -> str:
    """A database with a table of many a kind."""
    make(str(tmp_path / "db"), lib_version)
    return str(tmp_path / "db")


def test_dump_prints_each_record_as_a_line_of_json_decoded_by_its_kind(path: str) -> None:
    told = {(row["table"] or "-").rpartition(".")[2]: row for row in rows(run("dump", path).stdout)}
    assert (told["People"]["key"], told["People"]["value"]["name"]) == (str(ONE), "Ada")
    assert told["PeopleByName"] == {"slot": 2, "table": f"{MODULE}.PeopleByName", "key": "Ada", "member": str(ONE)}
    assert told["Documents"]["key"] == ["1970-01-01T00:00:00.000000007", str(ONE)]
    assert told["Documents"]["value"] == {"tag": {"hex": "ff"}, "odd": "nan", "1": [None, True]}
    assert told["Texts"]["key"] == [3, "t\0x"]
    assert told["Texts"]["value"] == ["ü"]
    assert told["Arrays"]["value"] == [0, 1, 2]
    assert told["-"] == {"slot": 500, "table": None, "key": {"hex": b"fixed".hex()}, "value": {"hex": "78"}}


def test_dump_executes_no_pickle(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return Path(made).touch, ()  # type: ignore[return-value]

    made = str(tmp_path / "made")
    with zlmdb.Database(tmp_path / "db") as db:
        pickles = db.attach_table(Pickles)
        with db.begin(write=True) as txn:
            pickles[txn, "p"] = Bomb()
    (row,) = rows(run("dump", tmp_path / "db").stdout)
    assert set(row["value"]) == {"hex"}
    run("check", tmp_path / "db")
    assert not Path(made).exists()


@pytest.mark.parametrize("name", ["People", f"{MODULE}.People", "1", "2b3ad1c7-6a0e-4d4e-9a3d-3f6d1a7f0002"])
def test_dump_of_one_table_takes_its_name_slot_or_uuid(path: str, name: str) -> None:
    assert [row["slot"] for row in rows(run("dump", path, "--table", name).stdout)] == [1]


def test_dump_takes_the_kind_that_the_catalogue_does_not_have(path: str) -> None:
    (row,) = rows(run("dump", path, "--table", 500, "--kind", "MapStringString").stdout)
    assert (row["key"], row["value"]) == ("fixed", "x")
    assert "there is no map type" in run("dump", path, "--table", 500, "--kind", "MapOfWishes", code=1).stderr


def test_dump_of_an_unknown_table_is_refused_with_the_near_ones(path: str) -> None:
    error = run("dump", path, "--table", f"{MODULE}.Peopel", code=1).stderr
    assert "error: there is no such table" in error
    assert f"did you mean '{MODULE}.People'" in error


def test_dump_prints_what_cannot_be_decoded_as_bytes_and_ends_with_1(path: str) -> None:
    with zlmdb.Database(path) as db, db.begin(write=True) as txn:
        txn.put(b"\0\1" + b"\2" * 16, b"\xff\xff")
        txn.put(b"\0\1" + b"\3" * 16, b"\x81" * 100_000)  # lists nested so deep that reading them gives up
        txn.put(b"\0\1" + b"\4", b"\xf6")
    result = run("dump", path, "--table", "People", code=1)
    assert "3 records could not be decoded" in result.stderr
    assert sorted(row.get("error", "") != "" for row in rows(result.stdout)) == [False, True, True, True]


def test_a_raw_dump_loads_into_an_equal_database_of_either_format(path: str, tmp_path: Path) -> None:
    dumped = run("dump", path, "--raw").stdout
    for number, lib_version in enumerate(("0.9", "1.0")):
        target = tmp_path / f"copy{number}"
        told = run("load", target, "--to", lib_version, data=dumped).stdout
        assert told.startswith(f"{target}: ")
        assert run("dump", target, "--raw").stdout == dumped
        with zlmdb.Database(target) as db:
            assert db.lib_version == lib_version
            people = db.attach(Everything).people
            with db.begin() as txn:
                assert people[txn, ONE] == Person(ONE, "Ada")


HEAD = "VERSION=3\nformat=bytevalue\ntype=btree\nmapsize=1048576\nHEADER=END\n"


def test_load_reads_what_mdb_dump_prints_as_text(tmp_path: Path) -> None:
    text = HEAD.replace("bytevalue", "print").replace("HEADER", "db_pagesize=4096\nduplicates=0\nHEADER")
    run("load", tmp_path / "db", data=text + " \\00\\01a\\5cb\n c\\\\d \\ff\nDATA=END\n".replace("\\5c", "\\\\"))
    (row,) = rows(run("dump", tmp_path / "db").stdout)
    assert bytes.fromhex(row["key"]["hex"]) == b"a\\b"
    assert bytes.fromhex(row["value"]["hex"]) == b"c\\d \xff"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no dump"),
        ("hello\n", "no dump"),
        ("a=b\n" * 200, "no dump"),
        (HEAD, "cut short"),
        (HEAD + " 0001\n", "cut short"),
        (HEAD + " 0001\n 00\n", "cut short"),
        (HEAD + " 0001\nDATA=END\n", "no part of a dump"),
        (HEAD + " 0001\n 0g\nDATA=END\n", "cannot be decoded"),
        (HEAD + " 0001\n 000\nDATA=END\n", "cannot be decoded"),
        (HEAD + " \n 00\nDATA=END\n", "a key is empty"),
        (HEAD + f" {'00' * 3000}\n 00\nDATA=END\n", "too long"),
        (HEAD + "DATA=END\n" + HEAD, "more follows"),
        (HEAD.replace("VERSION=3", "VERSION=9") + "DATA=END\n", "cannot be loaded"),
        (HEAD.replace("type", "duplicates=1\ntype") + "DATA=END\n", "cannot be loaded"),
        (HEAD.replace("type", "database=users\ntype") + "DATA=END\n", "cannot be loaded"),
        (HEAD.replace("format=bytevalue", "format=xml") + "DATA=END\n", "cannot be loaded"),
        (HEAD.replace("bytevalue", "print") + " \\zz\n a\nDATA=END\n", "cannot be decoded"),
    ],
)
def test_load_refuses_what_is_no_whole_dump_and_makes_nothing(tmp_path: Path, text: str, what: str) -> None:
    error = run("load", tmp_path / "db", data=text, code=1).stderr
    assert what.lower() in error.lower()
    assert not list(tmp_path.iterdir())
