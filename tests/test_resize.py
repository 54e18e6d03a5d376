# SPDX-License-Identifier: MIT
"""The ceiling of a database's size: met, watched, raised, and raised by another process."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import zlmdb
from tests.children import run
from zlmdb import errors
from zlmdb.orm import running

words = zlmdb.MapStringString(1)


@pytest.fixture
def small(tmp_path: Path, lib_version: str) -> Iterator[zlmdb.Database]:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20, lib_version=lib_version) as db:
        yield db


def write(db: zlmdb.Database, key: str, size: int) -> None:
    with db.begin(write=True) as txn:
        words[txn, key] = "x" * size


@contextmanager
def held_by_a_thread(db: zlmdb.Database, *, write: bool = False) -> Iterator[Callable[[], None]]:
    """A transaction that a thread of the name "holder" holds; calling what is given ends it."""
    began, ending = threading.Event(), threading.Event()

    def hold() -> None:
        with db.begin(write=write) as txn:
            began.set()
            ending.wait()
            assert words[txn, "kept"] in {None, "x"}

    thread = threading.Thread(target=hold, name="holder")
    thread.start()
    began.wait()

    def end() -> None:
        ending.set()
        thread.join()

    try:
        yield end
    finally:
        end()


def when_awaited(db: zlmdb.Database, act: Callable[[], None]) -> threading.Thread:
    """Do ``act`` as soon as a thread waits for the transactions of this process to end."""

    def watch() -> None:
        while not db.environment.is_awaited:
            pass
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_full_database_goes_on_after_its_ceiling_was_raised(small: zlmdb.Database) -> None:
    with pytest.raises(errors.MapFull) as caught:
        write(small, "big", 1 << 20)
    assert (caught.value.path, caught.value.limit) == (small.dbpath, 1 << 20)
    assert 0 < caught.value.used <= 1 << 20
    assert "db.resize" in str(caught.value)
    small.resize(1 << 22)
    write(small, "big", 1 << 20)
    assert small.maxsize == small.stats()["max_size"] == 1 << 22
    small.resize(None)
    write(small, "bigger", 1 << 23)
    assert small.maxsize is None


def test_a_ceiling_below_the_contents_is_refused(small: zlmdb.Database) -> None:
    write(small, "big", 1 << 19)
    for size in (1 << 18, 10, "1G"):
        with pytest.raises(errors.ConfigError):
            small.resize(size)
    assert small.maxsize == small.stats()["max_size"] == 1 << 20
    small.resize((1 << 20) - 4096)
    assert small.stats()["max_size"] == (1 << 20) - 4096


def test_more_address_space_than_there_is_is_refused_before_the_map_is_given_up(small: zlmdb.Database) -> None:
    write(small, "kept", 1)
    with pytest.raises(errors.ConfigError):
        small.resize(1 << 60)
    with small.begin() as txn:
        assert words[txn, "kept"] == "x"


def test_resizing_inside_a_transaction_of_this_thread_is_refused_at_once(small: zlmdb.Database) -> None:
    for is_write in (False, True):
        with small.begin(write=is_write) as txn:
            with pytest.raises(errors.TransactionsRunning) as caught:
                small.resize(1 << 22, timeout=3600)
            assert "MainThread" in caught.value.holders[0]
            assert words[txn, "a"] is None
    assert small.stats()["max_size"] == 1 << 20


def test_resizing_waits_for_other_threads_until_its_deadline_and_names_them(small: zlmdb.Database) -> None:
    now = [100.0]
    small.environment.clock = lambda: now[0]
    with held_by_a_thread(small, write=True) as end:
        now[0] += 2.5
        with pytest.raises(errors.TransactionsRunning) as caught:
            small.resize(1 << 22, timeout=0)
        assert caught.value.holders == ("write transaction of thread holder, running for 2.5 s",)
        assert small.stats()["max_size"] == 1 << 20
        with small.begin() as txn:  # the gate is open again
            assert words[txn, "a"] is None
        ender = when_awaited(small, end)
        small.resize(1 << 22)
        ender.join()
    assert small.stats()["max_size"] == 1 << 22


def test_transactions_that_begin_meanwhile_wait_at_the_gate(small: zlmdb.Database) -> None:
    write(small, "kept", 1)
    seen = []

    def read() -> None:
        with small.begin() as txn:
            seen.append((small.stats()["max_size"], words[txn, "kept"]))

    reader = threading.Thread(target=read)

    def end_when_the_reader_waits() -> None:
        reader.start()
        while not small.environment._at_gate:
            pass
        assert not seen
        end()

    with held_by_a_thread(small) as end:
        ender = when_awaited(small, end_when_the_reader_waits)
        small.resize(1 << 22)
        ender.join()
        reader.join()
    assert seen == [(1 << 22, "x")]


def test_a_thread_with_a_transaction_passes_the_gate_that_waits_for_it(small: zlmdb.Database) -> None:
    began = threading.Event()

    def work() -> None:
        with small.begin(write=True) as txn:
            began.set()
            while not small.environment.is_awaited:
                pass
            with txn.savepoint(), small.begin() as snapshot:
                words[txn, "a"] = str(words[snapshot, "a"])

    thread = threading.Thread(target=work)
    thread.start()
    began.wait()
    small.resize(1 << 22)
    thread.join()
    with small.begin() as txn:
        assert words[txn, "a"] == "None"


def test_a_transaction_that_is_just_being_begun_is_not_missed(small: zlmdb.Database) -> None:
    begin, inside, going = small.environment.begin_raw, threading.Event(), threading.Event()

    def slow_begin(**kwargs):
        raw = begin(**kwargs)
        inside.set()
        going.wait()
        return raw

    small.environment.begin_raw = slow_begin
    seen = []

    def read() -> None:
        with small.begin() as txn:
            seen.append(words[txn, "a"])

    thread = threading.Thread(target=read)
    thread.start()
    inside.wait()
    with pytest.raises(errors.TransactionsRunning):
        small.resize(1 << 22, timeout=0)
    going.set()
    thread.join()
    assert seen == [None]


def test_resizes_of_several_threads_follow_each_other(small: zlmdb.Database) -> None:
    threads = [threading.Thread(target=small.resize, args=(size << 20,)) for size in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    write(small, "kept", 1)
    with small.begin() as txn:
        assert words[txn, "kept"] == "x"


GROW = """
with zlmdb.Database(sys.argv[1], maxsize=1 << 24) as db, db.begin(write=True) as txn:
    for number in range(1000):
        words[txn, f"theirs {number}"] = "x" * 4000
