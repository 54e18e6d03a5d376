# SPDX-License-Identifier: MIT
"""The day as a picture, if matplotlib is installed, and as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_WIDTH = 40  # characters of the longest bar
Columns = dict[str, Any]


def hours(time: Any) -> Any:
    """Return the hour of the day of each time."""
    return (time - time.astype("M8[D]")) // np.timedelta64(1, "h")


def text(events: Columns, power: Columns) -> str:
    """Return a bar for each hour: its number of events, and the mean power of its panels."""
    counts = np.bincount(hours(events["time"]), minlength=24)
    measured = np.bincount(hours(power["time"]), minlength=24)
    mean = np.bincount(hours(power["time"]), power["watts"], minlength=24) / np.maximum(measured, 1)
    bars = np.round(counts / max(counts.max(), 1) * _WIDTH).astype(int)
    rows = zip(range(24), counts, bars, mean, strict=True)
    return "\n".join(f"{hour:02}:00 {count:7,} {'#' * bar:{_WIDTH}} {watts:6.1f} W" for hour, count, bar, watts in rows)


def picture(events: Columns, power: Columns, output: Path) -> None:
    """Draw the events of each quarter of an hour, and the power of each panel; ImportError without matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")  # draws into files, and needs no screen
    from matplotlib import pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(10, 6), layout="constrained")
    day = events["time"][0].astype("M8[D]")
    above.hist(events["time"], bins=day + np.arange(97) * np.timedelta64(15, "m"))
    above.set_ylabel("events in 15 minutes")
    below.scatter(power["time"], power["watts"], s=2, c=power["publisher"], cmap="viridis")
    below.set_ylabel("watts of a panel")
    below.tick_params("x", rotation=30)
    figure.suptitle(f"{len(events['time']):,} events of {day}")
    figure.savefig(output)
    plt.close(figure)
