# SPDX-License-Identifier: MIT
"""Odd uses that must neither lose nor mix up anything, and must say what is wrong."""

import threading
from pathlib import Path

import cbor2
import pytest

import zlmdb
from zlmdb import errors

words = zlmdb.MapStringString(60)


@zlmdb.table("2b5cf8a2-41b9-4d0e-9d8e-0d8b8a9f5001")
class People(zlmdb.MapStringCbor): ...


@zlmdb.table("2b5cf8a2-41b9-4d0e-9d8e-0d8b8a9f5002")
class ByEmail(zlmdb.MapStringString): ...


def test_a_write_transaction_does_not_end_quietly_when_its_database_was_closed_inside(tmp_path: Path) -> None:
    db = zlmdb.Database(tmp_path / "db")
    with pytest.raises(errors.DatabaseClosed, match="nothing was committed"), db.begin(write=True) as txn:
        words[txn, "a"] = "1"
        with db:
            pass
    with pytest.raises(ZeroDivisionError), zlmdb.Database(tmp_path / "db") as db, db.begin(write=True) as txn:
        db.close()
        1 / 0


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_transaction_keeps_a_database_that_nobody_else_keeps(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db").begin(write=True) as txn:
        words[txn, "a"] = "1"
    del txn
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        assert words[txn, "a"] == "1"


def test_the_table_itself_and_maps_of_other_databases_are_no_indexes(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "one") as one, zlmdb.Database(tmp_path / "two") as two:
        people = one.attach_table(People)
        for index in (people, zlmdb.MapStringString(people.slot), two.attach_table(ByEmail)):
            with pytest.raises(errors.SchemaError):
                people.attach_index("email", index, lambda row: row["email"])
        assert people.indexes() == []
        people.attach_index("email", one.attach_table(ByEmail), lambda row: row["email"])


def test_nothing_remains_of_a_statement_whose_index_function_fails_on_another_row(db: zlmdb.Database) -> None:
    people, by_email = db.attach_table(People), db.attach_table(ByEmail)
    with db.begin(write=True) as txn:
        people[txn, "a"] = {"mail": "x"}
        by_email[txn, "x"] = "a"
        people.attach_index("email", by_email, lambda row: row["email"])
        for write in (
            lambda: people.__setitem__((txn, "b"), {"email": "x"}),
            lambda: people.insert(txn, "b", {"email": "x"}),
        ):
            with pytest.raises(errors.UniqueViolation) as caught:
                write()
            assert isinstance(caught.value.__cause__, KeyError)
            assert "index 'email'" in caught.value.__cause__.__notes__[0]
        assert dict(people.select(txn)) == {"a": {"mail": "x"}}
        assert dict(by_email.select(txn)) == {"x": "a"}


def test_a_map_of_a_deleted_file_does_not_write_into_the_one_made_in_its_place(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        people = db.attach_table(People)
    zlmdb.Database.scratch(tmp_path / "db")
    with zlmdb.Database(tmp_path / "db") as db:
        by_email = db.attach_table(ByEmail)
        assert by_email.slot == people.slot
        people._home = db.environment.key  # as when the system gives the new file the number of the old one
        with db.begin(write=True) as txn:
            for use in (lambda: people[txn, "a"], lambda: people.__setitem__((txn, "a"), 1), lambda: people.count(txn)):
                with pytest.raises(errors.WrongDatabase):
                    use()


def test_a_fixed_slot_that_another_table_has_in_the_new_file_is_refused(tmp_path: Path) -> None:
    class Fixed(zlmdb.Schema):
        def attach(self, db: zlmdb.Database) -> None:
            self.words = zlmdb.MapStringString(1)

    with zlmdb.Database(tmp_path / "db") as db:
        fixed = db.attach(Fixed).words
    zlmdb.Database.scratch(tmp_path / "db")
    with zlmdb.Database(tmp_path / "db") as db:
        with db.begin(write=True) as txn:
            entry = {"oid": str(People._zlmdb_oid), "name": "People", "creator": "unknown", "slot": 1}
            txn.put(bytes.fromhex("00000001"), cbor2.dumps(entry))
        fixed._home = db.environment.key
        with db.begin() as txn, pytest.raises(errors.WrongDatabase):
            fixed.count(txn)


@pytest.mark.parametrize("buffers", [False, True])
def test_an_iterator_that_outlives_its_transaction_says_so_at_its_end(db: zlmdb.Database, buffers: bool) -> None:
    with db.begin(write=True) as txn:
        words.put_many(txn, [(f"{n:03}", "x" * 50) for n in range(100)])
    with db.begin(buffers=buffers) as txn:
        rows = words.select(txn)
        first = next(rows)
    with db.begin(write=True) as txn:
        words.truncate(txn)
        words.put_many(txn, [(f"{n:03}", "y" * 50) for n in range(100)])
    assert first == ("000", "x" * 50)
    seen = []
    with pytest.raises(errors.TransactionFinished):
        for row in rows:
            seen.append(row)
    assert all(value == "x" * 50 for _, value in seen)  # of what was read while it ran


def test_a_close_that_transactions_hold_up_can_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zlmdb.storage.environment._PATIENCE", 0.01)
    db = zlmdb.Database(tmp_path / "db")
    began, may_end = threading.Event(), threading.Event()

    def read() -> None:
        with db.begin():
            began.set()
            may_end.wait()

    thread = threading.Thread(target=read)
    thread.start()
    began.wait()
    with pytest.raises(errors.TransactionsRunning):
        db.close()
    assert db.is_open
    with db.begin(write=True) as txn:
        words[txn, "a"] = "1"
    may_end.set()
    thread.join()
    db.close()
    with zlmdb.Database(tmp_path / "db") as again, again.begin() as txn:
        assert words[txn, "a"] == "1"


def test_a_rollback_does_not_unbind_a_table_that_was_there_before(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        db.attach_table(People)
    with zlmdb.Database(tmp_path / "db") as db:
        with pytest.raises(ZeroDivisionError), db.begin(write=True) as txn:
            people, by_email = db.attach_table(People), db.attach_table(ByEmail)
            people[txn, "a"] = 1
            1 / 0
        with db.begin() as txn:
            assert people[txn, "a"] is None
            with pytest.raises(errors.NotAttached):
                by_email[txn, "a"]


def test_an_annotation_without_a_table_uuid_is_refused(db: zlmdb.Database) -> None:
    class Careless(zlmdb.Schema):
        users: zlmdb.MapUuidCbor

    with pytest.raises(errors.TableDeclaration, match="table UUID"):
        db.attach(Careless)


def test_a_savepoint_is_not_entered_inside_itself(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        savepoint = txn.savepoint()
        with savepoint:
            words[txn, "a"] = "1"
            with pytest.raises(errors.ConfigError), savepoint:
                pass
        with savepoint:
            words[txn, "b"] = "2"
    with db.begin() as txn:
        assert dict(words.select(txn)) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("path", [b"bytes", 5, "a\0b", ["x"]])
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(errors.ConfigError):
        zlmdb.Database(path)


@pytest.mark.parametrize("schema", [5, None, dict])
def test_what_is_no_schema_is_refused(db: zlmdb.Database, schema: object) -> None:
    with pytest.raises(errors.TableDeclaration):
        db.attach(schema)


def test_the_check_is_reached_through_the_database(db: zlmdb.Database) -> None:
    people, by_email = db.attach_table(People), db.attach_table(ByEmail)
    people.attach_index("email", by_email, lambda row: row["email"])
    with db.begin(write=True) as txn:
        people[txn, "a"] = {"email": "x"}
    assert db.check(people).ok
    with db.begin(write=True) as txn:
        del by_email[txn, "x"]
    assert not db.check(people).ok
    assert db.check(people, repair=True).repaired
    assert db.check(people).ok
    with db.begin() as txn:
        assert by_email[txn, "x"] == "a"
