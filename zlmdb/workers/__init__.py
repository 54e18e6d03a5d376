# SPDX-License-Identifier: MIT
"""The loop-free engine of asynchronous use: one writer with group commit, a few readers, bounded queues, drain.

It imports no event loop: ``zlmdb.twisted`` and ``zlmdb.aio`` put Deferreds and futures on it.
"""

from zlmdb.workers.engine import Engine, Reads, open_handle
from zlmdb.workers.limits import Limits, Overflow
from zlmdb.workers.mapcalls import MapCalls
from zlmdb.workers.operation import Durability, Job, Operation, State
from zlmdb.workers.outbox import Deliver, Outbox
from zlmdb.workers.readers import ReaderPool
from zlmdb.workers.stats import WriterStats
from zlmdb.workers.worker import ThreadWorker, Worker
from zlmdb.workers.writer import Writer

__all__ = [
    "Deliver",
    "Durability",
    "Engine",
    "Job",
    "Limits",
    "MapCalls",
    "Operation",
    "Outbox",
    "Overflow",
    "ReaderPool",
    "Reads",
    "State",
    "ThreadWorker",
    "Worker",
    "Writer",
    "WriterStats",
    "open_handle",
]
