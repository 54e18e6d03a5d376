# SPDX-License-Identifier: MIT
"""A day of a small power plant: events of three kinds, most when the sun shines. The same seed gives the same day."""

from __future__ import annotations

from collections.abc import Iterator
from math import exp
from random import Random

import numpy as np

from zlmdb_eventhistory import Event, Pattern

START = int(np.datetime64("2026-06-21", "ns").astype(int))
HOUR = 3600 * 10**9
PANELS = 12
POWER = "plant..power"  # an empty part stands for any: the number of the panel
PATTERNS = [Pattern(POWER, "wildcard"), Pattern("plant.log", max_count=1_000)]


def sunshine(hour: float) -> float:
    """Return how bright it is, from 0 to 1."""
    return exp(-(((hour - 13) / 3.5) ** 2))


def watts(event: Event) -> float | None:
    """Return what an event of a panel's power says."""
    return event.args[0] if event.args else None


def events(seed: int, number: int) -> Iterator[Event]:
    """Generate so many events in the order of their times."""
    random = Random(seed)  # noqa: S311  nothing here is a secret
    times = sorted(START + int(random.triangular(0, 24, 13) * HOUR) for _ in range(number))
    for publication, time_ns in enumerate(times, start=1):
        panel = random.randrange(PANELS)
        bright = sunshine((time_ns - START) / HOUR)
        content: list[float | str]
        if random.random() < 0.02:
            topic, content = "plant.log", [random.choice(["cleaned", "cloud", "inverter warm"])]
        elif random.random() < 0.3:
            topic, content = f"plant.{panel}.temperature", [round(14 + 20 * bright + random.gauss(0, 1), 1)]
        else:
            topic, content = f"plant.{panel}.power", [round(max(400 * bright * random.gauss(1, 0.08), 0), 1)]
        yield Event(publication=publication, topic=topic, time_ns=time_ns, publisher=1000 + panel, args=content)
