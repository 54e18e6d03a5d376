# SPDX-License-Identifier: MIT
"""What the existing zlmdb gets wrong besides its map types: indexes, empty values, declarations, databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import zlmdb
from tests.children import run
from zlmdb import errors
from zlmdb.codecs import key_codec, value_codec

# --- indexes


def people() -> tuple[zlmdb.Map, zlmdb.Map, zlmdb.Map]:
    """Return a compressed table without an ``oid`` field, its unique index and its nullable one."""
    table, by_email, by_phone = zlmdb.MapOidCbor(1, compress="zlib"), zlmdb.MapStringOid(2), zlmdb.MapStringOid(3)
    table.attach_index("email", by_email, lambda row: row["email"])
    table.attach_index("phone", by_phone, lambda row: row.get("phone"), nullable=True)
    return table, by_email, by_phone


def test_neither_writing_nor_deleting_a_second_record_touches_the_index_record_of_the_first(db: zlmdb.Database) -> None:
    table, by_email, _ = people()
    with db.begin(write=True) as txn:
        table[txn, 1] = {"email": "a"}
        table[txn, 2] = {"email": "b"}
        for write in (
            lambda: table.__setitem__((txn, 3), {"email": "a"}),
            lambda: table.__setitem__((txn, 2), {"email": "a"}),
            lambda: table.put_many(txn, [(4, {"email": "c"}), (5, {"email": "a"})]),
        ):
            with pytest.raises(errors.UniqueViolation):
                write()
        del table[txn, 3]
        table[txn, 2] = {"email": "c"}
        del table[txn, 2]
        assert dict(by_email.select(txn)) == {"a": 1}
        assert dict(table.select(txn)) == {1: {"email": "a"}}


def test_a_null_that_is_refused_and_caught_leaves_no_record_behind(db: zlmdb.Database) -> None:
    table = zlmdb.MapOidCbor(1)
    table.attach_index("name", zlmdb.MapStringOid(2), lambda row: row.get("name"))
    with db.begin(write=True) as txn:
        table[txn, 1] = {"name": "kept"}
        for key in (1, 2):
            with pytest.raises(zlmdb.NullValueConstraint):
                table[txn, key] = {}
    with db.begin() as txn:
        assert dict(table.select(txn)) == {1: {"name": "kept"}}


def test_a_record_with_a_null_is_changed_deleted_and_reindexed_like_others(db: zlmdb.Database) -> None:
    table, by_email, by_phone = people()
    with db.begin(write=True) as txn:
        table[txn, 1] = {"email": "a"}
        table[txn, 1] = {"email": "a", "phone": "1"}
        table[txn, 1] = {"email": "b"}
        assert by_phone.count(txn) == 0
        table[txn, 2] = {"email": "c", "phone": "2"}
        assert table.rebuild_indexes(txn) == (3, 3)
        assert (dict(by_email.select(txn)), dict(by_phone.select(txn))) == ({"b": 1, "c": 2}, {"2": 2})
        del table[txn, 1]
        assert dict(by_email.select(txn)) == {"c": 2}


@pytest.mark.parametrize("falsy", [0, "", b"", [], {}, False, 0.0, None], ids=repr)
@pytest.mark.parametrize("unique", [True, False])
def test_a_falsy_record_leaves_no_index_record_behind(db: zlmdb.Database, falsy: Any, unique: bool) -> None:
    table, index = zlmdb.MapOidCbor(1), zlmdb.MapStringOid(2)
    table.attach_index("text", index, repr, unique=unique)
    with db.begin(write=True) as txn:
        table[txn, 0] = falsy
        assert list(index.select(txn, return_values=False)) == [repr(falsy)]
        table[txn, 0] = "another"
        assert list(index.select(txn, return_values=False)) == [repr("another")]
        table[txn, 0] = falsy
        assert table.pop((txn, 0), "default") == falsy
        assert index.count(txn) == table.count(txn) == 0


def test_an_index_declared_as_not_unique_reaches_all_owners(db: zlmdb.Database) -> None:
    table, index = zlmdb.MapOidString(1), zlmdb.MapStringOid(2)
    table.attach_index("text", index, lambda text: text, unique=False)
    with db.begin(write=True) as txn:
        table.put_many(txn, [(key, "same") for key in range(20)])
        del table[txn, 7]
        assert list(index[txn, "same"]) == [key for key in range(20) if key != 7]


def test_a_detached_index_can_be_attached_to_another_table(db: zlmdb.Database) -> None:
    one, other, index = zlmdb.MapOidString(1), zlmdb.MapOidString(3), zlmdb.MapStringOid(2)
    one.attach_index("text", index, lambda text: text)
    one.detach_index("text")
    other.attach_index("text", index, lambda text: text)
    with db.begin(write=True) as txn:
        one[txn, 1] = "not indexed"
        other[txn, 1] = "indexed"
        assert dict(index.select(txn)) == {"indexed": 1}


@zlmdb.table("4c1d3f3e-6a43-4f0b-9c55-0d8b8a9f6001")
class Rows(zlmdb.MapOidCbor): ...


@zlmdb.table("4c1d3f3e-6a43-4f0b-9c55-0d8b8a9f6002")
class ByRole(zlmdb.MapStringOid): ...


def attached(db: zlmdb.Database) -> tuple[Rows, ByRole]:
    rows, by_role = db.attach_table(Rows), db.attach_table(ByRole)
    rows.attach_index("role", by_role, lambda row: row["role"], unique=False)
    return rows, by_role


def test_a_non_unique_index_whose_attaching_was_rolled_back_is_attached_again(db: zlmdb.Database) -> None:
    for declared in (Rows, ByRole):
        db.attach_table(declared)
    with db.begin(write=True) as txn:
        with pytest.raises(ZeroDivisionError), txn.savepoint():
            rows, _ = attached(db)
            1 / 0
        with pytest.raises(errors.NotAttached):
            rows[txn, 1] = {"role": "admin"}  # sets where the file says single values
    rows, by_role = attached(db)
    with db.begin(write=True) as txn:
        rows[txn, 1] = rows[txn, 2] = {"role": "admin"}
        assert list(by_role[txn, "admin"]) == [1, 2]
    path = db.dbpath
    db.close()
    with zlmdb.Database(path) as again, again.begin() as txn:
        assert list(attached(again)[1][txn, "admin"]) == [1, 2]


# --- values


@pytest.mark.parametrize("compress", [None, "zlib"])
@pytest.mark.parametrize(
    ("kind", "empty"), [("Bytes", b""), ("String", ""), ("OidSet", set()), ("UuidSet", set()), ("FlatBuffers", b"")]
)
def test_an_empty_value_is_a_value(db: zlmdb.Database, kind: str, empty: Any, compress: str | None) -> None:
    hooks: dict[str, Any] = {"marshal": bytes, "unmarshal": bytes} if kind == "FlatBuffers" else {}
    codec = value_codec(kind, compress=compress, **hooks)
    table: zlmdb.Map = zlmdb.Map(1, key=key_codec("Oid"), value=codec)
    with db.begin(write=True) as txn:
        table[txn, 0] = empty
        assert table.get((txn, 0), "default") == table[txn, 0] == table.bound(txn)[0] == empty
        assert (txn, 0) in table
        assert list(table.select(txn)) == [(0, empty)]
        with pytest.raises(errors.KeyExists):
            table.insert(txn, 0, empty)
        assert table.setdefault((txn, 0), empty) == empty
        assert table.pop((txn, 0), "default") == empty
        assert table.pop((txn, 0), "default") == "default"


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("OidSet", set(range(1000))),
        ("UuidSet", {UUID(int=n) for n in range(1000)}),
        ("StringSet", {f"{n}é" for n in range(100)}),
        ("StringSet", {"", "a"}),
    ],
)
def test_a_packed_set_comes_back_whole_and_is_stored_in_order(db: zlmdb.Database, kind: str, members: set[Any]) -> None:
    table: zlmdb.Map = zlmdb.Map(1, key=key_codec("Oid"), value=value_codec(kind))
    stored = sorted(key_codec(kind.removesuffix("Set")).encode(member) for member in members)
    with db.begin(write=True) as txn:
        table[txn, 1] = members
        assert table[txn, 1] == members
        assert txn.get(table.raw_key(1)) == (b"\0" if kind == "StringSet" else b"").join(stored)


@pytest.mark.parametrize("name", ["MapOidUuid", "MapOidString", "MapOidOid", "MapOidTimestamp", "MapOidBytes20"])
def test_none_is_refused_instead_of_being_stored_as_zeros(db: zlmdb.Database, name: str) -> None:
    table = getattr(zlmdb, name)(1)
    with db.begin(write=True) as txn:
        for write in (
            lambda: table.__setitem__((txn, 1), None),
            lambda: table.insert(txn, 1, None),
            lambda: table.put_many(txn, [(1, None)]),
            lambda: table.setdefault((txn, 1), None),
        ):
            with pytest.raises(errors.WrongType):
                write()
        assert table.count(txn) == 0


# --- queries


@pytest.mark.parametrize("limit", [None, 2])
def test_a_selection_is_an_ordinary_iterator(db: zlmdb.Database, limit: int | None) -> None:
    table = zlmdb.MapOidOid(1)
    with db.begin(write=True) as txn:
        table.put_many(txn, [(1, 1), (2, 2)])
    with db.begin() as txn:
        rows = table.select(txn, limit=limit)
        assert next(rows) == (1, 1)
        assert iter(rows) is rows
        assert list(rows) == [(2, 2)]
        assert next(rows, "none") == "none"
        assert list(table.select(txn, limit=0)) == []


ARGUMENTS = """
table = zlmdb.MapOidOid(1)
with zlmdb.Database() as db, db.begin(write=True) as txn:
    table[txn, 1] = 1
    for faulty in (
        lambda: table.select(txn, limit=-1),
        lambda: table.select(txn, limit="1"),
        lambda: table.select(txn, from_key="a"),
        lambda: table.select("no transaction"),
        lambda: table.count(txn, prefix=b"a"),
        lambda: table.page(txn, limit=0),
        lambda: table["no transaction", 1],
        lambda: table.__setitem__((txn, -1), 1),
        lambda: table.__setitem__((txn, 1), "a"),
    ):
        try:
            faulty()
        except errors.ZlmdbError:
            pass
        else:
            raise SystemExit("an error was expected")
    print(sys.flags.optimize, dict(table.select(txn)))
