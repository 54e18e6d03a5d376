# SPDX-License-Identifier: MIT
"""A writer whose file or disk is full: what fits is written, what was acknowledged waits for room, in order."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.writer_bench import Bench, numbers
from zlmdb import errors
from zlmdb.workers import State


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        yield Bench(db)


def full_beyond(bench: Bench, records: int, error: Exception) -> list[int]:
    """Let a commit fail of more than so many records; return the list of what was tried."""
    sizes: list[int] = []

    @contextmanager
    def begin() -> Iterator[zlmdb.Transaction]:
        with bench.db.begin(write=True) as txn:
            before = numbers.count(txn)
            yield txn
            sizes.append(numbers.count(txn) - before)
            if sizes[-1] > records:
                raise error

    bench.writer._batches._begin = begin
    return sizes


def test_a_batch_for_which_a_commit_has_no_room_is_written_in_smaller_ones(bench: Bench) -> None:
    sizes = full_beyond(bench, 3, errors.MapFull("full"))
    for number in range(20):
        bench.put(f"{number:02}")
    bench.work()
    assert bench.outcomes == [(f"{number:02}", None) for number in range(20)]
    assert len(bench.stored()) == 20
    assert sizes[:3] == [20, 10, 5]
    stats = bench.writer.stats()
    assert (stats.records, stats.largest_batch, stats.batches) == (20, 3, 7)


def test_an_operation_without_room_ends_the_batch_after_few_tries(bench: Bench) -> None:
    sizes = full_beyond(bench, 0, errors.DiskFull("full"))
    for number in range(1000):
        bench.put(f"{number:03}")
    bench.work()
    assert all(isinstance(error, errors.DiskFull) for _, error in bench.outcomes)
    assert len(bench.outcomes) == 1000
    assert len(sizes) == 11  # 1000, 500 … 1


def test_a_job_that_is_run_again_is_judged_by_its_last_run(bench: Bench) -> None:
    full_beyond(bench, 1, errors.MapFull("full"))
    runs: list[int] = []

    def fails_at_first(txn: zlmdb.Transaction) -> int:
        runs.append(1)
        if len(runs) == 1:
            raise errors.KeyExists("at first")
        numbers[txn, "b"] = 2
        return len(runs)

    bench.put("a")
    bench.put("c")
    bench.watch(bench.writer.submit(fails_at_first, what="b"))
    bench.work()
    assert dict(bench.outcomes)["b"] == 2
    assert bench.stored() == ["a", "b", "c"]


def test_what_was_acknowledged_waits_for_room_and_nothing_overtakes_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bench.commit_error = errors.DiskFull("no space left")
    bench.put("a", 1, durability="queued")
    bench.put("b")
    bench.watch(bench.writer.flushed())
    for _ in range(5):
        assert bench.worker.perform()
    bench.loop.run()
    assert bench.outcomes == [("a", None), ("b", bench.commit_error)]  # the flush waits with what is before it
    stats = bench.writer.stats()
    assert (stats.held, stats.lost, stats.pending_records) == (1, 0, 1)
    assert bench.clock.pauses == 4
    bench.commit_error = None
    bench.work()
    assert bench.outcomes[2:] == [("flush", None)]
    assert bench.stored() == ["a"]
    assert bench.writer.stats().held == 0
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "1 acknowledged operations wait for room" in caplog.text


def test_an_acknowledged_operation_that_finds_the_file_full_is_not_overtaken_by_smaller_ones(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20, sync=False) as db:
        bench = Bench(db)
        bench.put("a")
        bench.put("k", os.urandom(1 << 20) * 2, durability="queued", size=1000)
        bench.put("k", "later")
        assert bench.worker.perform()
        bench.loop.run()
        told = dict(bench.outcomes[-2:])
        assert told["a"] is None
        assert isinstance(told["k"], errors.MapFull)
        assert bench.stored() == ["a"]
        db.resize(8 << 20)
        bench.work()
        assert bench.stored() == ["a", "k"]
        with db.begin() as txn:
            assert len(numbers[txn, "k"]) == 2 << 20  # type: ignore[arg-type]


def test_closing_tries_for_some_seconds_and_then_says_what_is_not_written(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.commit_error = errors.DiskFull("no space left")
    operations = [bench.put(f"{number}", durability="queued") for number in range(3)]
    bench.watch(bench.writer.close())
    bench.work()
    assert bench.outcomes[-1] == ("close", 3)
    assert 3 < bench.clock() < 10  # seconds of pauses
    assert all(op.state is State.FAILED for op in operations)
    assert bench.writer.stats().lost == 3
    assert "3 acknowledged operations are lost: 0, 1, 2" in caplog.text
    assert bench.writer.finished


def test_closing_writes_what_waited_when_there_is_room_again(bench: Bench) -> None:
    bench.commit_error = errors.DiskFull("no space left")
    bench.put("a", durability="queued")
    bench.watch(bench.writer.close())
    assert bench.worker.perform()
    bench.commit_error = None
    bench.work()
    assert bench.outcomes[-1] == ("close", 0)
    assert bench.stored() == ["a"]


def test_giving_up_ends_the_waiting_for_room(bench: Bench) -> None:
    bench.commit_error = errors.DiskFull("no space left")
    bench.put("a", durability="queued")
    assert bench.worker.perform()
    bench.watch(bench.writer.close())
    bench.writer.give_up()
    bench.work()
    assert bench.outcomes[-1] == ("close", 1)
    assert bench.writer.stats().lost == 1
    assert bench.writer.stats().pending_records == 0


def test_what_is_larger_than_the_file_may_be_is_lost_and_keeps_nothing_waiting(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20, sync=False) as db:
        bench = Bench(db)
        bench.put("huge", b"x" * (2 << 20), durability="queued")
        bench.put("a", durability="queued")
        bench.work()
        assert bench.stored() == ["a"]
        assert (bench.writer.stats().lost, bench.writer.stats().held) == (1, 0)


@pytest.mark.parametrize("error", [errors.StorageFailure("broken"), errors.LockHeld("held")])
def test_other_failures_are_not_tried_again(bench: Bench, error: Exception) -> None:
    bench.commit_error = error
    bench.put("a", durability="queued")
    bench.put("b")
    bench.work()
    assert bench.outcomes[-1] == ("b", error)
    assert (bench.writer.stats().lost, bench.writer.stats().held) == (1, 0)


def test_commits_and_the_lateness_of_the_loop_are_counted_by_their_length(bench: Bench) -> None:
    begin: Callable[..., Any] = bench.begin

    @contextmanager
    def slow() -> Iterator[zlmdb.Transaction]:
        with begin() as txn:
            yield txn
            bench.clock.advance(0.03)

    bench.writer._batches._begin = slow
    for number in range(30):
        bench.put(str(number))
    bench.worker.perform_all()
    bench.clock.advance(0.004)
    bench.loop.run()
    stats = bench.writer.stats()
    assert stats.commit_seconds.quantile(0.99) == pytest.approx(0.03)
    assert stats.batch_records.quantile(0.5) == 30
    assert sum(stats.batch_records.counts) == 1
    assert stats.lateness_seconds.quantile(0.5) == pytest.approx(0.004)
    bench.put("more")
    bench.work()
    assert sum(stats.batch_records.counts) == 1, "a copy does not change under its reader"


# --- an operation that fails by its own fault, beside what there is no room for


def fails(_txn: zlmdb.Transaction) -> None:
    raise errors.KeyExists("its own fault")


def test_what_was_acknowledged_waits_for_room_whatever_fails_before_it(bench: Bench) -> None:
    bench.commit_error = errors.DiskFull("full")
    bench.watch(bench.writer.submit(fails, what="bad"))
    bench.put("a", durability="queued")
    assert bench.worker.perform()
    stats = bench.writer.stats()
    assert (stats.lost, stats.held) == (0, 1)
    bench.commit_error = None
    bench.work()
    assert bench.stored() == ["a"]
    assert bench.writer.stats().lost == 0


def test_an_operation_that_fails_alone_in_a_smaller_transaction_ends_nothing_behind_it(bench: Bench) -> None:
    full_beyond(bench, 1, errors.MapFull("full"))
    for key in "ab":
        bench.put(key)
    bench.watch(bench.writer.submit(fails, what="bad"))
    bench.put("c")
    bench.put("d", durability="queued")
    bench.work()
    told = dict(bench.outcomes)
    assert isinstance(told.pop("bad"), errors.KeyExists)
    assert told == dict.fromkeys("abcd")
    assert bench.stored() == list("abcd")
    assert bench.writer.stats().lost == 0


def test_a_file_that_is_full_gives_no_operation_the_error_of_another(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20, sync=False) as db:
        bench = Bench(db)
        bench.put("there", os.urandom(600_000))
        bench.work()
        plan = numbers.plan_insert("there", 1, db.max_key_size)
        bench.watch(bench.writer.submit(plan, what="insert"))
        for number in range(3):
            bench.put(f"large {number}", os.urandom(600_000), durability="queued")
        bench.put("small")
        assert bench.worker.perform()
        bench.loop.run()
        told = dict(bench.outcomes)
        assert isinstance(told["insert"], errors.KeyExists)
        assert isinstance(told["small"], errors.MapFull)
        stats = bench.writer.stats()
        assert (stats.lost, stats.held) == (0, 3)
        db.resize(8 << 20)
        bench.work()
        assert bench.stored() == ["large 0", "large 1", "large 2", "there"]


# --- the log


class Handler(logging.Handler):
    """Does in its thread what an application's handler may do."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.act = act
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())
        self.act()


