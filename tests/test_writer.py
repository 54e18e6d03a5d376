# SPDX-License-Identifier: MIT
"""The writer: group commit, outcomes, limits, cancelling, closing; with real transactions and a worker on demand."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import zlmdb
from tests.writer_bench import Bench, numbers
from zlmdb import errors
from zlmdb.workers import Limits, Operation, Outbox, State


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        yield Bench(db)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    with zlmdb.Database(tmp_path / "db", sync=False) as db:
        yield lambda **options: Bench(db, **options)


def refuse(txn: zlmdb.Transaction) -> None:
    numbers[txn, "refused"] = 1
    raise errors.KeyExists("refused")


# --- group commit


def test_all_that_is_queued_becomes_one_transaction_and_one_hop_to_the_loop(bench: Bench) -> None:
    for number in range(100):
        bench.put(f"{number:03}")
    bench.work()
    assert bench.writer.stats().batches == 1
    assert bench.writer.stats().largest_batch == 100
    assert bench.loop.hops == 1
    assert bench.outcomes == [(f"{number:03}", None) for number in range(100)]
    assert len(bench.stored()) == 100


def test_nothing_is_answered_before_its_commit(bench: Bench) -> None:
    seen: list[list[str]] = []
    operation = bench.writer.submit(lambda txn: numbers.plan_put("a", 1, 500)(txn), what="a")
    operation.subscribe(lambda _: seen.append(bench.stored()))
    bench.loop.run()
    assert not seen
    bench.work()
    assert seen == [["a"]]


def test_a_batch_keeps_to_its_limits_but_takes_one_operation_of_any_size(make: Callable[..., Bench]) -> None:
    bench = make(max_batch=3, max_batch_bytes=1000)
    for key, records in (("a", 2), ("b", 2), ("c", 1), ("d", 10)):
        bench.put(key, records=records)
    bench.put("e", b"x" * 2000)
    bench.work()
    assert bench.writer.stats().batches == 4  # a | b c | d | e
    assert bench.writer.stats().largest_batch == 10


def test_a_failing_operation_fails_alone_and_leaves_nothing(bench: Bench) -> None:
    bench.put("a")
    bench.watch(bench.writer.submit(refuse, what="bad"))
    bench.put("b")
    bench.work()
    assert bench.stored() == ["a", "b"]
    assert [what for what, error in bench.outcomes if error] == ["bad"]
    assert bench.writer.stats().failed == 1
    assert bench.writer.stats().records == 2


class Falsy(Exception):
    """An error that counts as false, as one does whose length is that of what it found."""

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Falsy()], ids=repr)
def test_whatever_an_operation_raises_is_its_outcome_and_only_that(bench: Bench, error: BaseException) -> None:
    def fail(txn: zlmdb.Transaction) -> None:
        txn.put(b"\0\1lost", b"")
        raise error

    bench.watch(bench.writer.submit(fail, what="alone"))
    bench.work()
    bench.watch(bench.writer.submit(fail, what="in company"))
    bench.put("a")
    bench.work()
    assert bench.outcomes == [("alone", error), ("in company", error), ("a", None)]
    assert bench.stored() == ["a"]
    with bench.db.begin() as txn:
        assert txn.get(b"\0\1lost") is None


def test_an_operation_that_fills_the_file_fails_alone(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20, sync=False) as db:
        bench = Bench(db)
        bench.put("a")
        bench.put("huge", b"x" * (2 << 20))
        bench.put("b")
        bench.work()
        assert isinstance(dict(bench.outcomes)["huge"], errors.MapFull)
        assert bench.stored() == ["a", "b"]


def test_a_file_that_fills_up_never_gives_success_for_what_is_not_in_it(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db", maxsize=1 << 20, sync=False) as db:
        bench = Bench(db, max_batch=7)
        for number in range(100):
            bench.put(f"{number:03}", os.urandom(30_000))
        bench.work()
        succeeded = [what for what, error in bench.outcomes if error is None]
        failed = [error for _, error in bench.outcomes if error is not None]
        assert len(bench.outcomes) == 100
        assert failed
        assert all(isinstance(error, errors.MapFull) for error in failed)
        assert bench.stored() == succeeded


def test_a_failed_commit_fails_every_operation_of_its_batch_with_the_cause(bench: Bench) -> None:
    bench.commit_error = errors.DiskFull("no space left")
    bench.put("a")
    bench.watch(bench.writer.submit(refuse, what="bad"))
    bench.watch(bench.writer.flushed())
    bench.work()
    assert [error for _, error in bench.outcomes] == [bench.commit_error] * 3
    bench.commit_error = None
    bench.put("b")
    bench.work()
    assert bench.stored() == ["b"]
    assert bench.writer.stats().batches == 1


def test_a_transaction_that_cannot_begin_fails_what_was_queued(bench: Bench) -> None:
    bench.begin_error = errors.LockHeld("held")
    bench.put("a")
    bench.put("b")
    bench.work()
    assert bench.outcomes == [("a", bench.begin_error), ("b", bench.begin_error)]
    bench.begin_error = None
    bench.put("c")
    bench.work()
    assert bench.outcomes[-1] == ("c", None)


def test_what_is_submitted_while_the_writer_waits_for_the_lock_joins_the_batch(bench: Bench) -> None:
    bench.put("a")
    bench.entered = lambda: bench.put("b") and setattr(bench, "entered", lambda: None)
    bench.work()
    assert bench.writer.stats().batches == 1
    assert bench.stored() == ["a", "b"]


def test_the_writer_pauses_between_records_so_that_the_loop_gets_its_turn(bench: Bench) -> None:
    for number in range(1000):
        bench.put(f"{number:04}")
    bench.work()
    assert 1000 // 200 <= bench.clock.pauses <= 1000 // 100


def test_commit_times_are_measured(bench: Bench) -> None:
    @contextmanager
    def slow() -> Iterator[zlmdb.Transaction]:
        with bench.db.begin(write=True) as txn:
            yield txn
            bench.clock.advance(2.5)

    bench.begin = slow  # type: ignore[method-assign]
    bench.writer._batches._begin = slow
    bench.put("a")
    bench.work()
    bench.put("b")
    bench.work()
    assert (bench.writer.stats().last_commit, bench.writer.stats().total_commit) == (2.5, 5.0)


def test_many_outcomes_are_given_in_slices_in_order_with_the_loop_between(bench: Bench) -> None:
    for number in range(450):
        bench.put(f"{number:03}")
    bench.worker.perform_all()
    counts = []
    while bench.loop.calls:
        bench.loop.turn()
        counts.append(len(bench.outcomes))
        if len(counts) == 1:
            bench.put("later")
            bench.worker.perform_all()
    assert counts == [200, 400, 451]
    assert [what for what, _ in bench.outcomes] == [f"{number:03}" for number in range(450)] + ["later"]


def test_a_callback_that_raises_harms_no_other_outcome(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.writer.submit(lambda txn: 1, what="bad").subscribe(lambda _: 1 / 0)
    bench.put("a")
    bench.work()
    bench.put("b")
    bench.work()
    assert [what for what, _ in bench.outcomes] == ["a", "b"]
    assert "the callback of bad failed" in caplog.text


def test_a_loop_that_is_closed_costs_outcomes_and_no_writes(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def closed(function: object) -> None:
        raise RuntimeError("loop is closed")

    bench.writer._outbox = Outbox(closed, closed)
    bench.put("a")
    bench.work()
    bench.put("b")
    bench.work()
    assert bench.stored() == ["a", "b"]
    assert "loop is closed" in caplog.text


# --- durability


def test_a_queued_operation_is_answered_on_acceptance_and_written_later(bench: Bench) -> None:
    bench.put("a", durability="queued")
    assert bench.outcomes == [("a", None)]
    assert bench.stored() == []
    bench.work()
    assert bench.stored() == ["a"]
    assert len(bench.outcomes) == 1


def test_a_queued_operation_that_waits_for_room_is_answered_when_there_is_some(make: Callable[..., Bench]) -> None:
    bench = make(max_pending=1)
    bench.put("a")
    bench.put("b", durability="queued")
    assert bench.outcomes == []
    assert bench.worker.perform()
    bench.loop.run()
    assert bench.outcomes == [("a", None), ("b", None)]
    assert bench.stored() == ["a"]
    bench.work()
    assert bench.stored() == ["a", "b"]


def test_a_lost_acknowledged_operation_is_logged_counted_and_reported_once_by_flushed(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.writer.submit(refuse, what="insert Users", durability="queued")
    bench.put("a")
    bench.work()
    assert bench.writer.stats().lost == 1
    assert "1 acknowledged operations are lost: insert Users" in caplog.text
    for _ in range(2):
        bench.watch(bench.writer.flushed())
        bench.work()
    assert isinstance(bench.outcomes[-2][1], errors.NotWritten)
    assert bench.outcomes[-1] == ("flush", None)


def test_a_failed_commit_loses_acknowledged_operations_in_one_log_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.commit_error = errors.StorageFailure("the disk is broken")
    for number in range(30):
        bench.put(f"{number}", durability="queued")
    bench.work()
    assert bench.writer.stats().lost == 30
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "30 acknowledged operations are lost" in caplog.text


def test_flushed_fires_after_the_commit_and_sync_of_what_was_before_it(bench: Bench) -> None:
    bench.put("a", durability="queued")
    bench.writer.flushed().subscribe(lambda _: bench.outcomes.append(("flushed", (bench.stored(), bench.syncs))))
    bench.put("b")
    assert bench.worker.perform()  # the mark ends the batch
    bench.loop.run()
    assert bench.outcomes == [("a", None), ("flushed", (["a"], 1))]


def test_flushed_with_nothing_to_flush_fires_without_a_sync(bench: Bench) -> None:
    bench.watch(bench.writer.flushed())
    bench.work()
    assert bench.outcomes == [("flush", None)]
    assert bench.syncs == 0


def test_an_unknown_durability_is_refused(bench: Bench) -> None:
    with pytest.raises(errors.ConfigError, match="'commit' or 'queued'"):
        bench.put("a", durability="none")


# --- limits


def test_a_full_queue_lets_operations_wait_in_order(make: Callable[..., Bench]) -> None:
    bench = make(max_pending=2)
    operations = [bench.put(key) for key in "abcde"]
    assert [op.state for op in operations] == [State.QUEUED] * 2 + [State.WAITING] * 3
    assert bench.writer.stats().waiting == 3
    bench.work()
    assert [what for what, _ in bench.outcomes] == list("abcde")
    stats = bench.writer.stats()
    assert (stats.pending_records, stats.pending_bytes, stats.waiting, stats.batches) == (0, 0, 0, 3)


@pytest.mark.parametrize(("limits", "unit"), [({"max_pending": 2}, "records"), ({"max_pending_bytes": 20}, "bytes")])
def test_a_full_queue_refuses_operations_where_it_was_told_to(
    make: Callable[..., Bench], limits: dict[str, int], unit: str
) -> None:
    bench = make(overflow="error", **limits)
    bench.put("a", size=10)
    bench.put("b", size=10)
    with pytest.raises(errors.Backpressure, match=unit) as caught:
        bench.put("c", size=10)
    assert (caught.value.pending, caught.value.limit) in [(2, 2), (20, 20)]
    bench.work()
    bench.put("c", size=10)
    bench.work()
    assert bench.stored() == ["a", "b", "c"]


def test_a_small_operation_does_not_overtake_a_large_one_that_waits(make: Callable[..., Bench]) -> None:
    bench = make(max_pending=3)
    bench.put("a", records=2)
    bench.put("large", records=3)
    small = bench.put("small", records=1)
    assert small.state is State.WAITING
    bench.work()
    assert [what for what, _ in bench.outcomes] == ["a", "large", "small"]


@pytest.mark.parametrize("overflow", ["wait", "error"])
def test_an_operation_larger_than_the_limits_is_accepted_when_the_queue_is_empty(
    make: Callable[..., Bench], overflow: str
) -> None:
    bench = make(max_pending=3, max_pending_bytes=10, overflow=overflow)
    assert bench.put("large", records=50, size=1000).state is State.QUEUED
    bench.work()
    assert bench.outcomes == [("large", None)]


@pytest.mark.parametrize(
    "limits", [{"max_pending": 0}, {"max_batch": -1}, {"max_pending_bytes": 1.5}, {"overflow": "drop"}]
)
def test_limits_that_cannot_be_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigError, match=next(iter(limits))):
        Limits(**limits)


# --- interrupts


def test_an_interrupt_in_an_answer_keeps_nobody_else_from_theirs(bench: Bench) -> None:
    def interrupted(operation: Operation[Any]) -> None:
        if not bench.outcomes:
            bench.outcomes.append(("interrupt", None))
            raise KeyboardInterrupt
        bench.outcomes.append((operation.what, None))

    for key in "abc":
        plan = numbers.plan_put(key, 1, bench.db.max_key_size)
        bench.writer.submit(plan, what=key).subscribe(interrupted)
    bench.worker.perform_all()
    with pytest.raises(KeyboardInterrupt):
        bench.loop.run()
    bench.loop.run()
    assert [what for what, _ in bench.outcomes] == ["interrupt", "a", "b", "c"]


def test_an_interrupt_where_the_hop_is_measured_loses_no_answer(bench: Bench) -> None:
    bench.put("a")
    bench.worker.perform_all()
    lateness, bench.writer._outbox.lateness = bench.writer._outbox.lateness, None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        bench.loop.run()
    bench.writer._outbox.lateness = lateness
    bench.loop.run()
    assert bench.outcomes == [("a", None)]


def test_an_interrupt_where_work_is_asked_for_leaves_a_writer_that_can_be_closed(bench: Bench) -> None:
    do = bench.worker.do

    def interrupted(work: Any) -> None:
        raise KeyboardInterrupt

    bench.worker.do = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.put("a")
    bench.worker.do = do  # type: ignore[method-assign]
    closing = bench.writer.close()
    bench.work()
    assert closing.state is State.DONE
    assert bench.stored() == ["a"]


def test_a_batch_that_was_cancelled_while_it_waited_takes_nothing_with_it_when_its_commit_fails(bench: Bench) -> None:
    operation = bench.put("a")
    bench.entered = lambda: bench.writer.cancel(operation)
    bench.commit_error = errors.StorageFailure("broken")
    pace = bench.writer.pace
    start = pace.start

    def submit_late() -> None:  # when the batch, which is empty, has been taken
        pace.start = start  # type: ignore[method-assign]
        bench.put("late", durability="queued")

    pace.start = submit_late  # type: ignore[method-assign]
    assert bench.worker.perform()
    bench.entered, bench.commit_error = lambda: None, None
    bench.work()
    assert bench.stored() == ["late"]
    assert bench.writer.stats().lost == 0


def test_an_interrupt_where_closing_begins_leaves_a_writer_that_can_be_closed(bench: Bench) -> None:
    do = bench.worker.do

    def interrupted(work: Any) -> None:
        raise KeyboardInterrupt

    bench.worker.do = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.writer.close()
    bench.worker.do = do  # type: ignore[method-assign]
    closing = bench.writer.close()
    bench.work()
    assert (closing.state, bench.finished) == (State.DONE, 1)
