# SPDX-License-Identifier: MIT
"""A batch of operations as transactions: one if that can be, smaller ones where there is no room for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zlmdb.errors import DiskFull, MapFull
from zlmdb.orm import put_plainly
from zlmdb.storage import EngineError
from zlmdb.workers.operation import Operation
from zlmdb.workers.pace import Pace

if TYPE_CHECKING:
    from zlmdb.storage import Transaction

FULL: Final = (MapFull, DiskFull)
"""Failures that do not come from an operation, and that fewer records, or more room later, can mend."""


@dataclass(slots=True)
class Written:
    """What became of a ``batch``: its first ``done`` operations are through, ``failure`` is why the next is not.

    An operation that is through may have failed alone. ``commits`` has records and seconds of each transaction.
    ``taken`` says that the batch was taken in a transaction.
    """

    batch: list[Operation[Any]]
    done: int
    failure: BaseException | None
    commits: list[tuple[int, float]]
    taken: bool = False


class BatchWriter:
    """Writes batches; each operation fails alone, most of them in a savepoint. Writer thread only.

    A `Record` that is to be put needs none: it is written or is not. Only if the storage itself fails in it, the whole
    batch is run again, and then it has one too.

    ``begin`` gives a write transaction that commits at a normal exit, ``pace`` is called for each record,
    ``clock`` gives seconds.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractContextManager[Transaction]],
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self._begin = begin
        self._pace = pace
        self._clock = clock

    def write(self, take: Callable[[], list[Operation[Any]]]) -> Written:
        """Write what ``take`` returns when the transaction has begun.

        If there is no room for all of it, it is run again in transactions of half the size, and so on; where one
        operation alone has no room the rest is left, so that nothing overtakes it.
        """
        result = Written([], 0, None, [])
        self._transaction(result, self._attempt_all_plainly, take)
        if result.failure is not None:
            if not result.taken:  # the transaction could not begin
                result.batch, result.taken = take(), True
            self._write_again(result)
        return result

    def _write_again(self, result: Written) -> None:
        if result.failure.__class__ is _StorageFailed:
            result.failure = None
            self._transaction(result, self._attempt_all, result.batch.copy)
        size = len(result.batch)
        while isinstance(result.failure, FULL) and size > 1:
            size = (size + 1) // 2
            result.failure = None
            while result.done < len(result.batch) and result.failure is None:
                part = result.batch[result.done : result.done + size]
                size = len(part)
                self._transaction(result, self._attempt_all, part.copy)

    def _transaction(
        self,
        result: Written,
        attempt_all: Callable[[list[Operation[Any]], Transaction], None],
        take: Callable[[], list[Operation[Any]]],
    ) -> None:
        try:
            with self._begin() as txn:
                operations = take()
                if not result.taken:
                    result.batch, result.taken = operations, True
                is_alone = len(result.batch) == 1
                if not (is_alone and isinstance(operations[0].job, tuple)):  # a record is too little for a pause
                    self._pace.start()
                if is_alone:  # the transaction is its savepoint
                    _run(operations[0], txn)
                else:
                    attempt_all(operations, txn)
                started = self._clock()
        except BaseException as error:  # noqa: BLE001 - it is the outcome of the operations
            result.failure = error
            return
        took, records = self._clock() - started, 0
        for operation in operations:
            if operation.failure is None:
                records += operation.records
        result.commits.append((records, took))
        result.done += len(operations)

    def _attempt_all_plainly(self, operations: list[Operation[Any]], txn: Transaction) -> None:
        pace = self._pace
        checked = None  # a map: the next record is mostly one of it too
        for operation in operations:
            job = operation.job
            if isinstance(job, tuple):
                operation.failure = None  # of an earlier try
                map_, raw, data = job
                try:  # what `put_plainly` does
                    if map_ is not checked:
                        map_.check(txn)
                        checked = map_
                    try:
                        txn.store(raw, data)
                    except EngineError as exc:
                        raise txn.failed(exc) from exc
                except BaseException as error:
                    if txn.poison is not None:
                        raise _StorageFailed from error
                    operation.failure = error
            else:
                self._attempt(operation, txn)
                checked = None  # it may have done anything
            pace.left -= 1
            if pace.left <= 0:
                pace.rest()

    def _attempt_all(self, operations: list[Operation[Any]], txn: Transaction) -> None:
        for operation in operations:
            self._attempt(operation, txn)
            self._pace()

    def _attempt(self, operation: Operation[Any], txn: Transaction) -> None:
        try:
            with txn.savepoint():
                _run(operation, txn)
        except BaseException as error:
            if operation.acknowledged and isinstance(error, FULL):
                raise  # it was promised: nothing after it may be written before it
            operation.failure = error


class _StorageFailed(Exception):
    """A write outside of a savepoint left the transaction nothing but to roll back."""


def _run(operation: Operation[Any], txn: Transaction) -> None:
    operation.failure = None  # of an earlier try
    job = operation.job
    if isinstance(job, tuple):
        put_plainly(job, txn)
    elif job is not None:
        value = job(txn)
        if not operation.acknowledged:
            operation.value = value