@contextmanager
def handled(act: Callable[[], object]) -> Iterator[Handler]:
    logger, handler = logging.getLogger("zlmdb.workers.writer"), Handler(act)
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


def test_a_log_handler_may_ask_for_statistics(bench: Bench) -> None:
    free: list[bool] = []
    with handled(lambda: free.append(not bench.writer._lock.locked())) as handler:
        bench.commit_error = errors.DiskFull("full")
        bench.put("a", durability="queued")
        assert bench.worker.perform()
        bench.commit_error = None
        bench.watch(bench.writer.submit(fails, what="lost", durability="queued"))
        bench.work()
    assert len(handler.told) == len(free) == 2  # no room, lost; that there is room again is not worth a warning
    assert all(free)


def test_a_log_handler_that_raises_costs_nobody_an_answer(bench: Bench) -> None:
    def act() -> None:
        raise RuntimeError("no log")

    with handled(act):
        bench.watch(bench.writer.submit(fails, what="lost", durability="queued"))
        bench.put("a")
        with pytest.raises(RuntimeError):
            bench.worker.perform()
        bench.work()
    assert ("a", None) in bench.outcomes
    assert bench.stored() == ["a"]


# --- giving up


def test_what_is_put_back_after_giving_up_is_not_tried_again(bench: Bench) -> None:
    bench.put("a", durability="queued")
    closing = bench.writer.close()

    @contextmanager
    def begin() -> Iterator[zlmdb.Transaction]:
        with bench.db.begin(write=True) as txn:
            yield txn
            bench.writer.give_up()
            raise errors.DiskFull("full")

    bench.writer._batches._begin = begin
    bench.work()
    assert closing.state is State.DONE
    assert (closing.value, bench.clock.pauses, bench.finished) == (1, 0, 1)


