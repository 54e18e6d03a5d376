# SPDX-License-Identifier: MIT
"""Run it: ``python -m examples.hr``, ``python -m examples.hr --help`` for what else it does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import zlmdb
from examples.hr import staff
from examples.hr.schema import HR
from zlmdb import Transaction


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 if it was done, 1 if it was refused."""
    options = _options(arguments)
    try:
        options.data.parent.mkdir(parents=True, exist_ok=True)
        with zlmdb.Database(options.data) as db:
            hr = db.attach(HR)
            with db.begin(write=True) as txn:
                if not hr.departments.count(txn):
                    staff.load(txn, hr)
            with db.begin(write=options.command in ("hire", "move", "raise")) as txn:
                lines = list(_run(txn, hr, options))
    except (staff.Refused, zlmdb.ZlmdbError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))  # what was done is told once it is committed
    return 0


def _run(txn: Transaction, hr: HR, options: argparse.Namespace) -> Iterator[str]:
    match options.command:
        case "hire":
            given = options.name, options.email, options.department, options.salary, options.manager, options.badge
            yield f"hired {staff.hire(txn, hr, *given).name}"
        case "move":
            staff.move(txn, hr, options.email, options.manager)
            yield f"{options.email} reports to {options.manager}"
        case "raise":
            count = staff.give_raise(txn, hr, options.department, options.percent)
            yield f"{count} salaries raised by {options.percent} %"
        case "history":
            for change in staff.history(txn, hr, options.email):
                yield f"{_money(change.before)} -> {_money(change.after)}  {change.reason}"
        case "chart":
            for depth, employee in staff.chart(txn, hr):
                yield f"{'    ' * depth + employee.name:28} {employee.badge or 'no badge'}"
        case _:
            yield from _report(txn, hr)


def _report(txn: Transaction, hr: HR) -> Iterator[str]:
    yield f"{'department':14}{'staff':>6}{'payroll':>16}{'budget':>16}{'used':>8}"
    for line in staff.report(txn, hr):
        used = line.payroll / line.budget
        yield f"{line.department:14}{line.headcount:6}{_money(line.payroll)}{_money(line.budget)}{used:8.1%}"


def _money(amount: int) -> str:
    return f"{Decimal(amount) / 100:16,.2f}"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.hr", description="The people of a small company.")
    parser.add_argument("--data", type=Path, default=Path("build/hr.db"), help="the database; made if it is not there")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("report", help="headcount, salaries and budget by department (without a command, too)")
    commands.add_parser("chart", help="who reports to whom")
    hire = commands.add_parser("hire", help="add an employee")
    for name in ("name", "email", "department"):
        hire.add_argument(name)
    hire.add_argument("salary", type=_decimal(0, 10**7), help="a year")
    hire.add_argument("--manager", help="their address")
    hire.add_argument("--badge")
    move = commands.add_parser("move", help="give an employee another manager")
    move.add_argument("email")
    move.add_argument("manager", help="their address")
    raises = commands.add_parser("raise", help="raise the salaries of a department, within its budget or not at all")
    raises.add_argument("department")
    raises.add_argument("percent", type=_decimal(-100, 100))
    history = commands.add_parser("history", help="what changed in a salary")
    history.add_argument("email")
    return parser.parse_args(arguments)


def _decimal(low: int, high: int) -> Callable[[str], Decimal]:
    def parse(text: str) -> Decimal:
        try:
            number = Decimal(text)
            if low < number < high:
                return number
        except InvalidOperation:  # no number, or none that compares
            pass
        raise argparse.ArgumentTypeError(f"expected a number between {low} and {high}, got {text!r}")

    return parse


if __name__ == "__main__":
    sys.exit(main())
