# SPDX-License-Identifier: MIT
"""Environments of named databases as files: LMDB's own, and never those of `zlmdb.Database`; handles; ranges."""

import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zlmdb
from tests import environments
from tests.environments import LOOPS, busy
from tests.faces import FACES, error_of
from zlmdb import errors
from zlmdb.aio import BoundDatabase, IdentityCoder, JSONCoder, StringCoder, UInt32Coder
from zlmdb.orm import catalogue
from zlmdb.storage import NamedTransaction
from zlmdb.workers.coded import Coded
from zlmdb.workers.namedhandle import NamedHandle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "env"


@pytest.fixture(params=LOOPS)
def using(request: pytest.FixtureRequest, folder: Path) -> Any:
    """Run ``test(env)`` with an open environment."""
    return partial(environments.using, request.param, folder)


ENGINES = {"0.9": 0, "1.0": 1}


def opened(folder: Path, lib_version: str, **options: Any) -> Any:
    return lmdb.open(str(folder), max_dbs=8, lib_version=ENGINES[lib_version], **options)


# --- LMDB's own files


def test_what_lmdb_wrote_is_read_and_what_is_written_lmdb_reads(using: Any, folder: Path, lib_version: str) -> None:
    with opened(folder, lib_version) as raw, raw.begin(write=True) as txn:
        txn.put(b"\0\0\0\7", b'"seven"', db=raw.open_db(b"numbers", txn=txn))
        txn.put(b"plain", b"x" * 48)  # as long as LMDB's record of a named database

    async def test(env: Any) -> None:
        numbers = env.open_db("numbers", UInt32Coder(), JSONCoder())
        assert await numbers.get(7) == "seven"
        assert await numbers.replace(7, "VII") == "seven"
        assert await env.open_db("new").put(b"a", b"b")
        assert await env.get_default_database().select() == [(b"plain", b"x" * 48)]
        assert await env.names() == [b"new", b"numbers"]

    using(test)
    with opened(folder, lib_version) as raw, raw.begin() as txn:
        assert txn.get(b"\0\0\0\7", db=raw.open_db(b"numbers", txn=txn, create=False)) == b'"VII"'
        assert list(txn.cursor(raw.open_db(b"new", txn=txn, create=False))) == [(b"a", b"b")]


def test_a_database_that_another_process_makes_is_seen(using: Any, folder: Path, lib_version: str) -> None:
    program = f"""
import lmdb
with lmdb.open({str(folder)!r}, max_dbs=8, lib_version={ENGINES[lib_version]}) as raw:
    users = raw.open_db(b"users")
    with raw.begin(write=True, db=users) as txn:
        txn.put(b"a", b"1")
"""

    def make() -> None:
        subprocess.run([sys.executable, "-c", program], check=True)

    async def test(env: Any) -> None:
        users = env.open_db("users")
        assert await users.get(b"a") is None
        make()
        reads = [users.get(b"a") for _ in range(8)]  # on several threads, all of which find no handle
        assert [await read for read in reads] == [b"1"] * 8
        assert await env.run(lambda txn: list(txn[users].select())) == [(b"a", b"1")]

    using(test, lib_version=lib_version)


def test_the_default_database_does_not_show_the_names_of_the_others(using: Any, lib_version: str) -> None:
    async def test(env: Any) -> None:
        default, users = env.get_default_database(), env.open_db("users")
        await users.put(b"a", b"1")
        await default.put_multi([(b"t", b"2"), (b"v", b"x" * 48)])
        assert await default.select() == [(b"t", b"2"), (b"v", b"x" * 48)]
        assert [row async for row in default.iterate(reverse=True, page_size=1)] == [(b"v", b"x" * 48), (b"t", b"2")]
        record = b"users" if lib_version == "0.9" else b"users\0"
        assert await default.get(record) is None
        for call in (default.put(record, b""), default.delete(record)):
            assert isinstance(await error_of(call), errors.WrongValue)
        await default.drop()
        assert await default.select() == []
        assert await users.select() == [(b"a", b"1")]
        assert default.name is None
        assert env.open_db("").name is None

    using(test, lib_version=lib_version)


def test_the_key_of_a_record_is_no_name(using: Any) -> None:
    async def test(env: Any) -> None:
        await env.get_default_database().put_multi([(b"short", b"x"), (b"long", b"x" * 48)])
        with busy(env):
            calls = [env.open_db(name).put(b"a", b"b") for name in ("short", "long", "good")]
        for call in calls[:2]:
            assert isinstance(await error_of(call), errors.FormatMismatch)
        assert await calls[2]
        assert await env.open_db("short").get(b"a") is None
        assert isinstance(await error_of(env.open_db("long").get(b"a")), errors.FormatMismatch)

    using(test, lib_version="0.9")


