# SPDX-License-Identifier: MIT
"""What is to stay small: the import, opening a database of many tables, and the memory of a scan.

Each figure comes from a new process, which has nothing in its memory yet; the bytecode of all modules is there.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.data import SEED
from benchmarks.installing import EXISTING, ROOT, PeerFailed
from benchmarks.results import Expense, Rounds
from benchmarks.rows import Cost
from benchmarks.runner import MORE, Plan

_IMPORT: Final = """
import sys, time
sys.path[:0] = sys.argv[1:]
began = time.perf_counter()
import {}
print((time.perf_counter() - began) * 1000)
"""

Task = Callable[[], float]


def run(
    costs: Sequence[Cost], plan: Plan, scanned: int, directory: Path, progress: Callable[[str], object]
) -> tuple[list[Expense], list[str]]:
    """Measure the costs, ``scanned`` being the records of a scan; return them, and notes on what is missing."""
    notes = []
    existing = plan.peers
    try:
        if existing:
            EXISTING.install()
    except PeerFailed as error:
        existing = False
        notes.append(str(error))
    expenses = []
    for cost in costs:
        progress(cost.title)
        tasks = _tasks(cost.name, scanned, directory, existing=existing)
        if tasks is None:
            notes.append(f"{cost.title}: the system does not tell the anonymous memory of a process")
            continue
        for task in tasks.values():
            task()  # writes bytecode, makes tables, brings files into memory
        expense = Expense(cost, _measure(tasks, plan.rounds))
        if plan.again and expense.missed:
            expense.rounds += _measure(tasks, MORE * plan.rounds)
        expenses.append(expense)
    return expenses, notes


def _tasks(name: str, scanned: int, directory: Path, *, existing: bool) -> dict[str, Task] | None:
    """Return what each contestant is to run in each round; None if it cannot be measured here."""
    if name == "memory":
        if not Path("/proc/self/status").exists():
            return None
        file = directory / "scanned"
        _child("fill", file, str(scanned))
        return {"ours": partial(_child, "scan", file, str(scanned))}
    if name == "import":
        hand, package = _IMPORT.format("lmdb, cbor2"), _IMPORT.format("zlmdb")
        tasks: dict[str, Task] = {"ours": partial(_python, "-c", package), "by hand": partial(_python, "-c", hand)}
        peer = partial(_python, "-c", package, str(EXISTING.folder))
    else:
        tasks = {who: partial(_child, "open", directory / who, who) for who in ("ours", "by hand")}
        peer = partial(_child, "open", directory / "existing", "existing", str(EXISTING.folder))
    return {**tasks, "existing": peer} if existing else tasks


def _measure(tasks: dict[str, Task], rounds: int) -> Rounds:
    rng = random.Random(SEED)
    return [{name: tasks[name]() for name in rng.sample(sorted(tasks), len(tasks))} for _ in range(rounds)]


def _child(task: str, directory: Path, *arguments: str) -> float:
    return _python("-m", "benchmarks.children", task, str(directory), *arguments)


def _python(*arguments: str) -> float:
    """Return the number that a new process prints last."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout.split()[-1])
