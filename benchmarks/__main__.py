# SPDX-License-Identifier: MIT
"""``python -m benchmarks``: run and print."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report, runner
from benchmarks.lateness import LATENESS
from benchmarks.rows import ASYNCHRONOUS, SYNCHRONOUS

NAMES = [*(row.name for row in SYNCHRONOUS + ASYNCHRONOUS), LATENESS]


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="users, and as many events (at least 100)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each row is measured; the median counts")
    parser.add_argument("--only", metavar="NAME", action="append", help=f"one of {', '.join(NAMES)}; may be repeated")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there too")
    options = parser.parse_args()
    if options.records < 100 or options.rounds < 1:
        parser.error("too few records or rounds")
    options.only = set(options.only or NAMES)
    if unknown := options.only - set(NAMES):
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    return options


def _memory(records: int) -> str | None:
    """Return a directory in memory with room for all databases, if there is one: there the disk cannot disturb."""
    memory = Path("/dev/shm")
    room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free
    return str(memory) if room > 500_000_000 + 20_000 * records else None


def main() -> None:
    """Run the rows that were asked for."""
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)  # tables do not fit into a log's 80 columns
    synchronous = [row for row in SYNCHRONOUS if row.name in options.only]
    asynchronous = [row for row in ASYNCHRONOUS if row.name in options.only]
    for name, value in report.environment().items():
        console.print(f"{name}: {value}", highlight=False)
    console.print(f"{options.records} records, median of {options.rounds} rounds, synced where the row says durable")
    results: list[runner.Result] = []
    notes: list[str] = []
    lateness: list[dict[str, Any]] = []
    if synchronous:
        memory = _memory(options.records)
        console.print(f"files that are not synced: {memory or 'on the disk, which adds noise'}", highlight=False)
        with tempfile.TemporaryDirectory(prefix="zlmdb-bench-", dir=memory) as directory, console.status("") as status:
            results, notes = runner.run(synchronous, options.records, options.rounds, Path(directory), status.update)
        report.show(console, results)
        for note in notes:
            console.print(note, highlight=False)
    with tempfile.TemporaryDirectory(prefix="zlmdb-bench-") as directory:
        if options.only & {LATENESS, *(row.name for row in asynchronous)}:
            deferred, lateness = runner.run_asynchronous(
                asynchronous, LATENESS in options.only, options.rounds, Path(directory)
            )
            report.show_asynchronous(console, deferred)
            report.show_lateness(console, lateness)
            results += deferred
    if options.json:
        facts = report.as_json(results, lateness, notes, {"records": options.records, "rounds": options.rounds})
        options.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
