# SPDX-License-Identifier: MIT
"""The tables. Money is counted in cents, so that sums are exact."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import zlmdb
from zlmdb import MapStringUuid, MapUuidCbor, MapUuidTimestampCbor, MapUuidUuidSet, Schema, table


@dataclass(frozen=True)
class Department:
    oid: UUID
    name: str
    budget: int  # cents a year


@dataclass(frozen=True)
class Employee:
    oid: UUID
    name: str
    email: str
    department: UUID
    salary: int  # cents a year
    manager: UUID | None = None  # nobody is above the head of the company
    badge: str | None = None  # until one is issued


@dataclass(frozen=True)
class SalaryChange:
    before: int
    after: int
    reason: str


@table("c3b5a0de-21f1-4b8e-9d0b-7f5f1c6e0001")
class Departments(MapUuidCbor[Department]): ...


@table("c3b5a0de-21f1-4b8e-9d0b-7f5f1c6e0002")
class DepartmentsByName(MapStringUuid): ...


@table("c3b5a0de-21f1-4b8e-9d0b-7f5f1c6e0003")
class Employees(MapUuidCbor[Employee]): ...


@table("c3b5a0de-21f1-4b8e-9d0b-7f5f1c6e0004")
class EmployeesByEmail(MapStringUuid): ...


@table("c3b5a0de-21f1-4b8e-9d0b-7f5f1c6e0005")
class EmployeesByBadge(MapStringUuid): ...


@table("c3b5a0de-21f1-4b8e-9d0b-7f5f1c6e0006")
class EmployeesByDepartment(MapUuidUuidSet): ...


@table("c3b5a0de-21f1-4b8e-9d0b-7f5f1c6e0007")
class EmployeesByManager(MapUuidUuidSet): ...


@table("c3b5a0de-21f1-4b8e-9d0b-7f5f1c6e0008")
class SalaryChanges(MapUuidTimestampCbor[SalaryChange]):
    """By employee and time, so that one range holds one employee's history in order."""


class HR(Schema):
    """Each index is kept by every write to its table, in the same transaction."""

    departments: Departments
    departments_by_name: DepartmentsByName
    employees: Employees
    by_email: EmployeesByEmail
    by_badge: EmployeesByBadge
    by_department: EmployeesByDepartment
    by_manager: EmployeesByManager
    salary_changes: SalaryChanges

    def attach(self, db: zlmdb.Database) -> None:
        self.departments = db.attach_table(Departments)
        self.departments_by_name = db.attach_table(DepartmentsByName)
        self.departments.attach_index("by_name", self.departments_by_name, lambda department: department.name)

        self.employees = db.attach_table(Employees)
        self.by_email = db.attach_table(EmployeesByEmail)
        self.by_badge = db.attach_table(EmployeesByBadge)
        self.by_department = db.attach_table(EmployeesByDepartment)
        self.by_manager = db.attach_table(EmployeesByManager)
        self.employees.attach_index("by_email", self.by_email, lambda employee: employee.email)
        self.employees.attach_index("by_badge", self.by_badge, lambda employee: employee.badge, nullable=True)
        self.employees.attach_index("by_department", self.by_department, lambda e: e.department, unique=False)
        self.employees.attach_index("by_manager", self.by_manager, lambda e: e.manager, nullable=True, unique=False)

        self.salary_changes = db.attach_table(SalaryChanges)
