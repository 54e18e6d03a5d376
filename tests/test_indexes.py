# SPDX-License-Identifier: MIT
"""Indexes are exact: each equals a dictionary rebuilt from its table, whatever happened before."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zlmdb
from zlmdb import errors

FIELDS = {"email": (False, True), "phone": (True, True), "role": (False, False), "team": (True, False)}
"""Field name: nullable, unique."""


class People(zlmdb.Schema):
    def attach(self, db: zlmdb.Database) -> None:
        self.people = zlmdb.MapOidCbor(1)
        self.indexes = {name: zlmdb.MapStringOid(number) for number, name in enumerate(FIELDS, 2)}
        for name, (nullable, unique) in FIELDS.items():
            self.people.attach_index(name, self.indexes[name], lambda row, name=name: row.get(name), nullable, unique)


def assert_exact(txn: zlmdb.Transaction, schema: People, rows: dict) -> None:
    assert dict(schema.people.select(txn)) == rows
    for name, (_, unique) in FIELDS.items():
        rebuilt: dict = {}
        for key, row in rows.items():
            if row.get(name) is not None:
                rebuilt.setdefault(row[name], set()).add(key)
        stored = dict(schema.indexes[name].select(txn))
        if unique:
            assert {text: {owner} for text, owner in stored.items()} == rebuilt
        else:
            assert {text: set(owners) for text, owners in stored.items()} == rebuilt


@pytest.fixture(scope="module", params=["0.9", "1.0"])
def database(request: pytest.FixtureRequest) -> Iterator[zlmdb.Database]:
    with tempfile.TemporaryDirectory() as path, zlmdb.Database(path, sync=False, lib_version=request.param) as db:
        yield db


keys = st.integers(0, 6)
short = st.sampled_from(["", "a", "b", "c", "a\0"])
records = st.fixed_dictionaries(
    {"email": st.none() | short | st.integers(0, 1), "role": short},
    optional={"phone": st.none() | short, "team": short},
)
operations = st.one_of(
    st.tuples(st.just("put"), keys, records),
    st.tuples(st.just("insert"), keys, records),
    st.tuples(st.just("replace"), keys, records),
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("pop"), keys),
    st.tuples(st.just("put_many"), st.lists(st.tuples(keys, records), max_size=4)),
    st.tuples(st.just("delete_many"), st.lists(keys, max_size=4)),
    st.tuples(st.just("truncate")),
    st.tuples(st.just("rebuild"), st.sampled_from(list(FIELDS))),
    st.tuples(st.just("rolled back"), keys, records),
)


def allowed(rows: dict, key: int, row: dict) -> bool:
    if not isinstance(row["email"], str):
        return False
    others = [other for at, other in rows.items() if at != key]
    return all(
        row.get(name) is None or row[name] not in [other.get(name) for other in others] for name in ("email", "phone")
    )


def perform(txn: zlmdb.Transaction, schema: People, rows: dict, operation: tuple) -> dict:
    """Do it in the database, and return what the rows should be afterwards."""
    table, (what, *args) = schema.people, operation
    if what == "put_many":
        table.put_many(txn, args[0])
        return {**rows, **dict(args[0])}
    if what == "delete_many":
        assert table.delete_many(txn, args[0]) == len(rows.keys() & set(args[0]))
        return {key: row for key, row in rows.items() if key not in args[0]}
    if what == "truncate":
        table.truncate(txn)
        return {}
    if what == "rebuild":
        table.rebuild_index(txn, args[0])
        return rows
    if what in {"delete", "pop"}:
        if what == "delete":
            del table[txn, args[0]]
        else:
            assert table.pop((txn, args[0]), "none") == rows.get(args[0], "none")
        return {key: row for key, row in rows.items() if key != args[0]}
    key, row = args
    if what == "rolled back":
        with txn.savepoint():
            table[txn, key] = row
            raise InterruptedError
    if what == "put":
        table[txn, key] = row
    else:
        getattr(table, what)(txn, key, row)
    return {**rows, key: row}


def should_fail(rows: dict, operation: tuple) -> bool:
    what, *args = operation
    if what == "put_many":
        now = dict(rows)
        for key, row in args[0]:
            if not allowed(now, key, row):
                return True
            now[key] = row
        return False
    if what in {"put", "insert", "replace"}:
        taken = args[0] in rows
        return not allowed(rows, *args) or (what == "insert" and taken) or (what == "replace" and not taken)
    return what == "rolled back"


@settings(max_examples=150)
@given(history=st.lists(operations, max_size=25))
def test_every_index_equals_a_dictionary_rebuilt_from_the_table(database, history: list[tuple]) -> None:
    schema = People().attach(database)
    rows: dict = {}
    with database.begin(write=True) as txn:
        schema.people.truncate(txn)
        for operation in history:
            try:
                after = perform(txn, schema, rows, operation)
            except (errors.DataError, InterruptedError):
                assert should_fail(rows, operation), operation
            else:
                assert not should_fail(rows, operation), operation
                rows = after
            assert_exact(txn, schema, rows)
    with database.begin() as txn:
        assert_exact(txn, schema, rows)


def joe(**fields: object) -> dict:
    return {"email": "joe@example.com", "role": "user", **fields}


def test_a_second_owner_of_a_unique_key_is_refused_and_named(db: zlmdb.Database) -> None:
    schema = People().attach(db)
    with db.begin(write=True) as txn:
        schema.people[txn, 1] = joe()
        with pytest.raises(errors.UniqueViolation) as caught:
            schema.people[txn, 2] = joe()
        assert (caught.value.index, caught.value.key, caught.value.owner) == ("email", "joe@example.com", 1)
        assert_exact(txn, schema, {1: joe()})


def test_a_null_where_none_is_taken_is_refused_before_anything_is_written(db: zlmdb.Database) -> None:
    schema = People().attach(db)
    with db.begin(write=True) as txn:
        with pytest.raises(zlmdb.NullValueConstraint) as caught:
            schema.people[txn, 1] = joe(email=None)
        assert isinstance(caught.value, RuntimeError)
        assert_exact(txn, schema, {})


def test_a_tuple_with_a_none_is_a_null(db: zlmdb.Database) -> None:
    table, index = zlmdb.MapOidCbor(1), zlmdb.MapUuidStringOid(2)
    table.attach_index("owner", index, lambda row: (row.get("owner"), row["name"]), nullable=True)
    with db.begin(write=True) as txn:
        table[txn, 1] = {"name": "a"}
        table[txn, 2] = {"name": "a", "owner": UUID(int=1)}
        assert list(index.select(txn)) == [((UUID(int=1), "a"), 2)]
        del table[txn, 1]


def test_a_stale_record_of_an_older_program_is_replaced_and_counted(db: zlmdb.Database) -> None:
    schema = People().attach(db)
    with db.begin(write=True) as txn:
        schema.people[txn, 1] = joe(email="one")
        schema.indexes["email"][txn, "two"] = 1  # row 1 does not have this key
        schema.indexes["email"][txn, "three"] = 99  # there is no such row
        schema.people[txn, 2] = joe(email="two")
        schema.people[txn, 3] = joe(email="three")
        assert schema.people.index("email").stale == 2
        assert_exact(txn, schema, {1: joe(email="one"), 2: joe(email="two"), 3: joe(email="three")})


def test_deleting_a_record_leaves_an_index_record_that_is_anothers(db: zlmdb.Database) -> None:
    schema = People().attach(db)
    with db.begin(write=True) as txn:
        schema.people[txn, 1] = joe()
        schema.indexes["email"][txn, "joe@example.com"] = 2  # as older programs left it
        del schema.people[txn, 1]
        assert schema.indexes["email"][txn, "joe@example.com"] == 2


def test_an_index_of_compressed_records_is_kept_and_rebuilt(db: zlmdb.Database) -> None:
    table, index = zlmdb.MapOidCbor(1, zlmdb.PersistentMap.COMPRESS_ZLIB), zlmdb.MapStringOid(2)
    with db.begin(write=True) as txn:
        table[txn, 0] = {"name": "zero"}
        table.attach_index("name", index, lambda row: row["name"])
        assert table.rebuild_index(txn, "name") == (0, 1)
        table[txn, 1] = {"name": "one"}
        assert dict(index.select(txn)) == {"zero": 0, "one": 1}
        assert table.rebuild_indexes(txn) == (2, 2)
        with pytest.raises(errors.SchemaError):
            zlmdb.MapOidCbor(5).attach_index("x", zlmdb.MapStringOid(6, "zlib"), lambda row: row["x"])


def test_a_rebuild_over_two_owners_of_one_key_fails_and_changes_nothing(db: zlmdb.Database) -> None:
    table, index = zlmdb.MapOidCbor(2), zlmdb.MapStringOid(1)  # the index's slot is the lower one
    with db.begin(write=True) as txn:
        table[txn, 1] = table[txn, 2] = {"name": "same"}
        index[txn, "before"] = 5
        table.attach_index("name", index, lambda row: row["name"])
        with pytest.raises(errors.UniqueViolation):
            table.rebuild_index(txn, "name")
        assert dict(index.select(txn)) == {"before": 5}
        assert table.count(txn) == 2


def test_a_key_too_long_for_an_index_is_refused_before_anything_is_written(db: zlmdb.Database) -> None:
    schema = People().attach(db)
    with db.begin(write=True) as txn:
        with pytest.raises(errors.KeyTooLong) as caught:
            schema.people[txn, 1] = joe(email="x" * 3000)
        assert caught.value.limit == db.max_key_size == (511 if db.lib_version == "0.9" else 1978)
        assert caught.value.size == 3002
        assert_exact(txn, schema, {})


def test_an_index_can_be_detached_and_attached_again(db: zlmdb.Database) -> None:
    table, index = zlmdb.MapOidCbor(1), zlmdb.MapStringOid(2)
    table.attach_index("name", index, lambda row: row["name"])
    assert (table.indexes(), index.is_index()) == (["name"], True)
    for faulty in (
        lambda: table.attach_index("name", zlmdb.MapStringOid(3), str),
        lambda: table.attach_index("other", index, str),
        lambda: index.attach_index("deep", zlmdb.MapStringOid(3), str),
        lambda: table.rebuild_index(None, "none"),
    ):
        with pytest.raises(errors.SchemaError):
            faulty()
    table.detach_index("name")
    table.detach_index("name")
    assert not index.is_index()
    table.attach_index("name", index, lambda row: row["name"])


def test_falsy_values_are_indexed_and_unindexed_like_others(db: zlmdb.Database) -> None:
    table, index = zlmdb.MapOidString(1), zlmdb.MapStringOid(2)
    table.attach_index("text", index, lambda text: text)
    with db.begin(write=True) as txn:
        table[txn, 0] = ""
        assert index[txn, ""] == 0
        table[txn, 0] = "a"
        assert dict(index.select(txn)) == {"a": 0}
        table[txn, 0] = ""
        del table[txn, 0]
        assert index.count(txn) == 0


def test_a_non_unique_index_declared_over_single_values_keeps_its_sets_in_the_file(tmp_path: Path) -> None:
    @zlmdb.table("6e5d8e0c-3b60-4b8c-9d0a-0d8b8a9f0001")
    class Rows(zlmdb.MapOidCbor): ...

    @zlmdb.table("6e5d8e0c-3b60-4b8c-9d0a-0d8b8a9f0002")
    class ByRole(zlmdb.MapStringOid): ...

    for round_ in range(2):
        with zlmdb.Database(tmp_path / "db") as db:
            rows, by_role = db.attach_table(Rows), db.attach_table(ByRole)
            rows.attach_index("role", by_role, lambda row: row["role"], unique=False)
            with db.begin(write=True) as txn:
                rows[txn, round_] = {"role": "admin"}
                assert list(by_role[txn, "admin"]) == list(range(round_ + 1))
    with zlmdb.Database(tmp_path / "db") as db:
        rows, by_role = db.attach_table(Rows), db.attach_table(ByRole)
        with pytest.raises(errors.SchemaError):
            rows.attach_index("role", by_role, lambda row: row["role"], unique=True)


def test_single_values_in_the_file_do_not_become_a_non_unique_index(tmp_path: Path) -> None:
    @zlmdb.table("6e5d8e0c-3b60-4b8c-9d0a-0d8b8a9f0003")
    class ByRole(zlmdb.MapStringOid): ...

    with zlmdb.Database(tmp_path / "db") as db:
        by_role = db.attach_table(ByRole)
        with db.begin(write=True) as txn:
            by_role[txn, "admin"] = 1
        with pytest.raises(errors.SlotConflict):
            zlmdb.MapOidCbor(50).attach_index("role", by_role, lambda row: row["role"], unique=False)
        with db.begin() as txn:
            assert by_role[txn, "admin"] == 1
