# SPDX-License-Identifier: MIT
"""The forms in which published programs and guides declare schemas."""

import json
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np

import zlmdb
from zlmdb import MapStringUuid, MapTimestampUuidCbor, MapUuidCbor, MapUuidFlatBuffers, MapUuidUuidSet, Schema, table


@table("7d1c8400-e29b-41d4-a716-446655440001")
class Company:
    oid: UUID
    name: str
    country: str


@table("7d1c8400-e29b-41d4-a716-446655440002")
class Employee:
    oid: UUID
    company_oid: UUID
    email: str
    name: str


class HRSchema(Schema):
    """Human resources, with fixed slots and indexes kept by hand."""

    def attach(self, db: zlmdb.Database) -> None:
        self.companies = MapUuidCbor(1, marshal=lambda obj: obj.__dict__, unmarshal=lambda data: Company(**data))
        self.employees = MapUuidCbor(2, marshal=lambda obj: obj.__dict__, parse=lambda data: Employee(**data))
        self.employees_by_company = MapUuidUuidSet(10)
        self.employees_by_email = MapStringUuid(11)


def test_fixed_slots_sets_and_functions(tmp_path: Path) -> None:
    db = zlmdb.Database(tmp_path / "hr.db")
    schema = HRSchema.attach(db)
    company = Company(oid=uuid4(), name="Acme", country="US")
    with db.begin(write=True) as txn:
        schema.companies[txn, company.oid] = company
        for email in ["alice@acme.com", "bob@acme.com"]:
            employee = Employee(oid=uuid4(), company_oid=company.oid, email=email, name=email.split("@")[0])
            schema.employees[txn, employee.oid] = employee
            schema.employees_by_company[txn, company.oid].add(employee.oid)
            schema.employees_by_email[txn, email] = employee.oid
    with db.begin() as txn:
        names = {
            schema.employees[txn, oid].name
            for oid in schema.employees_by_company[txn, schema.companies[txn, company.oid].oid]
        }
    assert names == {"alice", "bob"}
    db.close()


def test_a_bare_schema_object_with_a_database_that_is_entered_by_hand(tmp_path: Path) -> None:
    class User:
        def __init__(self, oid: UUID, name: str, email: str) -> None:
            self.oid, self.name, self.email = oid, name, email

    schema = zlmdb.Schema()
    schema.users = zlmdb.MapUuidCbor(1, marshal=lambda u: u.__dict__, parse=lambda d: User(**d))
    db = zlmdb.Database.open(tmp_path / "db")
    db.__enter__()
    user = User(uuid4(), "Alice", "alice@example.com")
    with db.begin(write=True) as txn:
        schema.users[txn, user.oid] = user
    with db.begin() as txn:
        assert vars(schema.users[txn, user.oid]) == vars(user)
    db.__exit__(None, None, None)
    assert not db.is_open


def test_a_declared_class_as_first_argument_and_functions_that_give_flatbuffers_bytes(tmp_path: Path) -> None:
    @table("e56ca7df-4cf2-4f38-a0ac-34d9be1ce9c3")
    class User:
        """A record class without fields."""

    @table(
        "a739ff38-d3ed-43c0-8a06-090ba7198c39",
        marshal=lambda obj: obj.build(),
        unmarshal=lambda data: Market.cast(data),
    )
    class Market:
        symbol = ""

        def build(self) -> bytes:
            return json.dumps(self.symbol).encode()

        @staticmethod
        def cast(data: bytes) -> "Market":
            market = Market()
            market.symbol = json.loads(bytes(data))
            return market

    class GlobalSchema(Schema):
        def attach(self, db: zlmdb.Database) -> None:
            self.users = MapUuidCbor(User)
            self.markets = MapUuidFlatBuffers(Market)

    with zlmdb.Database(tmp_path / "db") as db:
        schema = GlobalSchema().attach(db)
        market = Market()
        market.symbol = "BTC/USDT"
        with db.begin(write=True) as txn:
            schema.markets[txn, UUID(int=1)] = market
            assert schema.markets[txn, UUID(int=1)].symbol == "BTC/USDT"
            schema.users[txn, UUID(int=1)] = User()
            assert isinstance(schema.users[txn, UUID(int=1)], User)


def test_a_time_series_with_a_composite_key(tmp_path: Path) -> None:
    tickers = MapTimestampUuidCbor(slot=3)
    market, other = UUID(int=1), UUID(int=2)
    start = np.datetime64("2026-01-01", "ns")
    with zlmdb.Database(tmp_path / "db") as db:
        with db.begin(write=True) as txn:
            for minute in range(10):
                tickers[txn, (start + np.timedelta64(minute, "m"), market)] = {"price": minute}
                tickers[txn, (start + np.timedelta64(minute, "m"), other)] = {"price": -minute}
        with db.begin() as txn:
            found = [
                (ts, data["price"])
                for (ts, oid), data in tickers.select(
                    txn,
                    from_key=(start + np.timedelta64(2, "m"), market),
                    to_key=(start + np.timedelta64(5, "m"), market),
                )
                if oid == market
            ]
        assert found == [(start + np.timedelta64(minute, "m"), minute) for minute in (2, 3, 4)]
