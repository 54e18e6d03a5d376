# SPDX-License-Identifier: MIT
"""What a writer has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class WriterStats:
    """Counters since the database was opened; a copy is handed out, so it does not change under the reader."""

    pending_records: int = 0
    """Records accepted and not committed yet."""
    pending_bytes: int = 0
    waiting: int = 0
    """Operations that wait for room in the queue."""
    batches: int = 0
    """Transactions committed."""
    records: int = 0
    """Records committed."""
    largest_batch: int = 0
    """Most records that one transaction committed."""
    last_commit: float = 0.0
    """Seconds that the last commit took."""
    total_commit: float = 0.0
    """Seconds that all commits took."""
    failed: int = 0
    """Operations that failed, those counted as lost included."""
    lost: int = 0
    """Operations of ``queued`` durability that failed after they were acknowledged."""
    cancelled: int = 0
    """Operations that were cancelled before they ran."""
    not_written: int = 0
    """Records given up because the deadline of closing passed."""
