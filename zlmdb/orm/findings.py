# SPDX-License-Identifier: MIT
"""The problems that a check finds, listed up to a limit and counted beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from zlmdb.errors import shorten


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    ``kind`` is one of:

    - of the catalogue: "catalogue" (an entry cannot be read, or stands under another slot's key), "duplicate table"
      (two entries have one table UUID); of the file: "no slot" (a key is too short to belong to a table)
    - of a record: "undecodable key", "undecodable value", "trailing bytes" (more follows the value)
    - between a row and an index: "missing entry", "conflict" (another row has this unique key), "unindexable" (no
      entry can be made of the row)
    - of an index record: "stray entry" (no row yields it), "wrong owner" (another row yields it), "wrong layout" (not
      what this kind of index holds)

    ``map`` is the title of the table or index, ``slot`` its slot. ``key`` is that of the table's row, for an index
    record (the last group) the one in the index; bytes where it cannot be decoded.
    """

    kind: str
    map: str
    slot: int
    key: object
    what: str

    def __str__(self) -> str:
        """Return the problem on one line."""
        return f"{self.map}, key {shorten(self.key)}: {self.kind}: {self.what}"


class Findings:
    """Problems in the order in which they were found: the first ``limit`` of them, and the number of all."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.problems: list[Problem] = []
        self.total = 0

    def add(self, problem: Problem) -> None:
        """Take one more."""
        self.total += 1
        if len(self.problems) < self.limit:
            self.problems.append(problem)

    def extend(self, other: Findings) -> None:
        """Take over what another one found."""
        self.total += other.total
        self.problems += other.problems[: self.limit - len(self.problems)]