def test_a_database_with_flags_is_refused(using: Any, folder: Path, lib_version: str) -> None:
    with opened(folder, lib_version) as raw, raw.begin(write=True) as txn:
        txn.put(b"k", b"1", db=raw.open_db(b"many", txn=txn, dupsort=True))

    async def test(env: Any) -> None:
        many = env.open_db("many")
        for call in (many.get(b"k"), many.put(b"k", b"2"), many.select()):
            error = await error_of(call)
            assert isinstance(error, errors.FormatMismatch)
            assert "dupsort" in str(error)

    using(test)


def test_more_databases_than_the_environment_was_opened_for_are_refused(using: Any) -> None:
    async def test(env: Any) -> None:
        with busy(env):
            puts = [env.open_db(str(number)).put(b"k", b"v") for number in range(4)]
        assert [await put for put in puts[:2]] == [True, True]
        for put in puts[2:]:
            error = await error_of(put)
            assert isinstance(error, errors.ConfigError)
            assert "max_dbs=4" in str(error)
        assert await env.open_db("3").get(b"k") is None
        assert await env.names() == [b"0", b"1"]

    using(test, max_dbs=2)


def test_a_read_only_environment_is_read(using: Any) -> None:
    async def test(env: Any) -> None:
        await env.open_db("records").put(b"k", b"v")

    async def read(env: Any) -> None:
        reads = [env.open_db("records").get(b"k") for _ in range(8)]
        assert [await call for call in reads] == [b"v"] * 8
        assert await env.open_db("none").select() == []
        assert (await env.open_db("none").stat())["entries"] == 0
        assert await env.sync() is None
        for call in (env.open_db("records").put(b"k", b"w"), env.open_db("none").drop()):
            assert isinstance(await error_of(call), errors.ReadonlyTransaction)

    using(test)
    using(read, readonly=True)


# --- handles of databases whose making was undone


def test_a_database_whose_making_failed_is_not_there_and_can_be_made(using: Any, lib_version: str) -> None:
    async def test(env: Any) -> None:
        def fail(txn: Any) -> None:
            txn[first].put(b"a", b"1")
            raise LookupError

        first, second = env.open_db("first"), env.open_db("second")
        with busy(env):  # one batch: in LMDB the second database gets the number that the first one had
            failing, putting = env.run(fail, write=True), second.put(b"b", b"2")
        assert isinstance(await error_of(failing), LookupError)
        assert await putting
        assert isinstance(await error_of(env.run(fail, write=True)), LookupError)
        assert await first.select() == []
        assert await second.select() == [(b"b", b"2")]
        await first.put(b"c", b"3")
        assert (await first.select(), await second.select()) == ([(b"c", b"3")], [(b"b", b"2")])
        assert await env.names() == [b"first", b"second"]

    using(test, lib_version=lib_version)


