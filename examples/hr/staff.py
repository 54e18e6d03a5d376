# SPDX-License-Identifier: MIT
"""What is done with the tables: each function works in the transaction it is given, and refuses before it writes."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from uuid import UUID, uuid4

from examples.hr.schema import HR, Department, Employee, SalaryChange
from zlmdb import Transaction

_HERE = Path(__file__).parent


class Refused(Exception):
    """It would break a rule of the company; the transaction that it leaves is rolled back."""


def cents(amount: Decimal) -> int:
    """Return an amount of money in cents, rounded half to even."""
    return int((amount * 100).to_integral_value(ROUND_HALF_EVEN))


def load(txn: Transaction, hr: HR) -> None:
    """Store the company of the CSV files beside this module."""
    for row in _rows("departments.csv"):
        department = Department(uuid4(), row["name"], cents(Decimal(row["budget"])))
        hr.departments[txn, department.oid] = department
    for row in _rows("staff.csv"):
        salary = Decimal(row["salary"])
        hire(txn, hr, row["name"], row["email"], row["department"], salary, row["manager"], row["badge"])


def _rows(name: str) -> list[dict[str, str]]:
    with (_HERE / name).open(newline="") as file:
        return list(csv.DictReader(file))


def hire(
    txn: Transaction,
    hr: HR,
    name: str,
    email: str,
    department: str,
    salary: Decimal,
    manager: str | None = None,
    badge: str | None = None,
) -> Employee:
    """Add an employee; department and manager must be there, the address and the badge must not."""
    employee = Employee(
        oid=uuid4(),
        name=name,
        email=email,
        department=find_department(txn, hr, department).oid,
        salary=cents(salary),
        manager=find(txn, hr, manager).oid if manager else None,
        badge=badge or None,
    )
    hr.employees.insert(txn, employee.oid, employee)
    _check_budget(txn, hr, employee.department)
    return employee


def find(txn: Transaction, hr: HR, email: str) -> Employee:
    """Return the employee with this address."""
    oid = hr.by_email[txn, email]
    if oid is None:
        raise Refused(f"nobody has the address {email!r}")
    return hr.employees.bound(txn)[oid]


def find_department(txn: Transaction, hr: HR, name: str) -> Department:
    """Return the department of this name."""
    oid = hr.departments_by_name[txn, name]
    if oid is None:
        known = sorted(hr.departments_by_name.select(txn, return_values=False))
        raise Refused(f"there is no department {name!r}, but {', '.join(known)}")
    return hr.departments.bound(txn)[oid]


def move(txn: Transaction, hr: HR, email: str, manager: str) -> None:
    """Give an employee another manager, who must not be one of those below."""
    employee, above = find(txn, hr, email), find(txn, hr, manager)
    if any(other.oid == above.oid for _, other in below(txn, hr, employee)):
        raise Refused(f"{above.name} works for {employee.name}")
    hr.employees[txn, employee.oid] = replace(employee, manager=above.oid)


# --- salaries


def give_raise(txn: Transaction, hr: HR, department: str, percent: Decimal, at: int | None = None) -> int:
    """Raise all salaries of a department, keep what changed, and return how many; within its budget or not at all.

    ``at`` is the time in nanoseconds since 1970, None for now.
    """
    oid = find_department(txn, hr, department).oid
    staff = [hr.employees.bound(txn)[member] for member in hr.by_department[txn, oid]]
    for employee in staff:
        after = cents(Decimal(employee.salary) / 100 * (1 + percent / 100))
        hr.employees[txn, employee.oid] = replace(employee, salary=after)
        change = SalaryChange(employee.salary, after, f"{percent:+} % for {department}")
        hr.salary_changes.insert(txn, (employee.oid, at or time.time_ns()), change)
    _check_budget(txn, hr, oid)
    return len(staff)


def history(txn: Transaction, hr: HR, email: str) -> list[SalaryChange]:
    """Return what changed in an employee's salary, oldest first."""
    employee = find(txn, hr, email)
    return list(hr.salary_changes.select(txn, prefix=(employee.oid,), return_keys=False))


def _check_budget(txn: Transaction, hr: HR, department: UUID) -> None:
    """Refuse what this transaction has made of a department's salaries, if that is too much."""
    budget, total = hr.departments.bound(txn)[department], payroll(txn, hr, department)
    if total > budget.budget:
        over = Decimal(total - budget.budget) / 100
        raise Refused(f"{budget.name} would be {over:,.2f} over its budget of {Decimal(budget.budget) / 100:,.2f}")


def payroll(txn: Transaction, hr: HR, department: UUID) -> int:
    """Return the sum of a department's salaries, in cents."""
    return sum(hr.employees.bound(txn)[oid].salary for oid in hr.by_department[txn, department])


# --- reports


def chart(txn: Transaction, hr: HR) -> Iterator[tuple[int, Employee]]:
    """Iterate over all employees, from the top down, with their depth."""
    heads = [employee for employee in hr.employees.bound(txn).values() if employee.manager is None]
    for head in sorted(heads, key=lambda employee: employee.name):
        yield from below(txn, hr, head)


def below(txn: Transaction, hr: HR, employee: Employee, depth: int = 0) -> Iterator[tuple[int, Employee]]:
    """Iterate over an employee and all who report to them, directly or not, with their depth."""
    yield depth, employee
    reports = [hr.employees.bound(txn)[oid] for oid in hr.by_manager[txn, employee.oid]]
    for report in sorted(reports, key=lambda report: report.name):
        yield from below(txn, hr, report, depth + 1)


@dataclass(frozen=True)
class Line:
    """A line of the report; amounts in cents."""

    department: str
    headcount: int
    payroll: int
    budget: int


def report(txn: Transaction, hr: HR) -> list[Line]:
    """Return headcount, salaries and budget of each department, by name."""
    departments = hr.departments.bound(txn)
    return [
        Line(name, len(hr.by_department[txn, oid]), payroll(txn, hr, oid), departments[oid].budget)
        for name, oid in hr.departments_by_name.select(txn)
    ]
