# SPDX-License-Identifier: MIT
"""What an asynchronous database is without its event loop: a database handle, its writer and its readers."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from zlmdb.errors import ConfigError
from zlmdb.orm import Database
from zlmdb.orm.functions import call, check_function, describe
from zlmdb.workers.limits import Limits, check_choice
from zlmdb.workers.operation import DURABILITIES, Durability, Operation
from zlmdb.workers.outbox import Deliver, Outbox
from zlmdb.workers.pace import Pace, at_pace
from zlmdb.workers.readers import ReaderPool
from zlmdb.workers.worker import ThreadWorker, Worker
from zlmdb.workers.writer import DEFAULT_LIMITS, Writer

if TYPE_CHECKING:
    from zlmdb.storage import Transaction

T = TypeVar("T")
Reads: TypeAlias = Literal["inline", "thread"]
"""Where single records are read: on the caller's thread, or on a reader's."""

log = logging.getLogger(__name__)


def open_handle(path: str, options: dict[str, Any]) -> Database:
    """Open the handle of an asynchronous database; may wait for the disk.

    Raises:
        ConfigError: ``writemap`` was asked for, which excludes savepoints.
    """
    if options.get("writemap"):
        raise ConfigError(
            "an asynchronous database cannot use writemap",
            where=path,
            got=True,
            expected="False: each operation is written in a savepoint, which writemap excludes",
        )
    return Database(path, **options)


class Engine:
    """Joins the parts and closes them in order; a face adds Deferreds or futures.

    To be made on the loop's thread; ``deliver`` and ``later`` are the loop's: see `Outbox`. ``durability`` is
    the default of `MapCalls.put` and `put_many`. The methods may be called from any thread, but outcomes come on
    the loop's.
    """

    def __init__(
        self,
        database: Database,
        readers: ReaderPool,
        deliver: Deliver,
        later: Deliver,
        *,
        limits: Limits = DEFAULT_LIMITS,
        durability: Durability = "commit",
        reads: Reads = "inline",
        worker: Worker | None = None,
    ) -> None:
        check_choice("durability", durability, DURABILITIES)
        check_choice("reads", reads, ("inline", "thread"))
        self.database = database
        self.readers = readers
        self.durability: Durability = durability
        self.reads_inline = reads == "inline"
        self.max_key_size = database.max_key_size
        self._worker = worker or ThreadWorker(f"zlmdb-writer {database.path}")
        self.writer = Writer(
            partial(database.begin, True),
            self._worker,
            Outbox(deliver, later),
            sync=partial(database.sync, force=True),
            finish=self._finish,
            limits=limits,
            where=str(database.path),
        )
        self._environment = database.environment
        self._loop_thread = threading.get_ident()
        self._environment.add_loop(self._loop_thread)

    def now(self, function: Callable[..., T], *args: Any) -> T:
        """Return ``function(*args)``, which reads on the calling thread; raises `DatabaseClosed` while closing."""
        if self.writer.closing:
            raise self.writer.closed()
        return function(*args)

    def read(self, function: Callable[..., T], *args: Any) -> T:
        """Return ``function(txn, *args)`` in a read transaction on the calling thread."""
        with self.reading() as txn:
            return call(function, args, txn)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Give a read transaction for a reader's thread: it lets the loop's thread have its turns."""
        with self.database.begin() as txn:
            txn.keep_pace(Pace(time.sleep))
            yield txn

    def write(self, function: Callable[..., T], args: tuple[Any, ...], durability: Durability) -> Operation[T]:
        """Have ``function(txn, *args)`` run on the writer's thread; it may be run again if it was rolled back.

        Raises `WrongType` for coroutine functions, and what `Writer.submit` raises.
        """
        check_function(function)
        job = at_pace(self.writer.pace, _called, function, args)
        return self.writer.submit(job, what=describe(function), durability=durability)

    def close(self) -> Operation[int]:
        """Begin to close; when the outcome comes, `release` is to be called on the loop's thread."""
        self.readers.end()
        return self.writer.close()

    def give_up(self) -> None:
        """End closing as soon as possible: the deadline has passed. See `Writer.give_up`."""
        self.readers.abandon()
        self.writer.give_up()

    def release(self) -> None:
        """End the writer's thread, after closing."""
        self._environment.drop_loop(self._loop_thread)
        if self.writer.finished:
            self._worker.quit()
        else:
            log.warning("%s: closed without the write lock, the writer's thread is left to itself", self.database.path)
            self._worker.abandon()

    def _finish(self) -> None:  # writer thread
        if self.readers.join():
            self.database.close()
        else:
            log.warning("%s: reads still run past the deadline, the file is closed when they end", self.database.path)
            self.readers.at_end(self.database.close)

    def __del__(self, warn: Callable[..., object] = warnings.warn) -> None:
        writer = getattr(self, "writer", None)
        if writer is not None and not writer.closing:
            warn(f"{self.database.path}: the database was not closed", ResourceWarning, source=self, stacklevel=1)
            self.readers.end()
            self._worker.abandon()


def _called(txn: Transaction, function: Callable[..., T], args: tuple[Any, ...]) -> T:
    return call(function, args, txn)
