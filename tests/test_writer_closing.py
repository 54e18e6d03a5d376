# SPDX-License-Identifier: MIT
"""The writer: cancelling, closing and giving up; with real transactions and a worker on demand."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import zlmdb
from tests.writer_bench import Bench, numbers
from zlmdb import errors
from zlmdb.workers import State


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        yield Bench(db)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        yield lambda **options: Bench(db, **options)


# --- cancelling


def test_a_queued_operation_that_is_cancelled_never_runs_and_gives_its_room_back(make: Callable[..., Bench]) -> None:
    bench = make(max_pending=2)
    operations = [bench.put(key) for key in "abc"]
    assert bench.writer.cancel(operations[0])
    assert operations[2].state is State.QUEUED
    assert not bench.writer.cancel(operations[0])
    bench.work()
    assert bench.stored() == ["b", "c"]
    assert [what for what, _ in bench.outcomes] == ["b", "c"]
    assert bench.writer.stats().cancelled == 1


def test_a_waiting_operation_that_is_cancelled_never_runs(make: Callable[..., Bench]) -> None:
    bench = make(max_pending=1)
    operations = [bench.put(key) for key in "abc"]
    assert bench.writer.cancel(operations[1])
    bench.work()
    assert bench.stored() == ["a", "c"]


def test_cancelling_everything_leaves_an_idle_writer(bench: Bench) -> None:
    assert bench.writer.cancel(bench.put("a"))
    bench.work()
    bench.put("b")
    bench.work()
    assert bench.stored() == ["b"]


@pytest.mark.parametrize(("fails", "level"), [(True, "WARNING"), (False, "INFO")])
def test_a_running_operation_that_is_cancelled_is_finished_and_its_outcome_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture, fails: bool, level: str
) -> None:
    caplog.set_level("INFO")

    def job(txn: zlmdb.Transaction) -> None:
        assert not bench.writer.cancel(operation)
        numbers[txn, "a"] = 1
        if fails:
            raise errors.KeyExists("there")

    operation = bench.watch(bench.writer.submit(job, what="slow"))
    bench.work()
    assert bench.outcomes == []
    assert bench.stored() == ([] if fails else ["a"])
    assert caplog.records[-1].levelname == level
    assert "slow" in caplog.text


def test_an_acknowledged_operation_cannot_be_taken_back(bench: Bench) -> None:
    operation = bench.put("a", durability="queued")
    assert not bench.writer.cancel(operation)
    bench.work()
    assert bench.stored() == ["a"]


# --- closing


def test_closing_writes_what_is_queued_and_what_waits_then_syncs_and_finishes(make: Callable[..., Bench]) -> None:
    bench = make(max_pending=2)
    for key in "abcde":
        bench.put(key, durability="queued" if key in "ad" else "commit")
    bench.watch(bench.writer.close())
    with pytest.raises(errors.DatabaseClosed):
        bench.put("f")
    with pytest.raises(errors.DatabaseClosed):
        bench.writer.flushed()
    bench.work()
    assert bench.stored() == list("abcde")
    assert [what for what, _ in bench.outcomes][-1] == "close"
    assert (bench.syncs, bench.finished, bench.writer.finished) == (1, 1, True)


def test_closing_twice_is_one_closing(bench: Bench) -> None:
    first = bench.writer.close()
    assert bench.writer.close() is first
    bench.work()
    assert bench.writer.close() is first
    assert bench.finished == 1


def test_giving_up_fails_what_is_not_written_and_says_how_many(
    make: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    bench = make(max_pending=3, max_batch=1)
    bench.put("a", durability="queued")
    bench.put("b")
    bench.put("c", durability="queued")
    bench.put("d")
    bench.put("e", durability="queued")
    bench.watch(bench.writer.close())
    assert bench.worker.perform()
    bench.writer.give_up()
    bench.work()
    assert bench.stored() == ["a"]
    told = dict(bench.outcomes)
    assert (told["a"], told["c"], told["close"]) == (None, None, 4)
    assert all(isinstance(told[key], errors.NotWritten) for key in "bde")
    assert bench.writer.stats().lost == 1
    assert "4 records were not written" in caplog.text
    assert bench.finished == 1


def test_giving_up_while_another_process_holds_the_lock_ends_closing_at_once(bench: Bench) -> None:
    bench.put("a")
    closing = bench.watch(bench.writer.close())

    def stuck() -> None:
        bench.writer.give_up()
        bench.loop.run()
        bench.outcomes.append(("still stuck", bench.writer.finished))

    bench.entered = stuck
    bench.work()
    assert [what for what, _ in bench.outcomes] == ["a", "close", "still stuck"]
    assert isinstance(bench.outcomes[0][1], errors.NotWritten)
    assert bench.outcomes[1:] == [("close", 1), ("still stuck", False)]
    assert bench.stored() == []
    assert closing.state is State.DONE  # the lock came after all


def test_an_error_at_the_end_is_the_outcome_of_closing(bench: Bench) -> None:
    problem = OSError("disk is gone")

    def fail() -> None:
        raise problem

    bench.writer._sync = fail
    bench.put("a")
    bench.watch(bench.writer.close())
    bench.work()
    assert bench.outcomes == [("a", None), ("close", problem)]
    assert bench.finished == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_refused(bench: Bench) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            bench.writer.submit(lambda txn: None)
        except errors.ForkedError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
