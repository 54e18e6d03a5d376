# SPDX-License-Identifier: MIT
"""A small database to damage, and how to tell what a check found in it."""

import struct
from typing import Any

import zlmdb
from zlmdb.orm.check import Report

TABLE, EMAIL, ROLE, GROUP = 1, 2, 3, 4


class People(zlmdb.Schema):
    def attach(self, db: zlmdb.Database) -> None:
        self.people = zlmdb.MapOidCbor(TABLE)
        self.by_email = zlmdb.MapStringOid(EMAIL)
        self.by_role = zlmdb.MapStringOid(ROLE)
        self.groups = zlmdb.MapOidOidSet(GROUP)
        self.people.attach_index("email", self.by_email, lambda row: row["email"])
        self.people.attach_index("role", self.by_role, lambda row: row.get("role"), nullable=True, unique=False)


def row(number: int) -> dict[str, Any]:
    return {"email": f"e{number}", "role": f"r{number % 3}"} if number % 4 else {"email": f"e{number}"}


def raw(slot: int, key: bytes) -> bytes:
    return struct.pack(">H", slot) + key


def oid(number: int) -> bytes:
    return struct.pack(">Q", number)


def filled(db: zlmdb.Database) -> People:
    schema = db.attach(People)
    with db.begin(write=True) as txn:
        schema.people.put_many(txn, [(number, row(number)) for number in range(40)])
        schema.groups[txn, 1] = {1, 2, 3}
    return schema


def planted(db: zlmdb.Database, *changes: tuple[bytes, bytes | None]) -> None:
    with db.begin(write=True) as txn:
        for key, data in changes:
            txn.delete(key) if data is None else txn.put(key, data)


def told(report: Report) -> list[tuple[str, int, object]]:
    return [(problem.kind, problem.slot, problem.key) for problem in report.problems]


def contents(db: zlmdb.Database) -> dict[bytes, bytes]:
    with db.begin() as txn:
        return {bytes(key): bytes(data) for key, data in txn.cursor()}
