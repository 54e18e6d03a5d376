# SPDX-License-Identifier: MIT
"""``python -m benchmarks``: measure, print, and compare with the targets."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks import costs, report, runner
from benchmarks.results import Findings
from benchmarks.rows import ASYNCHRONOUS, COSTS, LATENESS, SYNCHRONOUS

_GROUPS: Final = {
    "synchronous": [row.name for row in SYNCHRONOUS],
    "asynchronous": [*(row.name for row in ASYNCHRONOUS), LATENESS],
    "costs": [cost.name for cost in COSTS],
}
_NAMES: Final = [name for names in _GROUPS.values() for name in names]


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--records", type=int, default=100_000, help="users, and as many events (at least 100)")
    add("--counted", type=int, default=1_000_000, help="records of the row that counts them")
    add("--records-of-scan", type=int, default=1_000_000, help="records of the scan whose memory is measured")
    add("--rounds", type=int, default=5, help="times that each row is measured; the median counts")
    names = ", ".join([*_GROUPS, *_NAMES])
    add("--only", metavar="NAME", action="append", default=[], help=f"one of {names}; may be repeated")
    add(
        "--no-peers", action="store_true", help="leave out what would be installed: the existing zlmdb, plyvel, aiolmdb"
    )
    add("--check", action="store_true", help="measure what is short of its target again; fail if it still is")
    add("--output", metavar="FILE.md", type=Path, help="write the report there, and as JSON beside it")
    options = parser.parse_args(argv)
    if options.records < 100 or min(options.counted, options.records_of_scan, options.rounds) < 1:
        parser.error("too few records or rounds")
    if options.output and options.output.suffix != ".md":
        parser.error(f"--output {options.output}: its name is to end in .md")
    options.names = {name for given in options.only or _GROUPS for name in _GROUPS.get(given, [given])}
    if unknown := options.names - set(_NAMES):
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    return options


def _memory(options: argparse.Namespace) -> str | None:
    """Return a directory in memory with room for all databases, if there is one: there the disk cannot disturb."""
    memory = Path("/dev/shm")
    room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free
    needed = 500_000_000 + 20_000 * options.records + 2000 * options.counted + 200 * options.records_of_scan
    return str(memory) if room > needed else None


def measure(options: argparse.Namespace, console: Console) -> Findings:
    """Measure the rows that were asked for."""
    plan = runner.Plan(options.records, options.counted, options.rounds, not options.no_peers, options.check)
    synchronous = [row for row in SYNCHRONOUS if row.name in options.names]
    asynchronous = [row for row in ASYNCHRONOUS if row.name in options.names]
    small = [cost for cost in COSTS if cost.name in options.names]
    findings, memory = Findings(), _memory(options)
    if (load := os.getloadavg()[0]) > 1:  # what is bound by memory suffers more than what is bound by the processor
        findings.notes.append(f"the machine was busy, which changes ratios: a load of {load:.1f} at the start")
    if memory is None:
        findings.notes.append("there is no room in memory: the files are on the disk, which adds noise")
    with console.status("") as status:
        if synchronous:
            with tempfile.TemporaryDirectory(prefix="zlmdb-bench-", dir=memory) as directory:
                findings.results, notes = runner.run(synchronous, plan, Path(directory), status.update)
                findings.notes += notes
        if small:
            with tempfile.TemporaryDirectory(prefix="zlmdb-bench-", dir=memory) as directory:
                findings.expenses, notes = costs.run(
                    small, plan, options.records_of_scan, Path(directory), status.update
                )
                findings.notes += [note for note in notes if note not in findings.notes]
        if asynchronous or LATENESS in options.names:
            with tempfile.TemporaryDirectory(prefix="zlmdb-bench-") as directory:  # on the disk: some are synced
                findings.deferred, findings.lateness, notes = runner.run_asynchronous(
                    asynchronous, LATENESS in options.names, plan, Path(directory), status.update
                )
                findings.notes += notes
    return findings


def main(argv: Sequence[str]) -> int:
    """Run the rows that were asked for; return 1 if a target is missed that was to be checked."""
    options = arguments(argv)
    console = Console(width=None if sys.stdout.isatty() else 140)  # tables do not fit into a log's 80 columns
    about = {
        "command": shlex.join(["python", "-m", "benchmarks", *argv]),
        "size": f"{options.records:,} records ({options.counted:,} counted, {options.records_of_scan:,} scanned for "
        f"their memory), {options.rounds} rounds, synced only where the row says durable",
        **report.environment(),
    }
    for name, value in about.items():
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
    findings = measure(options, console)
    report.show(console, findings)
    if options.output:
        report.write(options.output, findings, about, _sizes(options))
    if not options.check:
        return 0
    for line in findings.within_noise():
        console.print(f"within noise: {line}", highlight=False, soft_wrap=True)
    missed = findings.missed()
    for line in missed:
        console.print(f"below its target: {line}", highlight=False, soft_wrap=True)
    return 1 if missed else 0


def _sizes(options: argparse.Namespace) -> dict[str, int]:
    return {name: getattr(options, name) for name in ("records", "counted", "records_of_scan", "rounds")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
