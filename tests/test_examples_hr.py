# SPDX-License-Identifier: MIT
"""The HR example: its rules hold in its transactions, and its program runs."""

import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import zlmdb
from examples.hr import staff
from examples.hr.__main__ import main
from examples.hr.schema import HR
from zlmdb.errors import UniqueViolation

ROOT = Path(__file__).parent.parent


@pytest.fixture
def hr(db: zlmdb.Database) -> HR:
    hr = db.attach(HR)
    with db.begin(write=True) as txn:
        staff.load(txn, hr)
    return hr


@pytest.fixture
def unchanged(db: zlmdb.Database, hr: HR) -> Iterator[None]:
    """Whatever the test tries, every table is afterwards as it was, and agrees with its indexes."""

    def contents() -> list[object]:
        with db.begin() as txn:
            records = [record for map_ in hr.maps().values() for record in map_.select(txn)]
            return [(key, set(value) if isinstance(value, zlmdb.LiveSet) else value) for key, value in records]

    before = contents()
    yield
    assert contents() == before
    assert db.check(hr).ok


def names(db: zlmdb.Database, hr: HR) -> list[str]:
    with db.begin() as txn:
        return [f"{depth} {employee.name.split()[0]}" for depth, employee in staff.chart(txn, hr)]


def test_the_chart_goes_from_the_top_down(db: zlmdb.Database, hr: HR) -> None:
    expected = "0 Ada, 1 Bruno, 2 Cleo, 3 Edda, 2 Dario, 1 Finn, 2 Gesa, 2 Hugo, 1 Ines, 2 Jost"
    assert names(db, hr) == expected.split(", ")


def test_a_move_takes_those_below_along(db: zlmdb.Database, hr: HR) -> None:
    with db.begin(write=True) as txn:
        staff.move(txn, hr, "cleo@example.com", "finn@example.com")
    expected = "0 Ada, 1 Bruno, 2 Dario, 1 Finn, 2 Cleo, 3 Edda, 2 Gesa, 2 Hugo, 1 Ines, 2 Jost"
    assert names(db, hr) == expected.split(", ")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("manager", ["bruno@example.com", "edda@example.com"])
def test_nobody_works_for_themselves(db: zlmdb.Database, hr: HR, manager: str) -> None:
    with pytest.raises(staff.Refused, match="works for Bruno"), db.begin(write=True) as txn:
        staff.move(txn, hr, "bruno@example.com", manager)


def test_a_raise_is_rounded_to_cents_and_kept(db: zlmdb.Database, hr: HR) -> None:
    with db.begin(write=True) as txn:
        assert staff.give_raise(txn, hr, "Sales", Decimal("1.5"), at=1) == 3
        assert staff.give_raise(txn, hr, "Sales", Decimal("-0.5"), at=2) == 3
    with db.begin() as txn:
        changes = staff.history(txn, hr, "hugo@example.com")
        assert [(change.before, change.after) for change in changes] == [(7_125_075, 7_231_951), (7_231_951, 7_195_791)]
        assert changes[0].reason == "+1.5 % for Sales"
        assert staff.find(txn, hr, "hugo@example.com").salary == 7_195_791
        assert staff.history(txn, hr, "ada@example.com") == []


@pytest.mark.usefixtures("unchanged")
def test_a_raise_beyond_the_budget_leaves_nothing_behind(db: zlmdb.Database, hr: HR) -> None:
    with pytest.raises(staff.Refused, match=r"Engineering would be 10,153\.02 over"), db.begin(write=True) as txn:
        staff.give_raise(txn, hr, "Engineering", Decimal(5))


@pytest.mark.usefixtures("unchanged")
def test_an_address_and_a_badge_belong_to_one_employee(db: zlmdb.Database, hr: HR) -> None:
    with pytest.raises(UniqueViolation, match="by_email"), db.begin(write=True) as txn:
        staff.hire(txn, hr, "Kim", "ada@example.com", "Sales", Decimal(1))
    with pytest.raises(UniqueViolation, match="by_badge"), db.begin(write=True) as txn:
        staff.hire(txn, hr, "Kim", "kim@example.com", "Sales", Decimal(1), badge="B-001")


def test_any_number_of_employees_have_no_badge(db: zlmdb.Database, hr: HR) -> None:
    with db.begin(write=True) as txn:
        staff.hire(txn, hr, "Kim", "kim@example.com", "Sales", Decimal(1), manager="finn@example.com")
    with db.begin() as txn:
        without = [employee for employee in hr.employees.bound(txn).values() if employee.badge is None]
        assert (len(without), hr.by_badge.count(txn)) == (4, 7)


def test_the_report_adds_up(db: zlmdb.Database, hr: HR) -> None:
    with db.begin() as txn:
        lines = staff.report(txn, hr)
        everything = sum(employee.salary for employee in hr.employees.bound(txn).values())
    assert [(line.department, line.headcount) for line in lines] == [
        ("Engineering", 4),
        ("Management", 1),
        ("Operations", 2),
        ("Sales", 3),
    ]
    assert sum(line.payroll for line in lines) == everything == 104_450_125


def test_the_program_keeps_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["--data", str(tmp_path / "data" / "hr.db"), *arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    assert run("raise", "Sales", "3.5") == (0, "3 salaries raised by 3.5 %\n", "")
    assert run("hire", "Kim", "kim@example.com", "Sales", "1500", "--manager", "finn@example.com")[0] == 0
    assert run("history", "finn@example.com")[1].split() == "109,900.00 -> 113,746.50 +3.5 % for Sales".split()
    assert "        Kim " in run("chart")[1]
    status, output, error = run("hire", "Kim", "kim@example.com", "Sales", "1500")
    assert (status, output) == (1, "")
    assert error.startswith("refused: index 'by_email'")
    assert "there is no department 'Magic', but Engineering, Management" in run("raise", "Magic", "1")[2]
    assert run()[1].splitlines()[4].split() == ["Sales", "4", "259,785.03", "260,000.00", "99.9%"]


@pytest.mark.parametrize("percent", ["x", "nan", "inf", "100", "1e999999999"])
def test_what_is_no_percentage_is_said_before_anything_is_made(tmp_path: Path, percent: str) -> None:
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path / "hr.db"), "raise", "Sales", percent])
    assert not (tmp_path / "hr.db").exists()


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.hr", "--data", str(tmp_path / "hr.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[1].split() == ["Engineering", "4", "462,050.50", "475,000.00", "97.3%"]
