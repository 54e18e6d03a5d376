# SPDX-License-Identifier: MIT
"""The short way of a put into the writer's queue ends where the long way does."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import zlmdb
from tests.writer_bench import Bench, numbers
from zlmdb import errors
from zlmdb.workers import Operation
from zlmdb.workers.entry import entry
from zlmdb.workers.stats import WriterStats


@pytest.fixture
def make(db: zlmdb.Database) -> Callable[..., Bench]:
    return lambda **options: Bench(db, **options)


def entered(bench: Bench, key: str, durability: str = "commit") -> Operation[Any]:
    told = bench.outcomes.append
    bridge: Any = SimpleNamespace(waiter=lambda operation: operation, answered=lambda op: told((key, op.error)))
    enter: Any = entry(bench.writer, bridge, key)
    record = numbers.plain_record(key, 1, bench.db.max_key_size)
    operation: Operation[Any] = enter(record, durability)
    return operation


def submitted(bench: Bench, key: str, durability: str = "commit") -> Operation[Any]:
    plan: Any = numbers.plan_put(key, 1, bench.db.max_key_size)
    options: Any = {"what": key, "size": plan.size, "durability": durability}
    return bench.watch(bench.writer.submit(plan, **options), key)


@pytest.mark.parametrize("durability", ["commit", "queued"])
@pytest.mark.parametrize("before", [0, 1, 2], ids=["first", "last that is accepted", "has to wait"])
def test_the_operation_is_the_same(make: Callable[..., Bench], before: int, durability: str) -> None:
    found = []
    for way in (entered, submitted):
        bench = make(max_pending=2)
        for number in range(before):
            bench.put(f"before {number}")
        operation = way(bench, "a", durability)
        found.append({name: getattr(operation, name) for name in Operation.__slots__})
        assert operation in (*bench.writer._pending.accepted, *bench.writer._pending._waiting)
        found[-1] |= {"writer": bench.writer.stats(), "outcomes": bench.outcomes}
        bench.work()
        assert bench.outcomes.count(("a", None)) == 1
    short, long = found
    for one in found:
        del one["callback"]  # None once it was called; compared by the outcomes
        del one["waiter"]
    assert short == long
    assert short["job"] == (numbers, numbers.raw_key("a"), numbers.raw_value(1))


def test_a_durability_that_is_none_is_refused_and_leaves_nothing(make: Callable[..., Bench]) -> None:
    bench = make()
    with pytest.raises(errors.ConfigError):
        entered(bench, "a", "soon")
    bench.work()
    assert bench.stored() == []


@pytest.mark.parametrize("way", [entered, submitted])
def test_a_full_queue_refuses_and_counts_nothing(make: Callable[..., Bench], way: Callable[..., object]) -> None:
    bench = make(max_pending=1, overflow="error")
    way(bench, "a")
    with pytest.raises(errors.Backpressure) as caught:
        way(bench, "b")
    assert (caught.value.where, caught.value.pending, caught.value.limit) == ("b", 1, 1)
    assert bench.writer.stats().pending_records == 1
    bench.work()
    assert bench.stored() == ["a"]


def test_nothing_is_taken_after_the_end_or_in_a_forked_child(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.writer._forks -= 1
    with pytest.raises(errors.ForkedError):
        entered(bench, "a")
    bench.writer._forks += 1
    bench.writer.close()
    with pytest.raises(errors.DatabaseClosed):
        entered(bench, "a")
    bench.work()
    assert bench.stored() == []


def test_records_of_several_maps_go_into_one_transaction_and_each_map_is_checked(make: Callable[..., Bench]) -> None:
    bench = make()
    unattached: Any = zlmdb.MapStringCbor()
    entered(bench, "a")
    operation = bench.watch(bench.writer.submit((unattached, b"\0\7b", b"\1"), what="b"))
    entered(bench, "c")
    bench.work()
    assert isinstance(operation.error, errors.ZlmdbError)
    assert bench.stored() == ["a", "c"]
    assert bench.writer.stats().batches == 1


def test_a_refused_put_makes_no_waiter_that_would_keep_it_in_memory(make: Callable[..., Bench]) -> None:
    bench = make(max_pending=1, overflow="error")
    waiters: list[object] = []
    bridge: Any = SimpleNamespace(waiter=waiters.append, answered=lambda op: None)
    enter: Any = entry(bench.writer, bridge, "put")
    record = numbers.plain_record("a", 1, bench.db.max_key_size)
    enter(record, "commit")
    with pytest.raises(errors.Backpressure):
        enter(record, "commit")
    bench.writer.close()
    with pytest.raises(errors.DatabaseClosed):
        enter(record, "commit")
    assert len(waiters) == 1
    bench.work()


def test_an_interrupt_in_the_statistics_counts_no_commit_twice(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(max_batch=1)
    for number in range(5):
        entered(bench, str(number))
    bench.work()
    count, calls = WriterStats.count_commit, []

    def interrupted(stats: WriterStats, records: int, took: float) -> None:
        calls.append(records)
        if len(calls) == 3:
            raise KeyboardInterrupt
        count(stats, records, took)

    monkeypatch.setattr(WriterStats, "count_commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.writer.stats()
    stats = bench.writer.stats()
    assert (stats.batches, stats.records) == (4, 4)  # the one that was interrupted is not told
    assert len(calls) == 5


def test_a_long_run_keeps_no_more_commits_than_it_counts_at_once(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zlmdb.workers.writer._MOST_UNCOUNTED", 3)
    bench = make(max_batch=1)
    for number in range(10):
        entered(bench, str(number))
        bench.work()
        assert len(bench.writer._uncounted) < 3
    assert bench.writer.stats().batches == 10
