# SPDX-License-Identifier: MIT
"""Transactions do what they look like."""

import threading
from pathlib import Path
from types import SimpleNamespace

import lmdb
import pytest

import zlmdb
from zlmdb import errors

table = zlmdb.MapStringString(100)


def test_leaving_normally_commits_and_an_exception_rolls_back(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        table[txn, "a"] = "1"
    with pytest.raises(ZeroDivisionError), db.begin(write=True) as txn:
        table[txn, "a"] = "2"
        1 / 0
    with db.begin() as txn:
        assert table[txn, "a"] == "1"


def test_a_transaction_object_may_be_used_again_after_its_end(db: zlmdb.Database) -> None:
    txn = db.begin(write=True)
    with txn:
        table[txn, "a"] = "1"
    with txn:
        table[txn, "b"] = "2"
    with db.begin() as txn:
        assert list(table.select(txn)) == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize("use", [lambda txn: txn.get(b"x"), lambda txn: table[txn, "a"], lambda txn: txn.id()])
def test_a_transaction_that_does_not_run_is_refused(db: zlmdb.Database, use) -> None:
    finished = db.begin()
    with finished:
        pass
    for txn in (db.begin(), finished):
        with pytest.raises(errors.TransactionFinished) as caught:
            use(txn)
        assert caught.value.next_step


def test_a_write_in_a_read_transaction_is_refused_and_also_lmdbs_error(db: zlmdb.Database) -> None:
    with db.begin() as txn:
        for write in (
            lambda: table.__setitem__((txn, "a"), "1"),
            lambda: table.__delitem__((txn, "a")),
            lambda: txn.put(b"\0\1a", b"1"),
            lambda: table.insert(txn, "a", "1"),
        ):
            with pytest.raises(errors.ReadonlyTransaction) as caught:
                write()
            assert isinstance(caught.value, lmdb.ReadonlyError)
        with pytest.raises(errors.ReadonlyTransaction), txn.savepoint():
            pass


def test_a_second_write_transaction_on_one_thread_is_refused_and_the_first_goes_on(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        table[txn, "a"] = "1"
        with pytest.raises(errors.NestedWrite) as caught, db.begin(write=True):
            pass
        assert "savepoint" in str(caught.value)
        table[txn, "b"] = "2"
    with db.begin(write=True) as txn:
        assert table.count(txn) == 2


def test_write_transactions_of_other_threads_wait_their_turn(db: zlmdb.Database) -> None:
    began = threading.Event()

    def other() -> None:
        began.set()
        with db.begin(write=True) as txn:
            table[txn, "order"] = (table[txn, "order"] or "") + "second"

    thread = threading.Thread(target=other)
    with db.begin(write=True) as txn:
        thread.start()
        began.wait()
        table[txn, "order"] = "first "
    thread.join()
    with db.begin() as txn:
        assert table[txn, "order"] == "first second"


def test_a_savepoint_rolls_back_alone(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        table[txn, "a"] = "1"
        with pytest.raises(ZeroDivisionError), txn.savepoint():
            table[txn, "a"] = "2"
            table[txn, "b"] = "2"
            1 / 0
        assert (table[txn, "a"], table[txn, "b"]) == ("1", None)
        with txn.savepoint():
            table[txn, "c"] = "3"
            with pytest.raises(KeyError), txn.savepoint():
                table[txn, "c"] = "4"
                raise KeyError
            assert table[txn, "c"] == "3"
    with db.begin() as txn:
        assert dict(table.select(txn)) == {"a": "1", "c": "3"}


def test_a_full_map_poisons_the_transaction_and_nothing_of_it_is_committed(tmp_path: Path, lib_version: str) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 18, lib_version=lib_version) as db:
        with db.begin(write=True) as txn:
            table[txn, "kept"] = "1"
        with pytest.raises(errors.TransactionPoisoned) as caught, db.begin(write=True) as txn:
            table[txn, "lost"] = "1"
            with pytest.raises(errors.MapFull) as full:
                table[txn, "big"] = "x" * (1 << 19)
            assert isinstance(full.value, lmdb.MapFullError)
            assert full.value.limit == 1 << 18
            assert full.value.path == str(tmp_path / "db")
        assert isinstance(caught.value.__cause__, errors.MapFull)
        with db.begin(write=True) as txn:
            assert dict(table.select(txn)) == {"kept": "1"}


def test_a_full_map_poisons_only_up_to_the_nearest_savepoint(tmp_path: Path, lib_version: str) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 18, lib_version=lib_version) as db:
        with db.begin(write=True) as txn:
            table[txn, "before"] = "1"
            with pytest.raises(errors.MapFull), txn.savepoint():
                table[txn, "big"] = "x" * (1 << 19)
            table[txn, "after"] = "2"
        with db.begin() as txn:
            assert dict(table.select(txn)) == {"before": "1", "after": "2"}


def test_a_statement_that_fails_validation_leaves_the_transaction_usable(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        table[txn, "a"] = "1"
        for key, value in ((1, "x"), ("b", 2), ("b", None), (None, "x"), ("x" * 5000, "y")):
            with pytest.raises(errors.DataError):
                table[txn, key] = value
    with db.begin() as txn:
        assert dict(table.select(txn)) == {"a": "1"}


def test_a_write_transaction_must_end_on_its_own_thread(db: zlmdb.Database) -> None:
    txn = db.begin(write=True)
    txn.__enter__()
    caught = []

    def end() -> None:
        try:
            txn.__exit__(None, None, None)
        except errors.WrongThread as exc:
            caught.append(exc)

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()
    assert len(caught) == 1
    txn.__exit__(None, None, None)


def test_statistics_count_records_and_their_index_records(db: zlmdb.Database) -> None:
    main, index = zlmdb.MapUuidCbor(1), zlmdb.MapStringUuid(2)
    main.attach_index("name", index, lambda value: value["name"])
    key = main.new_key()
    stats = zlmdb.TransactionStats()
    with db.begin(write=True, stats=stats) as txn:
        main[txn, key] = {"name": "joe"}
        assert (stats.puts, stats.dels) == (2, 0)
        del main[txn, key]
    assert (stats.puts, stats.dels) == (2, 2)
    stats.reset()
    assert (stats.puts, stats.dels) == (0, 0)


def test_the_duration_is_that_of_the_transactions_not_of_what_was_around_them(
    db: zlmdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000
    monkeypatch.setattr("zlmdb.storage.stats.time", SimpleNamespace(time_ns=lambda: now, monotonic_ns=lambda: now))
    stats = zlmdb.TransactionStats()
    now += 50
    assert (stats.started, stats.duration) == (1_000, 50)
    with db.begin(write=True, stats=stats):
        now += 7
        assert (stats.started, stats.duration) == (1_050, 7)
    now += 100
    assert stats.duration == 7
    with db.begin(write=True, stats=stats):
        now += 1
    now += 100
    assert (stats.started, stats.duration) == (1_050, 108)
    stats.reset()
    now += 3
    assert (stats.started, stats.duration) == (1_258, 3)


def test_savepoints_are_refused_with_writemap(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20, writemap=True) as db, db.begin(write=True) as txn:
        with pytest.raises(errors.ConfigError):
            txn.savepoint()
        table[txn, "a"] = "1"


def test_views_of_a_buffers_transaction_read_as_values_of_every_kind(db: zlmdb.Database) -> None:
    raw = zlmdb.MapStringBytes(101)
    with db.begin(write=True) as txn:
        table[txn, "a"] = "text"
        raw[txn, "b"] = b"bytes"
    with db.begin(buffers=True) as txn:
        assert table[txn, "a"] == "text"
        assert list(table.select(txn)) == [("a", "text")]
        view = raw[txn, "b"]
        assert isinstance(view, memoryview)
        assert bytes(view) == b"bytes"
        assert [(key, bytes(value)) for key, value in raw.select(txn)] == [("b", b"bytes")]
