# SPDX-License-Identifier: MIT
"""A writer on real transactions, with a worker and an event loop that move when they are told to."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import zlmdb
from zlmdb.testing import FakeClock, MemoryWorker
from zlmdb.workers import Limits, Operation, Outbox, Writer

numbers = zlmdb.MapStringCbor(7)


class Loop:
    """An event loop that makes one turn when told to."""

    def __init__(self) -> None:
        self.calls: deque[Callable[[], object]] = deque()
        self.hops = 0

    def deliver(self, function: Callable[[], object]) -> None:
        self.hops += 1
        self.calls.append(function)

    def later(self, function: Callable[[], object]) -> None:
        self.calls.append(function)

    def turn(self) -> None:
        for _ in range(len(self.calls)):
            self.calls.popleft()()

    def run(self) -> None:
        while self.calls:
            self.turn()


class Bench:
    """A writer with its surroundings; `outcomes` are what subscribers were told, in order."""

    def __init__(self, db: zlmdb.Database, **options: Any) -> None:
        self.db = db
        self.loop = Loop()
        self.worker = MemoryWorker()
        self.clock = FakeClock()
        self.syncs = 0
        self.finished = 0
        self.commit_error: Exception | None = None
        self.begin_error: Exception | None = None
        self.entered: Callable[[], object] = lambda: None
        self.outcomes: list[tuple[str, Any]] = []
        self.writer = Writer(
            self.begin,
            self.worker,
            Outbox(self.loop.deliver, self.loop.later, clock=self.clock),
            sync=self.sync,
            finish=self.finish,
            limits=Limits(**options),
            clock=self.clock,
            sleep=self.clock.sleep,
            pause=self.clock.sleep,
            where="bench",
        )

    @contextmanager
    def begin(self) -> Iterator[zlmdb.Transaction]:
        self.entered()
        if self.begin_error:
            raise self.begin_error
        with self.db.begin(write=True) as txn:
            yield txn
            if self.commit_error:
                raise self.commit_error  # the real transaction rolls back, as a failed commit does

    def sync(self) -> None:
        self.syncs += 1

    def finish(self) -> None:
        self.finished += 1

    def watch(self, operation: Operation[Any], name: str | None = None) -> Operation[Any]:
        operation.subscribe(
            lambda op: self.outcomes.append((name or op.what, op.value if op.error is None else op.error))
        )
        return operation

    def put(self, key: str, value: object = 1, **options: Any) -> Operation[Any]:
        plan = numbers.plan_put(key, value, self.db.max_key_size)
        return self.watch(self.writer.submit(plan, what=key, **{"size": plan.size, **options}))

    def work(self) -> None:
        self.worker.perform_all()
        self.loop.run()

    def stored(self) -> list[str]:
        with self.db.begin() as txn:
            return list(numbers.select(txn, return_values=False))
