# SPDX-License-Identifier: MIT
"""Whatever the order of calls, worker's steps and loop's turns: each outcome is told once, and is the truth."""

import itertools
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from tests.writer_bench import Bench, numbers
from zlmdb import errors
from zlmdb.workers import Operation, State
from zlmdb.workers.entry import entry


class History:
    """Runs actions on a writer and checks, at the end, what everybody was told against the file."""

    def __init__(self, db: zlmdb.Database, **options: Any) -> None:
        self.bench = Bench(db, **options)
        self.limit = self.bench.writer._pending.limits.max_pending
        self.operations: list[Operation[Any]] = []
        self.answers: dict[int, list[BaseException | None]] = {}
        self.cancelled: set[int] = set()
        self.detached: set[int] = set()  # cancelled too late, before they were answered
        self.ran: list[int] = []
        self.closing: Operation[int] | None = None
        self.failing: set[int] = set()
        self.has_broken = False  # a commit could fail for another reason than want of room

    def submit(self, *, fails: bool = False, durability: str = "commit", records: int = 1) -> None:
        number = len(self.operations)

        def job(txn: zlmdb.Transaction) -> int:
            self.ran.append(number)
            numbers[txn, str(number)] = number
            if fails:
                raise errors.KeyExists("there")
            return number

        try:
            operation = self.bench.writer.submit(job, durability=durability, records=records)  # type: ignore[arg-type]
        except (errors.DatabaseClosed, errors.Backpressure):
            return
        self.operations.append(operation)
        if fails:
            self.failing.add(number)
        self.answers[number] = []
        operation.subscribe(lambda op: self.answers[number].append(op.error))

    def put(self, *, fails: bool = False, durability: str = "commit") -> None:
        """Submit a record on the short way, which no function runs for: the check of its map is all that is seen."""
        number = len(self.operations)

        def check(txn: zlmdb.Transaction) -> None:
            self.ran.append(number)
            if fails:
                raise errors.KeyExists("there")

        self.answers[number] = []
        bridge: Any = SimpleNamespace(
            waiter=lambda operation: operation, answered=lambda op: self.answers[number].append(op.error)
        )
        map_: Any = SimpleNamespace(check=check, _environment=None, _slot=None)  # to be checked each time
        enter: Any = entry(self.bench.writer, bridge, "put")
        try:
            operation = enter((map_, numbers.raw_key(str(number)), numbers.raw_value(number)), durability)
        except (errors.DatabaseClosed, errors.Backpressure):
            del self.answers[number]
            return
        self.operations.append(operation)
        if fails:
            self.failing.add(number)

    def cancel(self, number: int) -> None:
        if self.operations:
            number %= len(self.operations)
            unanswered = number not in self.cancelled and not self.answers[number]
            if self.bench.writer.cancel(self.operations[number]):
                self.cancelled.add(number)
            elif unanswered:
                self.detached.add(number)

    def flush(self) -> None:
        if not self.bench.writer.closing:
            self.bench.writer.flushed()

    def step(self) -> None:
        self.bench.worker.perform()

    def turn(self) -> None:
        self.bench.loop.turn()

    def break_commits(self) -> None:
        self.has_broken = True
        self.bench.commit_error = errors.StorageFailure("broken")

    def fill_disk(self) -> None:
        self.bench.commit_error = errors.DiskFull("full")

    def mend_commits(self) -> None:
        self.bench.commit_error = None

    def close(self) -> None:
        self.closing = self.bench.writer.close()

    def give_up(self) -> None:
        if self.closing:
            self.bench.writer.give_up()

    def check_limits(self) -> None:
        pending = self.bench.writer._pending
        assert pending.records >= 0
        accepted = [op for op in self.operations if op.state in (State.QUEUED, State.RUNNING)]
        assert pending.records == sum(op.records for op in accepted)
        assert pending.bytes == sum(op.size for op in accepted)
        assert pending.records <= self.limit or len(accepted) == 1

    def check_end(self) -> None:
        self.mend_commits()
        self.close()
        self.bench.worker.perform_all()
        self.bench.loop.run()
        stored = {int(key) for key in self.bench.stored()}
        last_runs = {number: at for at, number in enumerate(self.ran)}  # some were run again after a rollback
        in_order = sorted(stored, key=last_runs.__getitem__)
        assert in_order == sorted(stored), "not in the order of submission"
        lost = 0
        for number, operation in enumerate(self.operations):
            answers = self.answers[number]
            if number in self.cancelled:
                assert (operation.state, answers, number in self.ran) == (State.CANCELLED, [], False)
                assert number not in stored
                continue
            assert operation.state in (State.DONE, State.FAILED)
            assert (operation.state is State.DONE) == (number in stored)
            if operation.acknowledged and number not in stored:
                lost += 1
                gave_up = self.bench.writer.stats().not_written
                assert number in self.failing or self.has_broken or gave_up, (
                    "lost for want of room, or by another's fault"
                )
            assert len(answers) == (number not in self.detached)
            if answers == [None]:
                assert operation.acknowledged or number in stored, "success was told and nothing is there"
            elif answers:
                assert number not in stored, "failure was told and the record is there"
        stats = self.bench.writer.stats()
        assert (stats.pending_records, stats.pending_bytes, stats.waiting) == (0, 0, 0)
        assert (stats.lost, stats.cancelled) == (lost, len(self.cancelled))
        assert stats.records == sum(self.operations[number].records for number in stored)
        assert self.bench.finished == 1
        assert self.bench.writer.finished


