# SPDX-License-Identifier: MIT
"""The loop-free engine of asynchronous use: one writer with group commit, a few readers, bounded queues, drain.

It imports no event loop: ``zlmdb.twisted`` and ``zlmdb.aio`` put Deferreds and futures on it.
"""

from zlmdb.workers.bridge import Bridge
from zlmdb.workers.databaseface import DatabaseFace
from zlmdb.workers.engine import Engine, Reads, open_handle
from zlmdb.workers.group import Group
from zlmdb.workers.limits import Limits, Overflow
from zlmdb.workers.mapcalls import MapCalls
from zlmdb.workers.mapface import MapFace
from zlmdb.workers.opening import DEFAULTS, Opening, Settings
from zlmdb.workers.operation import Durability, Job, Operation, State
from zlmdb.workers.outbox import Deliver, Outbox
from zlmdb.workers.readers import ReaderPool
from zlmdb.workers.stats import Histogram, WriterStats
from zlmdb.workers.worker import ThreadWorker, Worker
from zlmdb.workers.writer import Writer

__all__ = [
    "DEFAULTS",
    "Bridge",
    "DatabaseFace",
    "Deliver",
    "Durability",
    "Engine",
    "Group",
    "Histogram",
    "Job",
    "Limits",
    "MapCalls",
    "MapFace",
    "Opening",
    "Operation",
    "Outbox",
    "Overflow",
    "ReaderPool",
    "Reads",
    "Settings",
    "State",
    "ThreadWorker",
    "Worker",
    "Writer",
    "WriterStats",
    "open_handle",
]