def test_giving_up_ends_the_pause_between_two_tries(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        bench = Bench(db)
        pause = bench.writer._given_up.wait  # the one that a writer has by itself
        paused: list[object] = []

        def give_up_in_it(seconds: float) -> None:
            bench.writer.give_up()
            paused.append(pause(60))

        bench.commit_error = errors.DiskFull("full")
        bench.put("a", durability="queued")
        assert bench.worker.perform()
        closing = bench.writer.close()
        bench.writer._pause = give_up_in_it
        assert bench.worker.perform()
        assert paused == [True]
        bench.loop.run()
        assert (closing.state, closing.value, bench.finished) == (State.DONE, 1, 1)


def test_a_batch_for_which_no_transaction_can_begin_is_written_when_one_can(bench: Bench) -> None:
    refused = [errors.DiskFull("full")]

    @contextmanager
    def begin() -> Iterator[zlmdb.Transaction]:
        if refused:
            raise refused.pop()
        with bench.db.begin(write=True) as txn:
            yield txn

    bench.writer._batches._begin = begin
    for number in range(6):
        bench.put(str(number), durability="queued" if number % 2 else "commit")
    bench.work()
    assert bench.stored() == list("012345")
    assert sorted(bench.outcomes) == [(str(number), None) for number in range(6)]
    stats = bench.writer.stats()
    assert (stats.pending_records, stats.lost) == (0, 0)