@pytest.fixture(scope="module")
def shared_db() -> Iterator[zlmdb.Database]:
    with tempfile.TemporaryDirectory() as folder, zlmdb.Database(folder, sync=False) as db:
        yield db


def clear(db: zlmdb.Database) -> None:
    with db.begin(write=True) as txn:
        numbers.truncate(txn)


submissions = st.builds(
    lambda **options: ("submit", options),
    fails=st.booleans(),
    durability=st.sampled_from(["commit", "queued"]),
    records=st.integers(1, 5),
)
puts = st.builds(
    lambda **options: ("put", options), fails=st.booleans(), durability=st.sampled_from(["commit", "queued"])
)
others = st.sampled_from(
    ["step", "turn", "flush", "break_commits", "fill_disk", "mend_commits", "close", "give_up"]
).map(lambda name: (name, {}))
cancels = st.integers(0, 20).map(lambda number: ("cancel", {"number": number}))
actions = st.lists(st.one_of(submissions, puts, puts, others, cancels), max_size=40)


@given(
    actions=actions,
    max_pending=st.integers(1, 6),
    max_batch=st.integers(1, 4),
    overflow=st.sampled_from(["wait", "error"]),
)
def test_any_history_ends_with_the_truth_told_once(
    shared_db: zlmdb.Database, actions: list[tuple[str, dict[str, Any]]], **options: Any
) -> None:
    clear(shared_db)
    history = History(shared_db, **options)
    for name, arguments in actions:
        getattr(history, name)(**arguments)
        history.check_limits()
    history.check_end()


ALPHABET = (
    "submit",
    "queue",
    "put",
    "step",
    "turn",
    "cancel",
    "break_commits",
    "fill_disk",
    "mend_commits",
    "close",
    "give_up",
)


BEGINNINGS: list[tuple[dict[str, Any], ...]] = [
    ({}, {"durability": "queued"}, {"fails": True}),
    ({"fails": True}, {"durability": "queued"}, {}),
]


@pytest.mark.parametrize("begun", BEGINNINGS, ids=["it fails last", "it fails first"])
@pytest.mark.parametrize("first", ALPHABET)
def test_every_short_history_ends_with_the_truth_told_once(
    shared_db: zlmdb.Database, first: str, begun: tuple[dict[str, Any], ...]
) -> None:
    for rest in itertools.product(ALPHABET, repeat=3):
        clear(shared_db)
        history = History(shared_db, max_pending=2, max_batch=2)
        for options in begun:
            history.submit(**options)
        for name in (first, *rest):
            if name == "queue":
                history.submit(durability="queued")
            elif name == "cancel":
                history.cancel(-1)
            else:
                getattr(history, name)()
            history.check_limits()
        history.check_end()