def test_reading_deleting_and_dropping_make_no_database(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        assert await db.get(b"k") is None
        assert await db.delete(b"k") is False
        assert await db.pop(b"k") is None
        await db.drop()
        assert await db.select() == [row async for row in db.iterate()] == []
        assert (await db.stat())["entries"] == 0
        assert await db.run(lambda records: records.get(b"k"), write=True) is None
        assert await env.names() == []

    using(test)


def test_a_database_is_empty_after_it_was_dropped(using: Any) -> None:
    async def test(env: Any) -> None:
        db = env.open_db("records")
        await db.put_multi([(b"%d" % number, b"x" * 5000) for number in range(100)])
        assert await db.drop() is None
        assert await db.select() == []
        await db.put(b"k", b"v")
        assert await db.select() == [(b"k", b"v")]

    using(test)


# --- two kinds of files


def table_file(folder: Path) -> None:
    with zlmdb.Database(folder) as db:
        db.attach_table(zlmdb.table("2f8b2f4e-7b1f-4a53-9a39-54bb6e0a5f01")(type("T", (zlmdb.MapStringString,), {})))


def named_file(folder: Path, lib_version: str = "1.0", records: int = 0) -> None:
    with opened(folder, lib_version) as raw, raw.begin(write=True) as txn:
        for number in range(records):
            txn.put(b"\0%06d" % number, b"x" * 48)
        txn.put(b"k", b"v", db=raw.open_db(b"records", txn=txn))


def test_a_database_of_tables_is_no_environment(folder: Path) -> None:
    table_file(folder)
    before = (folder / "data.mdb").read_bytes()
    for loop in LOOPS:
        for readonly in (True, False):

            async def main(open_: Any, readonly: bool = readonly) -> None:
                error = await error_of(open_(folder, readonly=readonly))
                assert isinstance(error, errors.NotADatabase)
                assert "zlmdb.Database" in str(error)

            LOOPS[loop](main)
    assert (folder / "data.mdb").read_bytes() == before


def test_a_database_of_tables_of_a_newer_program_is_no_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table_file(folder)
    monkeypatch.setattr(catalogue, "_FIELDS", frozenset({"oid"}))
    with pytest.raises(errors.NotADatabase):
        NamedHandle(str(folder))


@pytest.mark.parametrize("records", [0, 100, 1000])
def test_an_environment_is_no_database_of_tables(folder: Path, lib_version: str, records: int) -> None:
    named_file(folder, lib_version, records)
    before = (folder / "data.mdb").read_bytes()
    for readonly in (True, False):
        with pytest.raises(errors.NotADatabase) as caught:
            zlmdb.Database(folder, readonly=readonly)
        assert "zlmdb.aio.open" in str(caught.value)

    async def main(open_database: Any) -> None:
        assert isinstance(await error_of(open_database(folder)), errors.NotADatabase)

    for face in FACES.values():
        face.run(main)
    assert (folder / "data.mdb").read_bytes() == before


def test_records_that_only_look_like_a_catalogue_are_an_environments(using: Any, folder: Path) -> None:
    with opened(folder, "1.0") as raw, raw.begin(write=True) as txn:
        txn.put(b"\0\0\0\1", b"no catalogue")

    async def test(env: Any) -> None:
        assert await env.get_default_database(UInt32Coder()).get(1) == b"no catalogue"

    using(test)


def test_one_file_is_not_open_as_both_kinds(using: Any, folder: Path) -> None:
    async def test(env: Any) -> None:
        with pytest.raises(errors.OptionsConflict):
            zlmdb.Database(folder)
        assert await env.open_db("records").put(b"k", b"v")

    async def main(open_: Any) -> None:
        assert isinstance(await error_of(open_(folder)), errors.OptionsConflict)

    with zlmdb.Database(folder):
        for run in LOOPS.values():
            run(main)
    using(test)


def test_what_was_refused_is_closed_again(folder: Path) -> None:
    named_file(folder)
    with suppress(errors.NotADatabase):
        zlmdb.Database(folder)
    NamedHandle(str(folder)).close()
    with pytest.raises(errors.NotADatabase):
        zlmdb.Database(folder)


# --- ranges are those of a dictionary

KEYS = st.binary(min_size=1, max_size=3)
BOUNDS = st.none() | KEYS


@settings(max_examples=60)
@given(
    records=st.dictionaries(KEYS, st.binary(max_size=5), max_size=12),
    from_key=BOUNDS,
    to_key=BOUNDS,
    prefix=BOUNDS,
    reverse=st.booleans(),
    limit=st.none() | st.integers(0, 5),
    size=st.integers(1, 4),
    named=st.booleans(),
    write=st.booleans(),
)
def test_a_range_is_that_of_a_sorted_dictionary(
    records: dict[bytes, bytes],
    from_key: bytes | None,
    to_key: bytes | None,
    prefix: bytes | None,
    reverse: bool,
    limit: int | None,
    size: int,
    named: bool,
    write: bool,
) -> None:
    inside = [
        (key, value)
        for key, value in sorted(records.items(), reverse=reverse)
        if (from_key is None or from_key <= key) and (to_key is None or key < to_key) and key.startswith(prefix or b"")
    ]
    coded = Coded(b"name" if named else None, "records", IdentityCoder(), IdentityCoder())
    with TemporaryDirectory() as folder, NamedHandle(folder, sync=False) as handle:
        with handle.begin(write=True) as txn:
            bound(txn, coded).put_multi(records.items())

        def read(txn: NamedTransaction) -> tuple[list[Any], list[Any]]:
            database = bound(txn, coded)
            selected = list(database.select(from_key, to_key, prefix=prefix, reverse=reverse, limit=limit))
            paged: list[Any] = []
            after: bytes | None = None
            while not paged or after is not None:
                rows, after = database.page(after, size, from_key, to_key, prefix, reverse)
                if not rows:
                    break
                paged += rows
            return selected, paged

        if write:
            with handle.begin(write=True) as txn:
                found = read(txn)
        else:
            found = handle.read(read)
    assert found == (inside[:limit], inside)


def bound(txn: NamedTransaction, coded: Coded[bytes, bytes]) -> BoundDatabase[bytes, bytes]:
    return BoundDatabase(txn, coded, lambda: None)


@pytest.mark.parametrize("reverse", [False, True])
def test_records_may_change_while_a_write_transaction_goes_over_them(folder: Path, reverse: bool) -> None:
    coded = Coded(b"name", "records", StringCoder(), StringCoder())
    with NamedHandle(str(folder), sync=False) as handle, handle.begin(write=True) as txn:
        database = BoundDatabase(txn, coded, lambda: None)
        database.put_multi([(f"{number:02}", "") for number in range(50)])
        seen = []
        for key, _ in database.select(reverse=reverse):
            seen.append(key)
            database.delete(key)
            database.put(f"x{key}" if reverse else f" {key}", "behind")
        assert seen == sorted((f"{number:02}" for number in range(50)), reverse=reverse)
        assert database.stat()["entries"] == 50
