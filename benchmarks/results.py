# SPDX-License-Identifier: MIT
"""What was measured, and whether it reaches the targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import median, quantiles
from typing import Final

from benchmarks.rows import EVENTS_BY_HAND, EVENTS_PER_SECOND, LATENESS, LATEST, P99, P99_BY_HAND, Cost, Row

_LARGEST_UNCERTAINTY: Final = 0.03  # of the target: what is noisier than that does not excuse more

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
    found = quotients(rounds, above, below)
    return median(found) if found else None


def quotients(rounds: Rounds, above: str, below: str) -> list[float]:
    """Return the quotient of each round that has both."""
    return [taken[above] / taken[below] for taken in rounds if taken.get(below) and above in taken]


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
    def uncertainty(self) -> float:
        """How far the ratio, which is a median, may be from the true one because the rounds differ.

        1.25 * s / sqrt(n) is the usual standard error of the median of n rounds, s being their standard deviation,
        and half of their interquartile range is a careful guess at s (that of a normal distribution is 1 / 1.35 of
        the range). It is at most 3 % of the target, and 0 for a single round.
        """
        ratios = quotients(self.rounds, "raw", "ours")
        if len(ratios) < 2:
            return 0.0
        first, _, third = quantiles(ratios, n=4, method="inclusive")
        return min(1.25 * (third - first) / 2 / sqrt(len(ratios)), _LARGEST_UNCERTAINTY * self.target)

    @property
    def missed(self) -> str | None:
        """What falls short of the target; None if nothing does."""
        ratio = self.ratio("ours")
        if ratio is not None and ratio >= self.target:
            return None
        found = "not measured" if ratio is None else f"{ratio:.3g}"
        return f"{self.row.name} ({self.row.title}): {found}, target {target_of(self)}"

    @property
    def within_noise(self) -> bool:
        """Whether it falls short of the target by less than its uncertainty, which says nothing."""
        ratio = self.ratio("ours")
        return ratio is not None and 0 < self.target - ratio < self.uncertainty


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
    def limit(self) -> float:
        """The most on this machine: more by as much as the existing package needs more."""
        existing = self.value("existing")
        if existing is None or self.cost.existing is None:
            return self.cost.limit
        return self.cost.limit * max(1.0, existing / self.cost.existing)

    @property
    def missed(self) -> str | None:
        """What exceeds the limit; None if nothing does."""
        value = self.value("ours")
        if value is not None and value <= self.limit:
            return None
        found = "not measured" if value is None else f"{value:.3g} {self.cost.unit}"
        return f"{self.cost.name} ({self.cost.title}): {found}, target {limit_of(self)}"


def limit_of(expense: Expense) -> str:
    """Say what the limit of a cost is, and, where it is more on this machine, what it is there."""
    limit = f"<= {expense.cost.limit:g} {expense.cost.unit}"
    return limit if expense.limit == expense.cost.limit else f"{limit} ({expense.limit:.3g} here)"


@dataclass
class Lateness:
    """How late the event loop was while one writer was at work.

    ``by_hand`` is the rate of the writer that is written by hand, if it was measured in the same run, and
    ``by_hand_p99`` how late the loop was then.
    """

    title: str
    p99: float
    max: float
    events_per_second: float
    by_hand: float | None = None
    by_hand_p99: float | None = None

    @property
    def ours(self) -> bool:
        """Whether this package is the writer; others have no targets."""
        return self.title.startswith("ours")

    @property
    def least(self) -> float:
        """The least events per second on this machine: fewer by as much as what is written by hand writes."""
        return EVENTS_PER_SECOND * (1.0 if self.by_hand is None else min(1.0, self.by_hand / EVENTS_BY_HAND))

    @property
    def latest(self) -> float:
        """How late the loop may be on this machine, but for one time in a hundred: later as code written by hand is."""
        return P99 * (1.0 if self.by_hand_p99 is None else max(1.0, self.by_hand_p99 / P99_BY_HAND))

    @property
    def missed(self) -> str | None:
        """What exceeds a limit; None if nothing does, or there are no limits."""
        enough = self.p99 <= self.latest and self.max <= LATEST and self.events_per_second >= self.least
        if enough or not self.ours:
            return None
        found = f"p99 {self.p99 * 1000:.2f} ms, max {self.max * 1000:.2f} ms, {self.events_per_second:,.0f} events/s"
        return f"{LATENESS} ({self.title}): {found}, target {lateness_target(self)}"


def lateness_target(late: Lateness) -> str:
    """Say what the three limits are, and, where they are others on this machine, what they are there."""
    p99 = "" if late.latest == P99 else f" ({late.latest * 1000:.2g} here)"
    least = "" if late.least == EVENTS_PER_SECOND else f" ({late.least:,.0f} here)"
    return f"p99 <= {P99 * 1000:g} ms{p99}, max <= {LATEST * 1000:g} ms, >= {EVENTS_PER_SECOND:,} events/s{least}"


Found = Result | Expense | Lateness


@dataclass
class Findings:
    """All that one run found."""

    results: list[Result] = field(default_factory=list)
    deferred: list[Result] = field(default_factory=list)
    lateness: list[Lateness] = field(default_factory=list)
    expenses: list[Expense] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def missed(self) -> list[str]:
        """Return what is short of its target, one line each, without what is within noise."""
        return missed(one for one in self._all() if not is_within_noise(one))

    def within_noise(self) -> list[str]:
        """Return what is short of its target by so little that it says nothing, one line each."""
        return missed(one for one in self._all() if is_within_noise(one))

    def _all(self) -> list[Found]:
        return [*self.results, *self.deferred, *self.lateness, *self.expenses]


def missed(found: Iterable[Found]) -> list[str]:
    """Return what is short of its target, one line each."""
    return [line for line in (one.missed for one in found) if line is not None]


def is_within_noise(found: Found) -> bool:
    """Tell whether it is a ratio that is short of its target by so little that it says nothing."""
    return isinstance(found, Result) and found.within_noise


def short(found: Sequence[Result]) -> list[Result]:
    """Return those that are short of their target."""
    return [one for one in found if one.missed is not None]
