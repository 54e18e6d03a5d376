# SPDX-License-Identifier: MIT
"""Work in transactions pauses now and then, so that the event loop's thread gets the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import zlmdb
from tests.faces import Face
from zlmdb import errors
from zlmdb.testing import FakeClock
from zlmdb.workers import pace as pace_module
from zlmdb.workers.pace import PAUSE, SPAN, Pace

numbers = zlmdb.MapOidString(7)


class Counting:
    """A pace that rests after each ten records, and counts it."""

    def __init__(self) -> None:
        self.left = 10
        self.rests = 0

    def rest(self) -> None:
        self.left = 10
        self.rests += 1

    def of(self, work: Callable[[], object]) -> int:
        """Return how often it rests in ``work``."""
        before = self.rests
        work()
        return self.rests - before


def test_all_that_a_transaction_does_with_records_is_counted(db: zlmdb.Database) -> None:
    pace = Counting()
    with db.begin(write=True) as txn:
        txn.keep_pace(pace)

        def put() -> None:
            for number in range(100):
                numbers[txn, number] = "x"

        assert pace.of(put) == 10
        assert pace.of(lambda: [numbers[txn, number] for number in range(100)]) == 10
        assert pace.of(lambda: list(numbers.select(txn))) == 10
        assert pace.of(lambda: list(numbers.select(txn, live=False))) >= 3
        assert pace.of(lambda: numbers.count(txn)) == 1
        assert pace.of(lambda: txn.delete_many(numbers.raw_key(number) for number in range(50))) == 5
        assert pace.of(lambda: numbers.truncate(txn)) == 5
        txn.keep_pace(None)
        assert pace.of(put) == 0


def test_reads_are_counted_too(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        numbers.put_many(txn, ((number, "x") for number in range(300)))
    pace = Counting()
    with db.begin() as txn:
        txn.keep_pace(pace)
        assert pace.of(lambda: [numbers[txn, number] for number in range(100)]) == 10
        assert pace.of(lambda: list(numbers.select(txn))) >= 5
        assert pace.of(lambda: numbers.bound(txn)[1] * 10) == 0


def test_the_pace_is_kept_in_savepoints_and_after_them(db: zlmdb.Database) -> None:
    pace = Counting()
    stats = zlmdb.TransactionStats()
    with db.begin(write=True, stats=stats) as txn:
        txn.keep_pace(pace)
        for number in range(50):
            with txn.savepoint():
                numbers[txn, number] = "x"
        with pytest.raises(ZeroDivisionError), txn.savepoint():
            raise ZeroDivisionError
        for number in range(50):
            numbers[txn, number] = "y"
    assert (pace.rests, stats.puts) == (10, 100)


def test_a_transaction_that_cannot_go_on_stays_so(db: zlmdb.Database) -> None:
    with pytest.raises(errors.TransactionPoisoned), db.begin(write=True) as txn:
        txn.keep_pace(Counting())
        txn.spoil(ValueError("half done"))
        txn.keep_pace(None)
        numbers[txn, 1] = "x"
    with db.begin(write=True) as txn:
        numbers[txn, 1] = "x"
    txn.keep_pace(Counting())  # it has ended: nothing to keep it in
    with pytest.raises(errors.TransactionFinished):
        numbers[txn, 1]


@pytest.mark.parametrize("cost", [1e-6, 1e-5, 1e-3])
def test_as_many_records_come_between_two_pauses_as_fit_into_the_span(cost: float) -> None:
    clock = FakeClock()
    slept: list[float] = []
    pace = Pace(slept.append, clock)
    for _ in range(10_000):
        clock.advance(cost)
        pace()
    fitting = min(max(SPAN / cost, pace_module._FEWEST), pace_module._MOST)
    assert set(slept) == {PAUSE}
    assert len(slept) == pytest.approx(10_000 / fitting, rel=0.2)


def test_functions_and_scans_of_an_asynchronous_database_keep_a_pace(
    face: Face, using: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[str] = []
    monkeypatch.setattr(Pace, "rest", lambda self: (pauses.append("rest"), self.start()))

    def paused(since: int) -> bool:
        return len(pauses) > since

    async def test(db: Any, users: Any) -> None:
        def write(txn: zlmdb.Transaction) -> None:
            for number in range(1000):
                users.map[txn, f"{number:04}"] = number

        def read(txn: zlmdb.Transaction) -> list[Any]:
            return [users.map[txn, f"{number:04}"] for number in range(1000)]

        for call in (
            lambda: db.write(write),
            lambda: db.read(read),
            lambda: users.select(),
            lambda: users.page(limit=1000),
            lambda: users.count(),
            lambda: users.truncate(),
        ):
            before = len(pauses)
            await call()
            assert paused(before)

    using(test)
