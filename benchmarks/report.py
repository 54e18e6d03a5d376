# SPDX-License-Identifier: MIT
"""The table of results, as text and as JSON."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lmdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.peers import VERSION
from benchmarks.runner import Result

COLUMNS = {"ours": "ours", "existing": "existing zlmdb", "by hand": "lmdb + cbor2 by hand", "sqlite3": "sqlite3"}


def environment() -> dict[str, str]:
    """Return the machine and the versions that the figures belong to."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "zlmdb": version("zlmdb"),
        "existing zlmdb": VERSION,
        "lmdb": f"{version('lmdb')} (LMDB {'.'.join(map(str, lmdb.version(lib_version=1)))})",
        "cbor2": version("cbor2"),
        "numpy": version("numpy"),
        "sqlite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def show(console: Console, results: Sequence[Result]) -> None:
    """Print the ratios to raw LMDB."""
    _show_ratios(console, "Speed as a ratio to raw LMDB", "raw LMDB", COLUMNS, results)


def show_asynchronous(console: Console, results: Sequence[Result]) -> None:
    """Print the ratios to raw LMDB behind deferToThread."""
    title = "Asynchronous speed as a ratio to raw LMDB + deferToThread"
    _show_ratios(console, title, "LMDB + deferToThread", {"ours": "ours"}, results)


def show_lateness(console: Console, measured: Sequence[dict[str, Any]]) -> None:
    """Print how late the event loop was."""
    title = "Event-loop lateness while batches of 10,000 events are committed"
    table = _table(title, "writer", "p99", "max", "events/s", "target")
    for found in measured:
        rate = f"{found['events_per_second']:,.0f}" if found["events_per_second"] else "-"
        target = "p99 <= 1 ms, max <= 5 ms, >= 200,000/s" if found["title"].startswith("ours") else "-"
        table.add_row(found["title"], f"{found['p99'] * 1000:.2f} ms", f"{found['max'] * 1000:.2f} ms", rate, target)
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _show_ratios(
    console: Console, title: str, reference: str, columns: dict[str, str], results: Sequence[Result]
) -> None:
    table = _table(title, "workload", reference, *columns.values(), "target")
    for result in results:
        cells = [_ratio(result, name) for name in columns]
        table.add_row(result.row.title, _milliseconds(result), *cells, f">= {result.row.target:g}")
    console.print(table)


def _milliseconds(result: Result) -> str:
    return f"{result.seconds['raw'] * 1000:.2f} ms"


def _ratio(result: Result, name: str) -> Text:
    ratio = result.ratio(name)
    if ratio is None:
        return Text("-")
    style = ("green" if ratio >= result.row.target else "red") if name == "ours" else ""
    return Text(f"{ratio:.2g}" if ratio < 0.1 else f"{ratio:.2f}", style)


def as_json(
    results: Sequence[Result], lateness: Sequence[dict[str, Any]], notes: Sequence[str], options: dict[str, Any]
) -> dict[str, Any]:
    """Return everything that was measured, as plain data."""
    rows = [
        {
            "name": result.row.name,
            "title": result.row.title,
            "target": result.row.target,
            "seconds": result.seconds,
            "ratios": {name: result.ratio(name) for name in result.seconds},
        }
        for result in results
    ]
    return {"environment": environment(), "options": options, "rows": rows, "lateness": lateness, "notes": notes}
