# SPDX-License-Identifier: MIT
"""Readers and running transactions: listed, cleared when dead, warned of when old; functions run in transactions."""

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import zlmdb
from tests.children import Held
from zlmdb import errors

words = zlmdb.MapStringString(1)

READING = """
with zlmdb.Database(sys.argv[1]) as db, db.begin():
    hold(os.getpid())
"""
READING_WITH_ALL_SLOTS = """
db = zlmdb.Database(sys.argv[1])
reading = []
try:
    while True:
        txn = db.begin()
        txn.__enter__()
        reading.append(txn)
except errors.ReadersFull as exc:
    hold(len(reading), exc.limit)
"""


def test_readers_of_all_processes_are_listed(db: zlmdb.Database) -> None:
    assert all(reader.txnid is None for reader in db.readers())
    with db.begin(write=True) as txn:
        words[txn, "a"] = "x"
    with Held(READING, db.dbpath) as child:
        pid = int(child.said())
        with db.begin() as txn:
            found = {reader.pid: reader for reader in db.readers() if reader.txnid is not None}
            assert set(found) == {os.getpid(), pid}
            assert {reader.txnid for reader in found.values()} == {txn.id()} == {1}
            assert all(reader.thread for reader in found.values())
        child.finish()
        assert {reader.pid for reader in db.readers()} <= {os.getpid()}


def test_readers_that_were_killed_are_cleared_on_request(db: zlmdb.Database) -> None:
    with Held(READING, db.dbpath) as child:
        pid = int(child.said())
        assert db.clear_dead_readers() == 0
        child.kill()
    assert pid in {reader.pid for reader in db.readers()}
    assert db.clear_dead_readers() == 1
    assert pid not in {reader.pid for reader in db.readers()}


def test_readers_that_were_killed_are_cleared_at_opening(tmp_path: Path, lib_version: str) -> None:
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version), Held(READING, tmp_path / "db") as child:
        pid = int(child.said())
        child.kill()
    with zlmdb.Database(tmp_path / "db") as db:
        assert pid not in {reader.pid for reader in db.readers()}


def test_slots_are_refused_while_living_processes_hold_them_and_had_when_those_are_killed(db: zlmdb.Database) -> None:
    with Held(READING_WITH_ALL_SLOTS, db.dbpath) as child:
        taken, limit = map(int, child.said().split())
        assert 1000 < taken <= limit
        with db.begin(write=True) as txn:  # writers need no slot
            words[txn, "a"] = "x"
        with pytest.raises(errors.ReadersFull) as caught, db.begin(), db.begin():
            pass
        assert caught.value.limit == limit
        assert "dead" in str(caught.value)
        child.kill()
    with db.begin() as one, db.begin() as two:
        assert words[one, "a"] == words[two, "a"] == "x"
    assert len(db.readers()) < 10


@pytest.fixture
def clock(db: zlmdb.Database) -> list[float]:
    now = [1000.0]
    db.environment.clock = lambda: now[0]
    return now


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING)
    return caplog


def test_running_transactions_are_listed_oldest_first(db: zlmdb.Database, clock: list[float]) -> None:
    began, ending = threading.Event(), threading.Event()

    def write() -> None:
        with db.begin(write=True):
            began.set()
            ending.wait()

    assert db.transactions() == []
    with db.begin():
        clock[0] += 2
        thread = threading.Thread(target=write, name="writer")
        thread.start()
        began.wait()
        clock[0] += 1.5
        found = db.transactions()
    assert [(txn.kind, txn.thread, txn.age) for txn in found] == [("read", "MainThread", 3.5), ("write", "writer", 1.5)]
    ending.set()
    thread.join()
    assert db.transactions() == []


@pytest.mark.parametrize("write", [False, True])
def test_a_transaction_that_ran_for_long_is_warned_of_once_when_it_ends(
    db: zlmdb.Database, clock: list[float], warnings: pytest.LogCaptureFixture, write: bool
) -> None:
    txn = db.begin(write=write)
    with txn:
        clock[0] += 30
    assert not warnings.records
    for _ in range(2):  # for each run of it
        with txn:
            clock[0] += 30.5
        assert len(warnings.records) == 1
        assert "running for 30.5 s" in warnings.text
        assert ("write" if write else "read") + " transaction of thread MainThread" in warnings.text
        warnings.clear()


def test_a_transaction_that_runs_for_long_is_warned_of_once_when_they_are_listed(
    db: zlmdb.Database, clock: list[float], warnings: pytest.LogCaptureFixture
) -> None:
    assert db.long_transaction == 30
    db.long_transaction = 5
    with db.begin():
        clock[0] += 6
        db.transactions()
        db.transactions()
        assert len(warnings.records) == 1
    assert len(warnings.records) == 1
    assert not db.environment._warned


def test_a_function_is_run_in_one_transaction(db: zlmdb.Database) -> None:
    def put(txn: zlmdb.Transaction, key: str, value: str) -> str:
        words[txn, key] = value
        if value == "bad":
            raise ZeroDivisionError
        return value * 2

    assert db.run(put, "a", "x", write=True) == "xx"
    with pytest.raises(ZeroDivisionError):
        db.run(put, "a", "bad", write=True)
    assert db.run(lambda txn: words[txn, "a"]) == "x"
    assert db.run(lambda txn: bytes(txn.get(b"\0\1a")), buffers=True) == b"x"
    with pytest.raises(errors.ReadonlyTransaction):
        db.run(put, "a", "y")


def test_a_function_that_fails_on_its_own_is_not_run_again(db: zlmdb.Database) -> None:
    runs = []

    def fail(txn: zlmdb.Transaction) -> None:
        runs.append(txn)
        raise errors.MapFull("full")

    with pytest.raises(errors.MapFull):
        db.run(fail, write=True)
    assert len(runs) == 1


async def coroutine(txn: zlmdb.Transaction) -> None:
    words[txn, "a"] = "x"


def generator(txn: zlmdb.Transaction) -> Iterator[None]:
    words[txn, "a"] = "x"
    yield


@pytest.mark.parametrize("function", [coroutine, generator, lambda txn: coroutine(txn), "put"])
def test_what_cannot_run_whole_is_refused(db: zlmdb.Database, function) -> None:
    with pytest.raises(errors.WrongType):
        db.run(function, write=True)
    with db.begin() as txn:
        assert words[txn, "a"] is None


def test_statistics_have_bytes_and_tables(db: zlmdb.Database) -> None:
    numbers, other = zlmdb.MapOidString(7), zlmdb.MapStringString(8)
    stats = zlmdb.TransactionStats()
    with db.begin(write=True, stats=stats) as txn:
        numbers[txn, 1] = "abc"  # 2 + 8 + 3 bytes
        numbers[txn, 2] = ""
        other[txn, "k"] = "v" * 100
        del numbers[txn, 1]
        del numbers[txn, 5]  # there is none
        with txn.savepoint():
            other[txn, "l"] = "v"
    assert (stats.puts, stats.dels, stats.bytes) == (4, 1, 13 + 10 + 103 + 4)
    assert {slot: (table.puts, table.dels, table.bytes) for slot, table in stats.tables.items()} == {
        7: (2, 1, 23),
        8: (2, 0, 107),
    }
    with db.begin(write=True, stats=stats) as txn:
        assert not txn.put(b"\0\7" + bytes(7) + b"\2", b"x", overwrite=False)
        assert other.truncate(txn) == 2
    assert (stats.puts, stats.dels) == (4, 3)
    assert stats.tables[8].dels == 2
    stats.reset()
    assert (stats.bytes, stats.tables) == (0, {})
