# SPDX-License-Identifier: MIT
"""Transactions and savepoints that end in another way than `with` ends them: nothing is lost, held or half done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import zlmdb
from zlmdb import errors

words = zlmdb.MapStringString(7)


class Broken(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise ZeroDivisionError


@pytest.fixture
def failing_log() -> Iterator[None]:
    logger, broken = logging.getLogger("zlmdb.storage"), Broken()
    logger.addFilter(broken)
    yield
    logger.removeFilter(broken)


def contents(db: zlmdb.Database) -> dict[str, str]:
    with db.begin() as txn:
        return dict(words.select(txn))


@pytest.mark.parametrize("seconds", ["x", None, -1, float("nan"), True, [1]])
def test_what_is_no_age_of_a_long_transaction_is_refused(db: zlmdb.Database, seconds: object) -> None:
    with pytest.raises(errors.ConfigError, match="number of seconds"):
        db.long_transaction = seconds
    assert db.long_transaction == 30.0
    with db.begin(write=True) as txn:
        words[txn, "a"] = "1"


@pytest.mark.parametrize("write", [False, True])
def test_a_transaction_is_over_also_when_the_warning_of_it_fails(
    db: zlmdb.Database, failing_log: None, write: bool
) -> None:
    db.long_transaction = 0
    committed: list[bool] = []
    with pytest.raises(ZeroDivisionError), db.begin(write=write) as txn:
        txn.on_commit(lambda: committed.append(True))
        if write:
            words[txn, "a"] = "1"
    assert db.environment.writer is None
    assert db.environment.active == set()
    assert committed == [True] * write
    db.long_transaction = 30
    with db.begin(write=True) as txn:
        words[txn, "b"] = "2"
    assert contents(db) == {**({"a": "1"} if write else {}), "b": "2"}


# --- savepoints


def test_a_savepoint_that_was_not_entered_cannot_be_left(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        words[txn, "a"] = "1"
        with pytest.raises(errors.ConfigError, match="not the last one entered"):
            txn.savepoint().__exit__(None, None, None)
        words[txn, "b"] = "2"
    assert contents(db) == {"a": "1", "b": "2"}


def test_savepoints_are_left_in_the_order_of_their_nesting_and_once(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        outer, inner = txn.savepoint(), txn.savepoint()
        outer.__enter__()
        inner.__enter__()
        words[txn, "a"] = "1"
        with pytest.raises(errors.ConfigError):
            outer.__exit__(None, None, None)
        inner.__exit__(None, None, None)
        with pytest.raises(errors.ConfigError):
            inner.__exit__(None, None, None)
        outer.__exit__(None, None, None)
    assert contents(db) == {"a": "1"}


def test_a_transaction_with_a_savepoint_never_left_says_that_it_committed_nothing(db: zlmdb.Database) -> None:
    undone = []
    with pytest.raises(errors.TransactionPoisoned, match="never left"), db.begin(write=True) as txn:
        words[txn, "a"] = "1"
        txn.savepoint().__enter__()
        txn.savepoint().__enter__()
        txn.on_abort(lambda: undone.append("b"))
        words[txn, "b"] = "2"
    assert undone == ["b"]
    with db.begin(write=True) as txn:  # and the lock is free
        words[txn, "c"] = "3"
    assert contents(db) == {"c": "3"}


def test_an_exception_ends_a_transaction_with_savepoints_never_left(db: zlmdb.Database) -> None:
    with pytest.raises(ZeroDivisionError), db.begin(write=True) as txn:
        txn.savepoint().__enter__()
        words[txn, "a"] = "1"
        1 / 0
    with db.begin(write=True) as txn:
        words[txn, "c"] = "3"
    assert contents(db) == {"c": "3"}


def test_a_database_can_be_closed_inside_a_savepoint(tmp_path: Path, lib_version: str) -> None:
    db = zlmdb.Database(tmp_path / "db", lib_version=lib_version)
    txn = db.begin(write=True).__enter__()
    words[txn, "a"] = "1"
    savepoint = txn.savepoint()
    savepoint.__enter__()
    words[txn, "b"] = "2"
    db.close()
    savepoint.__exit__(None, None, None)
    with pytest.raises(errors.DatabaseClosed):
        txn.__exit__(None, None, None)
    with zlmdb.Database(tmp_path / "db") as again:
        assert contents(again) == {}


# --- threads


def leave_open(db: zlmdb.Database) -> threading.Thread:
    """Begin a write transaction on a thread that ends inside it."""

    def begin() -> None:
        words[db.begin(write=True).__enter__(), "a"] = "1"

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    return thread


def test_a_writer_does_not_wait_for_a_thread_that_has_ended(db: zlmdb.Database) -> None:
    thread = leave_open(db)
    with pytest.raises(errors.LockHeld, match=f"thread {thread.ident}.*close the database"), db.begin(write=True):
        pass
    with pytest.raises(errors.LockHeld), db.begin(write=True):  # and the environment is as it was
        pass
    assert contents(db) == {}


def test_closing_rolls_back_what_a_thread_left_when_it_ended(tmp_path: Path, lib_version: str) -> None:
    db = zlmdb.Database(tmp_path / "db", lib_version=lib_version)
    leave_open(db)
    db.close()
    with zlmdb.Database(tmp_path / "db") as again:
        with again.begin(write=True) as txn:
            words[txn, "b"] = "2"
        assert contents(again) == {"b": "2"}


def test_a_writer_that_waits_when_the_holder_ends_is_told_of_it(db: zlmdb.Database) -> None:
    began, end = threading.Event(), threading.Event()
    caught: list[BaseException] = []

    def hold() -> None:
        db.begin(write=True).__enter__()
        began.set()
        end.wait()

    def wait() -> None:
        try:
            with db.begin(write=True):
                pass
        except errors.LockHeld as exc:
            caught.append(exc)

    holder, waiter = threading.Thread(target=hold), threading.Thread(target=wait)
    holder.start()
    began.wait()
    waiter.start()
    end.set()  # whether the waiter waits by now or will look first, it is told the same
    holder.join()
    waiter.join()
    assert [type(exc) for exc in caught] == [zlmdb.storage.faults.LockHeld]
    assert "has ended without leaving it" in str(caught[0])