"""


def test_growth_by_another_process_leaves_a_live_snapshot_intact(small: zlmdb.Database) -> None:
    write(small, "kept", 1)
    with small.begin() as snapshot:
        run(GROW, small.dbpath)
        for is_write in (False, True):
            with pytest.raises(errors.TransactionsRunning) as caught, small.begin(write=is_write):
                pass
            assert "MainThread" in str(caught.value)
        assert list(words.select(snapshot)) == [("kept", "x")]
    with small.begin() as txn:
        assert words.count(txn) == 1001
    write(small, "after", 1)


def test_the_ceiling_that_is_watched_grows_with_the_growth_that_is_taken_over(
    small: zlmdb.Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    run(GROW, small.dbpath)
    write(small, "after", 1)
    assert caplog.text == ""  # 4 MiB of 16, and not of the one it was opened with
    assert (small.environment.ceiling or 0) >= 1 << 24


def test_growth_by_another_process_is_taken_over_when_other_threads_have_ended(small: zlmdb.Database) -> None:
    with held_by_a_thread(small) as end:
        run(GROW, small.dbpath)
        ender = when_awaited(small, end)
        with small.begin() as txn:
            assert words.count(txn) == 1000
        ender.join()


def test_a_function_is_run_again_when_what_was_in_its_way_has_ended(small: zlmdb.Database) -> None:
    snapshot = small.begin()
    snapshot.__enter__()
    run(GROW, small.dbpath)
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            snapshot.__exit__(None, None, None)

    assert running.run(small.begin, words.count, (), 3, pause) == 1000
    assert pauses == [0.01, 0.02]


def test_a_function_is_given_up_after_the_tries_that_were_asked_for(small: zlmdb.Database) -> None:
    with small.begin():
        run(GROW, small.dbpath)
        with pytest.raises(errors.TransactionsRunning):
            small.run(words.count, retries=1)


def test_use_of_a_given_ceiling_is_logged_once_for_each_step(
    small: zlmdb.Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    shares = []
    for number in range(230):
        write(small, str(number), 4000)
        if len(caplog.records) > len(shares):
            shares.append(small.stats()["used"] / (1 << 20))
    assert [round(share, 2) for share in shares] == [0.8, 0.9]
    assert "db.resize" in caplog.text
    assert small.dbpath in caplog.text
    caplog.clear()
    path = small.dbpath
    small.close()
    with zlmdb.Database(path, maxsize=1 << 20) as again:  # said again, and both steps in one line
        assert len(caplog.records) == 1
        again.resize(1 << 22)
        write(again, "more", 4000)
        assert len(caplog.records) == 1


def test_a_database_without_a_ceiling_is_not_watched(db: zlmdb.Database, caplog: pytest.LogCaptureFixture) -> None:
    write(db, "big", 1 << 22)
    assert db.environment.warn_at is None
    assert not caplog.records
