# SPDX-License-Identifier: MIT
"""Threads that work: the writer's worker, the readers, and their ends."""

import gc
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.writer_bench import numbers
from zlmdb import errors
from zlmdb.workers import Engine, Limits, Outbox, ReaderPool, ThreadWorker, Writer

# --- real threads


def test_a_worker_works_in_order_on_one_thread_and_survives_errors(caplog: pytest.LogCaptureFixture) -> None:
    worker = ThreadWorker("test-worker")
    assert not any(thread.name == "test-worker" for thread in threading.enumerate())
    seen: list[Any] = []
    worker.do(lambda: seen.append(threading.current_thread().name))
    worker.do(lambda: 1 / 0)
    worker.do(lambda: worker.do(lambda: seen.append("last")))
    barrier = threading.Event()
    worker.do(barrier.set)
    assert barrier.wait(30)
    worker.quit()
    worker.quit()
    assert seen == ["test-worker", "last"]
    assert "ZeroDivisionError" in caplog.text
    assert not any(thread.name == "test-worker" for thread in threading.enumerate())
    with pytest.raises(errors.DatabaseClosed):
        worker.do(lambda: None)


def test_submitting_from_many_threads_keeps_the_order_of_each(tmp_path: Path) -> None:
    order: list[tuple[int, int]] = []
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        worker = ThreadWorker("writer")
        done = threading.Event()
        outbox = Outbox(lambda function: function(), lambda function: function())
        writer = Writer(lambda: db.begin(write=True), worker, outbox, limits=Limits(max_pending=50))

        def caller(me: int) -> None:
            for number in range(200):
                writer.submit(lambda txn, number=number: order.append((me, number)))

        threads = [threading.Thread(target=caller, args=(me,)) for me in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.close().subscribe(lambda _: done.set())
        assert done.wait(30)
        worker.quit()
    assert sorted(order) == [(me, number) for me in range(4) for number in range(200)]
    assert all([n for m, n in order if m == me] == list(range(200)) for me in range(4))


def test_readers_run_side_by_side_up_to_their_number_and_end() -> None:
    pool = ReaderPool("reader", 3)
    together = threading.Barrier(3)
    results: list[tuple[bool, Any]] = []
    for number in range(6):  # each three must meet, so three threads are needed
        pool.run(lambda number=number: (together.wait(30), number)[1], lambda ok, value: results.append((ok, value)))
    pool.run(lambda: 1 // 0, lambda ok, error: results.append((ok, type(error))))
    pool.end()
    assert pool.join()
    assert sorted(results, key=str) == sorted([(True, n) for n in range(6)] + [(False, ZeroDivisionError)], key=str)
    with pytest.raises(errors.DatabaseClosed):
        pool.run(lambda: 1, lambda ok, value: None)


def test_abandoned_readers_are_not_waited_for_and_waiting_reads_fail() -> None:
    pool = ReaderPool("reader", 1)
    running, release = threading.Event(), threading.Event()
    results: list[Any] = []
    pool.run(lambda: (running.set(), release.wait(30)), lambda ok, value: results.append("late"))
    assert running.wait(30)
    pool.run(lambda: 1, lambda ok, value: results.append((ok, type(value))))
    pool.abandon()
    assert not pool.join()
    assert results == [(False, errors.DatabaseClosed)]
    release.set()


def test_readers_that_have_nothing_to_read_are_waited_for_though_they_were_abandoned() -> None:
    pool = ReaderPool("reader", 2)
    telling, release = threading.Event(), threading.Event()
    pool.run(lambda: 1, lambda ok, value: (telling.set(), release.wait(30)))
    assert telling.wait(30)  # the function has returned, its thread has not come back for more
    pool.abandon()
    joined: list[bool] = []
    joining = threading.Thread(target=lambda: joined.append(pool.join()))
    joining.start()
    release.set()
    joining.join(30)
    assert joined == [True]


def test_the_engine_imports_no_event_loop() -> None:
    import subprocess

    code = "import sys, zlmdb.workers; print([m for m in ('twisted', 'asyncio', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_database_that_is_dropped_without_closing_warns(tmp_path: Path) -> None:
    database, written = zlmdb.Database(tmp_path / "db"), threading.Event()
    engine = Engine(database, ReaderPool("reader"), lambda call: call(), lambda call: call())
    engine.write(numbers.truncate, (), "commit").subscribe(lambda op: written.set())
    assert written.wait(60)
    writer = next(thread for thread in threading.enumerate() if thread.name.startswith("zlmdb-writer"))

    def drop() -> None:
        nonlocal engine
        del engine
        while writer.is_alive():
            gc.collect()

    with pytest.warns(ResourceWarning, match="was not closed"):
        drop()
    database.close()
