# SPDX-License-Identifier: MIT
"""The report of a run: as tables on the console, and as files in Markdown and JSON."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lmdb
from rich.console import Console
from rich.table import Table

from benchmarks.installing import AIOLMDB, EXISTING, PLYVEL
from benchmarks.results import (
    Expense,
    Findings,
    Found,
    Lateness,
    Result,
    is_within_noise,
    lateness_target,
    limit_of,
    target_of,
)

COLUMNS = {
    "ours": "ours",
    "existing": "existing zlmdb",
    "by hand": "lmdb + cbor2 by hand",
    "sqlite3": "sqlite3",
    "plyvel": "plyvel",
}
ASYNCHRONOUS_COLUMNS = {
    "ours": "ours",
    "by hand": "by hand",
    "adbapi": "adbapi",
    "ours, asyncio": "ours, asyncio",
    "aiolmdb": "aiolmdb",
    "lmdb.aio": "lmdb.aio",
}
_MISSED = "MISSED"
_WITHIN_NOISE = "within noise"
_STYLES = {_MISSED: "red", _WITHIN_NOISE: "yellow"}


@dataclass(frozen=True)
class Sheet:
    """A table of text: the first column is the name of the row, the last one says whether the target is met."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def environment() -> dict[str, str]:
    """Return the machine and the versions that the figures belong to."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[0]:.2f} at the start",
        "date": datetime.now(UTC).isoformat(" ", "minutes"),
        "python": platform.python_version(),
        "zlmdb": version("zlmdb"),
        "existing zlmdb": EXISTING.version,
        "lmdb": f"{version('lmdb')} (LMDB {'.'.join(map(str, lmdb.version(lib_version=1)))})",
        "cbor2": version("cbor2"),
        "flatbuffers": version("flatbuffers"),
        "numpy": version("numpy"),
        "twisted": version("twisted"),
        "sqlite": sqlite3.sqlite_version,
        "plyvel": PLYVEL.version,
        "aiolmdb": AIOLMDB.version,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def sheets(findings: Findings) -> list[Sheet]:
    """Return the tables of what was measured."""
    deferred = "LMDB + deferToThread"
    tables = [
        _ratios("Speed as a ratio to raw LMDB", "raw LMDB", COLUMNS, findings.results),
        _ratios(f"Asynchronous speed as a ratio to raw {deferred}", deferred, ASYNCHRONOUS_COLUMNS, findings.deferred),
        _late("Event-loop lateness while batches of 10,000 events are committed", findings.lateness),
        _costs("What is to stay small, also as a ratio to lmdb and cbor2 by hand", findings.expenses),
    ]
    return [sheet for sheet in tables if sheet.rows]


def _ratios(title: str, reference: str, columns: dict[str, str], results: Sequence[Result]) -> Sheet:
    rows: list[tuple[str, ...]] = []
    for result in results:
        ratios = [_number(result.ratio(name)) for name in columns]
        seconds = result.seconds("raw") or 0.0
        rows.append((result.row.title, _amount(seconds * 1000, "ms"), *ratios, target_of(result), _met(result)))
    return Sheet(title, ("workload", reference, *columns.values(), "target", ""), rows)


def _late(title: str, measured: Sequence[Lateness]) -> Sheet:
    rows: list[tuple[str, ...]] = []
    for late in measured:
        rate = f"{late.events_per_second:,.0f}" if late.events_per_second else "-"
        verdict = (lateness_target(late), _met(late)) if late.ours else ("-", "")
        rows.append((late.title, f"{late.p99 * 1000:.2f} ms", f"{late.max * 1000:.2f} ms", rate, *verdict))
    return Sheet(title, ("writer", "p99", "max", "events/s", "target", ""), rows)


def _costs(title: str, expenses: Sequence[Expense]) -> Sheet:
    names = {name: COLUMNS[name] for name in ("ours", "existing", "by hand")}
    rows: list[tuple[str, ...]] = []
    for expense in expenses:
        values = [_value(expense, name) for name in names]
        rows.append((expense.cost.title, *values, _number(expense.ratio("ours")), limit_of(expense), _met(expense)))
    return Sheet(title, ("what", *names.values(), "ours : by hand", "target", ""), rows)


def _met(found: Found) -> str:
    if is_within_noise(found):
        return _WITHIN_NOISE
    return _MISSED if found.missed else "met"


def _number(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    digits = 3 if ratio < 0.1 else 2 if ratio < 10 else 0
    return f"{ratio:,.{digits}f}"


def _value(expense: Expense, name: str) -> str:
    value = expense.value(name)
    return "-" if value is None else _amount(value, expense.cost.unit)


def _amount(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def show(console: Console, findings: Findings) -> None:
    """Print the tables and the notes."""
    for sheet in sheets(findings):
        table = Table(*sheet.columns, title=sheet.title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in sheet.rows:
            table.add_row(*row, style=_STYLES.get(row[-1]))
        console.print(table)
    for note in findings.notes:
        console.print(note, highlight=False)


def markdown(findings: Findings, about: dict[str, str]) -> str:
    """Return the whole report as Markdown."""
    lines = ["# Results of the benchmarks", "", *(f"- {name}: {value}" for name, value in about.items()), ""]
    lines += [
        "A ratio above 1 is faster than the reference. Each is the median over the rounds of the ratio within a round;",
        "absolute times say only how large the work was. Rows short of their target were measured a second time with",
        "twice the rounds, if the command says `--check`, and all rounds count. Where code written by hand has a lower",
        "ratio than it had on the machine of the targets, the target is lower by as much; the column says both.",
        "So it is with the lateness under code written by hand, and with what the existing package needs to be opened.",
        "What is short of it by less than the standard error of the median is within noise.",
        "",
    ]
    for sheet in sheets(findings):
        lines += [f"## {sheet.title}", "", _line(sheet.columns), _line(["---"] + ["--:"] * (len(sheet.columns) - 1))]
        lines += [*map(_line, sheet.rows), ""]
    short = [f"- {_MISSED}: {line}" for line in findings.missed()]
    short += [f"- {_WITHIN_NOISE}: {line}" for line in findings.within_noise()]
    lines += ["## Targets", "", *(short or ["All that was measured is met."]), ""]
    if findings.notes:
        lines += ["## Notes", "", *(f"- {note}" for note in findings.notes), ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_json(findings: Findings, about: dict[str, str], options: dict[str, Any]) -> dict[str, Any]:
    """Return everything that was measured, as plain data."""
    return {
        "about": about,
        "options": options,
        "rows": [_result(result) for result in findings.results],
        "asynchronous": [_result(result) for result in findings.deferred],
        "lateness": [_lateness(late) for late in findings.lateness],
        "costs": [_expense(expense) for expense in findings.expenses],
        "missed": findings.missed(),
        "within_noise": findings.within_noise(),
        "notes": findings.notes,
    }


def _result(result: Result) -> dict[str, Any]:
    ratios = {name: result.ratio(name) for name in _names(result)}
    verdict = {"met": result.missed is None, "within_noise": result.within_noise, "uncertainty": result.uncertainty}
    return {**asdict(result), "ratios": ratios, "target": result.target, **verdict}


def _lateness(late: Lateness) -> dict[str, Any]:
    return {**asdict(late), "least": late.least, "met": late.missed is None}


def _expense(expense: Expense) -> dict[str, Any]:
    values = {name: expense.value(name) for name in _names(expense)}
    return {**asdict(expense), "values": values, "ratio": expense.ratio("ours"), "met": expense.missed is None}


def _names(found: Result | Expense) -> list[str]:
    return sorted({name for taken in found.rounds for name in taken})


def write(file: Path, findings: Findings, about: dict[str, str], options: dict[str, Any]) -> None:
    """Write the report to ``file`` in Markdown, and as JSON beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(markdown(findings, about))
    file.with_suffix(".json").write_text(json.dumps(as_json(findings, about, options), indent=2) + "\n")
