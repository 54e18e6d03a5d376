# SPDX-License-Identifier: MIT
"""The history as a store: what is configured is kept, and the sweep does its slices without being asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

import zlmdb
from tests.reactor_bench import error_of, run
from zlmdb import errors
from zlmdb.plugins import Context, check
from zlmdb.twisted import open_database
from zlmdb_eventhistory import Config, Event, EventHistory, EventHistoryStore, Maintenance, Pattern, Subscription
from zlmdb_eventhistory._importing import OldPublication, OldPublications
from zlmdb_eventhistory._sweeping import Sweeper

SECOND = 10**9


def store(reactor: Any, path: Path, clock: Clock, **options: Any) -> EventHistoryStore:
    def opened(*args: Any, **kwargs: Any) -> Any:
        return open_database(*args, reactor=reactor, **kwargs)

    context = Context(
        open_database=opened,
        call_later=clock.callLater,
        time_ns=lambda: int(clock.seconds() * SECOND),
        reactor=reactor,
    )
    return EventHistoryStore(check(Config, {"path": str(path), **options}), context)


async def started(alone: EventHistoryStore) -> None:
    await alone.attach()
    await alone.migrate()
    alone.start()


async def stopped(alone: EventHistoryStore) -> None:
    await alone.drain()
    await alone.stop()


def event(publication: int, topic: str = "com.a", **fields: Any) -> Event:
    return Event(**{"publication": publication, "topic": topic, "time_ns": publication * SECOND, **fields})


def test_patterns_of_the_configuration_are_indexed_and_kept_within_their_limits(tmp_path: Path) -> None:
    patterns = [{"uri": "com.", "match": "prefix", "max-age": 10.5}, {"uri": "org", "max-count": 2, "max-bytes": 9999}]

    async def main(reactor: Any) -> None:
        clock = Clock()
        alone = store(reactor, tmp_path / "db", clock, patterns=patterns)
        await started(alone)
        for number in range(10):
            await alone.append(event(number, "org" if number % 2 else "com.a"))
        sent = await alone.dispatch(8, Subscription("com.", "prefix"), receivers=[5])
        assert await alone.dispatches(8) == [sent]
        page = await alone.page(subscription=Subscription("com.", "prefix"))
        assert [each.publication for each in page.events] == [8]
        clock.advance(15)
        page = await alone.page()
        assert [each.publication for each in page.events] == [6, 7, 8, 9]
        done = await alone.maintain()
        assert isinstance(done, Maintenance)
        await stopped(alone)
        assert clock.getDelayedCalls() == []
        for call in (alone.dispatches(8), alone.dispatch(8, Subscription("a")), alone.maintain(), alone.configure([])):
            assert isinstance(await error_of(call), errors.DatabaseClosed)

    run(main)
    with zlmdb.Database(tmp_path / "db") as db:
        history = db.attach(EventHistory)
        with db.begin() as txn:
            assert history.events.count(txn) == 4
            assert list(history.patterns_kept(txn)) == [
                Pattern("com.", "prefix", max_age_ns=10_500_000_000),
                Pattern("org", max_count=2, max_bytes=9999),
            ]
            assert history.problems(txn) == []


def test_another_configuration_is_taken_at_the_next_start_and_by_request(tmp_path: Path) -> None:
    async def first(reactor: Any) -> None:
        alone = store(reactor, tmp_path / "db", Clock())
        await started(alone)
        for number in range(5):
            await alone.append(event(number))
        assert await alone.configure([Pattern("com.", "prefix")])
        assert not await alone.configure([Pattern("com.", "prefix")])
        assert isinstance(await error_of(alone.configure(["com."])), errors.WrongType)  # type: ignore[list-item]
        await stopped(alone)

    async def second(reactor: Any) -> None:
        alone = store(reactor, tmp_path / "db", Clock(), patterns=[{"uri": "com.a"}], sweep_slice=2)
        await started(alone)
        while (await alone.maintain()).more:
            pass
        await stopped(alone)

    run(first)
    run(second)
    with zlmdb.Database(tmp_path / "db") as db:
        history = db.attach(EventHistory)
        with db.begin() as txn:
            assert history.patterns_kept(txn) == {Pattern("com.a"): True}
            assert history.by_pattern.count(txn) == 5


def test_a_store_that_reads_only_sweeps_nothing_and_shows_nothing_that_expired(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        history = db.attach(EventHistory)
        history.clock = lambda: 0
        with db.begin(write=True) as txn:
            history.configure(txn, [Pattern("", "prefix", max_age_ns=SECOND)])
            history.append(txn, event(1))
            history.append(txn, event(100))

    async def main(reactor: Any) -> None:
        clock = Clock()
        clock.advance(50)
        alone = store(reactor, tmp_path / "db", clock, readonly=True)
        await started(alone)
        assert clock.getDelayedCalls() == []
        assert [each.publication for each in (await alone.page()).events] == [100]
        await stopped(alone)

    run(main)


def test_what_older_programs_stored_is_imported_before_anything_is_appended(tmp_path: Path) -> None:
    with zlmdb.Database(tmp_path / "db") as db:
        publications = db.attach_table(OldPublications)
        with db.begin(write=True) as txn:
            for number in range(1, 8):
                publications[txn, number] = OldPublication(timestamp=10 - number, publication=number, topic="com.a")

    async def main(reactor: Any) -> None:
        for number in (100, 101):
            alone = store(reactor, tmp_path / "db", Clock(), import_old=True, sweep_slice=3)
            await started(alone)
            await alone.append(event(number))
            page = await alone.page()
            assert [each.publication for each in page.events] == [*range(7, 0, -1), *range(100, number + 1)]
            await stopped(alone)

    run(main)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"patterns": [{"uri": "a", "match": "regex"}]}, "store.patterns[0].match"),
        ({"patterns": [{"uri": 5}]}, "store.patterns[0].uri"),
        ({"patterns": [{"uri": "a", "max-age": 0}]}, "store.patterns[0].max-age"),
        ({"patterns": [{"uri": "a", "max-age": float("nan")}]}, "store.patterns[0].max-age"),
        ({"patterns": [{"uri": "a", "max-count": 0}]}, "store.patterns[0].max-count"),
        ({"patterns": [{"uri": "a", "max-age": 1e30}]}, "store.patterns[0].max-age"),
        ({"patterns": [{"uri": "a", "max-age": 1e300}]}, "store.patterns[0].max-age"),
        ({"patterns": [{"uri": "a", "max-count": 2**70}]}, "store.patterns[0].max-count"),
        ({"patterns": [{"uri": "a", "max-bytes": 2**64}]}, "store.patterns[0].max-bytes"),
        ({"patterns": [{"uri": "b"}, {"uri": "\ud800"}]}, "store.patterns[1].uri"),
        ({"patterns": [{"uri": "x" * 10_000}]}, "store.patterns[0].uri"),
        ({"patterns": [{"uri": "é" * 1_000}]}, "store.patterns[0]"),
        ({"patterns": [{"uri": "a"}, {"uri": "b"}, {"uri": "a", "max-count": 1}]}, "store"),
        ({"patterns": "com."}, "store.patterns"),
        ({"path": ""}, "store.path"),
        ({"maxsize": 2**70}, "store.maxsize"),
        ({"sweep-interval": 0}, "store.sweep-interval"),
        ({"sweep-interval": 1e-300}, "store.sweep-interval"),
        ({"sweep-interval": 1e300}, "store.sweep-interval"),
        ({"sweep-slice": 0}, "store.sweep-slice"),
        ({"sweep-slice": 2**70}, "store.sweep-slice"),
    ],
)
def test_a_wrong_configuration_names_the_place(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        check(Config, {"path": "db", **wrong})
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [place]
    assert "expected" in caught.value.problems[0]


def test_what_the_check_takes_at_the_most_can_be_started(tmp_path: Path) -> None:
    patterns = [
        {"uri": "x" * 1_966, "max-age": 3_155_760_000, "max-count": 2**64 - 1, "max-bytes": 2**64 - 1},
        {"uri": "x" * 1_966, "match": "prefix", "max-age": 1e-300},
    ]

    async def main(reactor: Any) -> None:
        alone = store(reactor, tmp_path / "db", Clock(), patterns=patterns, maxsize=2**46)
        await started(alone)
        assert await alone.append(event(1)) == 1
        assert [each.publication for each in (await alone.page()).events] == [1]
        await stopped(alone)

    run(main)


# --- the sweep


class Slices:
    """Answers of slices, each given when the test says."""

    def __init__(self) -> None:
        self.running: list[Deferred[Maintenance]] = []

    def __call__(self) -> Deferred[Maintenance]:
        self.running.append(Deferred())
        return self.running[-1]


def test_slices_follow_each_other_at_once_while_there_is_more_and_then_at_intervals() -> None:
    clock, slices = Clock(), Slices()
    sweeper = Sweeper(slices, 5.0, clock.callLater)
    sweeper.start()
    slices.running[-1].callback(Maintenance(more=True))
    clock.advance(0)
    slices.running[-1].callback(Maintenance())
    clock.advance(4.9)
    assert len(slices.running) == 2
    clock.advance(0.1)
    assert len(slices.running) == 3
    over = sweeper.stop()
    assert not over.called
    slices.running[-1].callback(Maintenance(more=True))
    assert over.called
    assert clock.getDelayedCalls() == []


def test_a_failing_slice_is_logged_and_tried_again() -> None:
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        clock, slices = Clock(), Slices()
        sweeper = Sweeper(slices, 5.0, clock.callLater)
        sweeper.start()
        slices.running[-1].errback(errors.DiskFull("no room"))
        clock.advance(5)
        slices.running[-1].callback(Maintenance(damaged=(3,)))
    finally:
        globalLogPublisher.removeObserver(logged.append)
    told = [each.get("sequences") or str(each["log_failure"].value) for each in logged]
    assert told == ["no room", (3,)]
    sweeper.stop()
    assert clock.getDelayedCalls() == []


def test_thousands_of_slices_that_end_at_once_need_no_stack() -> None:
    clock, left = Clock(), iter(range(5_000, -1, -1))
    sweeper = Sweeper(lambda: succeed(Maintenance(more=next(left) > 0)), 5.0, clock.callLater)
    sweeper.start()
    for _ in range(5_001):
        clock.advance(0)
    assert next(left, None) is None
    sweeper.stop()