"""


def test_arguments_are_checked_under_python_o_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    assert run(ARGUMENTS) == "1 {1: 1}\n"


@pytest.mark.parametrize("falsy", [None, 0, "", [], {}], ids=repr)
def test_a_falsy_value_is_expected_like_others(db: zlmdb.Database, falsy: Any) -> None:
    table = zlmdb.MapOidCbor(1)
    with db.begin(write=True) as txn:
        table[txn, 1] = "other"
        with pytest.raises(errors.RecordChanged):
            table.replace(txn, 1, "new", expected=falsy)
        table[txn, 1] = falsy
        with pytest.raises(errors.RecordChanged):
            table.replace(txn, 1, "new", expected="other")
        assert table.replace(txn, 1, "new", expected=falsy) == falsy
        assert table[txn, 1] == "new"


# --- declarations


def test_declaring_a_class_again_gives_the_class() -> None:
    class Users(zlmdb.MapOidCbor): ...

    first, second = UUID(int=1), UUID(int=2)
    assert zlmdb.table(first)(Users) is Users
    assert zlmdb.table(second)(Users) is Users
    assert Users._zlmdb_oid == second


@pytest.mark.parametrize("kind", ["MapOidJson", "MapOidCbor"])
@pytest.mark.parametrize("parse", ["parse", "unmarshal"])
def test_functions_given_to_the_decorator_serve_every_way_to_make_the_map(
    db: zlmdb.Database, kind: str, parse: str
) -> None:
    @zlmdb.table(UUID(int=7), marshal=lambda value: [value], **{parse: lambda data: data[0]})
    class Wrapped(getattr(zlmdb, kind)): ...

    for table in (Wrapped(700), db.attach_table(Wrapped)):
        with db.begin(write=True) as txn:
            table[txn, 1] = "text"
            assert table[txn, 1] == "text"
            assert b"text" in txn.get(table.raw_key(1))


def test_a_hook_that_is_no_function_is_refused() -> None:
    for hooks in ({"marshal": "m", "unmarshal": len}, {"marshal": len, "unmarshal": 5}):
        with pytest.raises(errors.TableDeclaration):
            zlmdb.MapOidCbor(1, **hooks)
    with pytest.raises(errors.TableDeclaration):
        zlmdb.MapOidFlatBuffers(1, build=len, cast="c")


def test_a_named_map_takes_one_type_in_brackets() -> None:
    with pytest.raises(errors.TableDeclaration) as caught:
        zlmdb.MapOidCbor[int, str]
    assert "MapOidCbor[Record]" in str(caught.value)


# --- databases


def test_a_full_map_says_path_use_limit_and_what_to_do(tmp_path: Path, lib_version: str) -> None:
    table = zlmdb.MapOidBytes(1)
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 18, lib_version=lib_version) as db:
        with pytest.raises(errors.MapFull) as caught, db.begin(write=True) as txn:
            table[txn, 1] = bytes(1 << 19)
        full = caught.value
        assert (full.path, full.limit) == (str(tmp_path / "db"), 1 << 18)
        assert 0 < full.used <= full.limit
        assert "db.resize" in str(full.next_step)
        db.resize(1 << 21)
        with db.begin(write=True) as txn:
            table[txn, 1] = bytes(1 << 19)


FRAMEWORK = """
db = zlmdb.Database(sys.argv[1])
with db.begin(write=True) as txn:
    words[txn, "a"] = "1"
db.close()
assert "txaio" not in sys.modules
import txaio
assert not txaio.using_asyncio and not txaio.using_twisted
txaio.use_twisted()
"""


def test_a_database_chooses_no_event_loop_for_the_application(tmp_path: Path) -> None:
    pytest.importorskip("txaio")
    assert run(FRAMEWORK, tmp_path / "db") == ""


FAILED_COMMIT = """
import resource
db = zlmdb.Database(sys.argv[1], lib_version=sys.argv[2])
txn = db.begin(write=True)
with txn:
    words[txn, "kept"] = "1"

def commit():
    with txn:
        words[txn, "lost"] = "x" * (1 << 18)

resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, resource.RLIM_INFINITY))
refused(errors.DiskFull, commit)
refused(errors.TransactionFinished, lambda: words[txn, "kept"])
assert db.transactions() == []
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with txn:
    assert dict(words.select(txn)) == {"kept": "1"}
    words[txn, "after"] = "2"
with db.begin() as snapshot:
    assert words[snapshot, "after"] == "2"
db.close()
"""


def test_a_transaction_whose_commit_failed_has_ended_and_can_be_begun_again(tmp_path: Path, lib_version: str) -> None:
    run(FAILED_COMMIT, tmp_path / "db", lib_version)
