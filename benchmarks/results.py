# SPDX-License-Identifier: MIT
"""What was measured, and whether it reaches the targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.rows import EVENTS_PER_SECOND, LATENESS, LATEST, P99, Cost, Row

Rounds = list[dict[str, float]]
"""What each contestant took, or needed, in each round."""


def middle(rounds: Rounds, name: str) -> float | None:
    """Return the median of one contestant; None if it took no part."""
    found = [taken[name] for taken in rounds if name in taken]
    return median(found) if found else None


def quotient(rounds: Rounds, above: str, below: str) -> float | None:
    """Return the median of the quotients of each round; None if there are none.

    Not the quotient of the medians: what slows the machine down for a while slows both in that round, and so
    leaves its quotient alone; what meets only one of them makes an outlier, which the median passes over.
    """
    found = [taken[above] / taken[below] for taken in rounds if taken.get(below) and above in taken]
    return median(found) if found else None


@dataclass
class Result:
    """The seconds of each contestant that has the row, in each round."""

    row: Row
    rounds: Rounds = field(default_factory=list)

    def seconds(self, name: str) -> float | None:
        """Return the median seconds of a contestant; None if it took no part."""
        return middle(self.rounds, name)

    def ratio(self, name: str) -> float | None:
        """Return how fast the contestant is, raw LMDB being 1; None if it took no part."""
        return quotient(self.rounds, "raw", name)

    @property
    def target(self) -> float:
        """The least ratio on this machine: lower by as much as the ratio of what is written by hand is."""
        by_hand = self.ratio("by hand")
        if by_hand is None or self.row.by_hand is None:
            return self.row.target
        return self.row.target * min(1.0, by_hand / self.row.by_hand)

    @property
    def missed(self) -> str | None:
        """What falls short of the target; None if nothing does."""
        ratio = self.ratio("ours")
        if ratio is not None and ratio >= self.target:
            return None
        found = "not measured" if ratio is None else f"{ratio:.3g}"
        return f"{self.row.name} ({self.row.title}): {found}, target {target_of(self)}"


def target_of(result: Result) -> str:
    """Say what the row is to reach, and, where that is less on this machine, what it is there."""
    target = f">= {result.row.target:g}"
    return target if result.target == result.row.target else f"{target} ({result.target:.2g} here)"


@dataclass
class Expense:
    """What each contestant needed of something that has a limit, in each round and in the unit of the cost."""

    cost: Cost
    rounds: Rounds = field(default_factory=list)

    def value(self, name: str) -> float | None:
        """Return the median of a contestant; None if it took no part."""
        return middle(self.rounds, name)

    def ratio(self, name: str) -> float | None:
        """Return how many times as much it needs as what is written by hand; None if that cannot be said."""
        return quotient(self.rounds, name, "by hand")

    @property
    def missed(self) -> str | None:
        """What exceeds the limit; None if nothing does."""
        value = self.value("ours")
        if value is not None and value <= self.cost.limit:
            return None
        found = "not measured" if value is None else f"{value:.3g} {self.cost.unit}"
        return f"{self.cost.name} ({self.cost.title}): {found}, target <= {self.cost.limit:g} {self.cost.unit}"


@dataclass
class Lateness:
    """How late the event loop was while one writer was at work."""

    title: str
    p99: float
    max: float
    events_per_second: float

    @property
    def ours(self) -> bool:
        """Whether this package is the writer; others have no targets."""
        return self.title.startswith("ours")

    @property
    def missed(self) -> str | None:
        """What exceeds a limit; None if nothing does, or there are no limits."""
        enough = self.p99 <= P99 and self.max <= LATEST and self.events_per_second >= EVENTS_PER_SECOND
        if enough or not self.ours:
            return None
        found = f"p99 {self.p99 * 1000:.2f} ms, max {self.max * 1000:.2f} ms, {self.events_per_second:,.0f} events/s"
        return f"{LATENESS} ({self.title}): {found}, target {lateness_target()}"


def lateness_target() -> str:
    """Return the three limits as text."""
    return f"p99 <= {P99 * 1000:g} ms, max <= {LATEST * 1000:g} ms, >= {EVENTS_PER_SECOND:,} events/s"


@dataclass
class Findings:
    """All that one run found."""

    results: list[Result] = field(default_factory=list)
    deferred: list[Result] = field(default_factory=list)
    lateness: list[Lateness] = field(default_factory=list)
    expenses: list[Expense] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def missed(self) -> list[str]:
        """Return what is short of its target, one line each."""
        return missed([*self.results, *self.deferred, *self.lateness, *self.expenses])


def missed(found: Iterable[Result | Expense | Lateness]) -> list[str]:
    """Return what is short of its target, one line each."""
    return [line for line in (one.missed for one in found) if line is not None]


def short(found: Sequence[Result]) -> list[Result]:
    """Return those that are short of their target."""
    return [one for one in found if one.missed is not None]
