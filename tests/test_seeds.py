# SPDX-License-Identifier: MIT
"""The code of two guides to the published package runs, block by block, and does what their texts say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

import zlmdb
from tests.seeds.blocks import TEXTS, indented, programs, substituted, substitutions
from zlmdb import MapStringUuid, MapUuidCbor, Schema, table
from zlmdb.codecs.flatbuffers import STRING, U64, UUID_BYTES, FlatRecord, flat

pytestmark = pytest.mark.usefixtures("no_fixed_slots")

BLOCKS = programs()
TESTED: list[tuple[str, int]] = []


class Program:
    """Blocks of one text that belong together, run one after the other in one namespace."""

    def __init__(self, text: str, *numbers: int) -> None:
        self.names: dict[str, Any] = {"__name__": "seed"}
        self.blocks = [(text, number) for number in numbers]

    def run(self, /, **names: Any) -> None:
        """Run the next block with what the text presumes."""
        self.names |= names
        place = self.blocks.pop(0)
        exec(compile(BLOCKS[place], "{}.txt, block {}".format(*place), "exec", dont_inherit=True), self.names)

    def __getitem__(self, name: str) -> Any:
        return self.names[name]


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    made = Program(*request.param)
    yield made
    assert not made.blocks, "a block was not run"


def of(text: str, *numbers: int) -> Callable[[Any], Any]:
    """Make a test one of these blocks."""
    TESTED.extend((text, number) for number in numbers)
    name = "-".join(map(str, (text, *numbers)))
    return pytest.mark.parametrize("program", [(text, *numbers)], ids=[name], indirect=True)


class User:
    """The plain class that the guides presume."""

    def __init__(self, oid: UUID, name: str, email: str) -> None:
        self.oid, self.name, self.email = oid, name, email


class FlatUser(FlatRecord):
    """Any record stored as FlatBuffers."""

    name: str | None = flat(STRING)


class Market(FlatRecord):
    """The market that the guides presume."""

    oid: UUID | None = flat(UUID_BYTES)
    exchange_oid: UUID | None = flat(UUID_BYTES)
    symbol: str | None = flat(STRING)
    price: int = flat(U64)


# --- the guide to the API


@of("orm-api", 1)
def test_the_first_program_stores_a_user(program: Program, tmp_path: Path) -> None:
    program.run(User=User, path=tmp_path / "db")
    program["db"].close()
    users = MapUuidCbor[Any](1)  # as the file has them, without the functions of the application
    with zlmdb.Database(tmp_path / "db") as db, db.begin() as txn:
        ((key, stored),) = users.select(txn)
    assert key == program["user"].oid
    assert {**stored, "oid": key} == {"oid": key, "name": "Alice", "email": "alice@example.com"}


@of("orm-api", 2)
def test_one_record_in_three_serialization_formats(program: Program, db: zlmdb.Database) -> None:
    program.run(User=User, FlatUser=FlatUser)
    oid = uuid4()
    with db.begin(write=True) as txn:
        program["users_json"][txn, oid] = {"name": "Alice"}
        program["users_cbor"][txn, oid] = User(oid, "Alice", "alice@example.com")
        program["users_fbs"][txn, oid] = FlatUser(name="Alice")
    with db.begin() as txn:
        assert zlmdb.MapUuidBytes(1)[txn, oid] == b'{"name":"Alice"}'  # "human-readable"
        assert program["users_json"][txn, oid] == {"name": "Alice"}
        assert vars(program["users_cbor"][txn, oid]) == vars(User(oid, "Alice", "alice@example.com"))
        assert program["users_fbs"][txn, oid] == FlatUser(name="Alice")


@of("orm-api", 3)
def test_a_composite_key_makes_a_time_series(program: Program, db: zlmdb.Database) -> None:
    class Trade(FlatRecord):
        price: int = flat(U64)

    market, trade_id = UUID(int=1), UUID(int=2)
    program.run(Trade=Trade, db=db, market_id=market, timestamp=2000, trade_id=trade_id, trade=Trade(price=20))
    trades = program["trades"]
    with db.begin(write=True) as txn:
        trades[txn, (market, 1000, trade_id)] = Trade(price=10)
        trades[txn, (UUID(int=9), 1500, trade_id)] = Trade(price=90)
    with db.begin() as txn:
        series = [(int(time), trade.price) for (_, time, _), trade in trades.select(txn, prefix=(market,))]
    assert series == [(1000, 10), (2000, 20)]


@of("orm-api", 4)
def test_an_index_is_kept_with_its_table(program: Program, db: zlmdb.Database) -> None:
    @dataclass
    class Account:
        email: str

    @table("5d2f8f0a-3f3c-4c53-9a5a-9f4f2f9b0001")
    class Users(MapUuidCbor[Account]): ...

    @table("5d2f8f0a-3f3c-4c53-9a5a-9f4f2f9b0002")
    class IndexUsersByEmail(MapStringUuid): ...

    schema: Any = Schema()
    program.run(schema=schema, db=db, Users=Users, IndexUsersByEmail=IndexUsersByEmail)
    oid = uuid4()
    with db.begin(write=True) as txn:
        schema.users[txn, oid] = Account("alice@example.com")
        assert schema.idx_users_by_email[txn, "alice@example.com"] == oid
        schema.users[txn, oid] = Account("alice@example.org")
        assert schema.idx_users_by_email[txn, "alice@example.com"] is None
        assert schema.idx_users_by_email[txn, "alice@example.org"] == oid


# --- the examples


def slots(db: zlmdb.Database) -> dict[int, str]:
    """Return what the file's catalogue has: the names of the attributes by slot."""
    return {entry["slot"]: entry["name"].rpartition(".")[2] for entry in db.stats(include_slots=True)["slots"]}


@of("orm-examples", 1)
def test_attach_enters_the_tables_of_a_schema_into_the_file(program: Program, db: zlmdb.Database) -> None:
    program.run()
    program["CookieStore"].attach(db)
    assert slots(db) == {1: "cookies_by_authid", 2: "cookies_by_cookie_id", 100: "idx_cookies_by_modified"}


@of("orm-examples", 2, 3)
def test_a_declared_class_is_a_table_and_says_how_it_is_stored(program: Program, db: zlmdb.Database) -> None:
    program.run()
    user, market = program["User"], program["Market"]

    def cast(data: bytes) -> Any:
        made = market()
        made.symbol = bytes(data).decode()
        return made

    market.build, market.cast = lambda self: self.symbol.encode(), cast  # what the text leaves to `pass`
    program.run()
    schema = program["GlobalSchema"]().attach(db)
    with db.begin(write=True) as txn:
        schema.users[txn, UUID(int=1)] = user()
        schema.markets[txn, UUID(int=1)] = cast(b"BTC/USDT")
    with db.begin() as txn:
        assert isinstance(schema.users[txn, UUID(int=1)], user)
        assert schema.markets[txn, UUID(int=1)].symbol == "BTC/USDT"
    oids = {entry["oid"] for entry in db.stats(include_slots=True)["slots"]}
    assert oids == {"e56ca7df-4cf2-4f38-a0ac-34d9be1ce9c3", "a739ff38-d3ed-43c0-8a06-090ba7198c39"}


@of("orm-examples", 4)
def test_cbor_with_the_functions_of_the_application(program: Program, db: zlmdb.Database) -> None:
    class Cookie:
        def __init__(self, value: str, authid: str | None) -> None:
            self.value, self.authid = value, authid

    schema: Any = Schema()
    program.run(self=schema, Cookie=Cookie)
    with db.begin(write=True) as txn:
        schema.cookies[txn, UUID(int=1)] = Cookie("x" * 24, None)
        found = schema.cookies[txn, UUID(int=1)]
    assert isinstance(found, Cookie)
    assert vars(found) == {"value": "x" * 24, "authid": None}


@of("orm-examples", 5)
def test_flatbuffers_with_the_functions_of_a_class(program: Program, db: zlmdb.Database) -> None:
    schema: Any = Schema()
    program.run(self=schema, Market=Market)
    market = Market(oid=uuid4(), symbol="BTC/USDT", price=6_400_012)
    with db.begin(write=True) as txn:
        schema.markets[txn, market.oid] = market
        assert schema.markets[txn, market.oid] == market


@of("orm-examples", 6, 7)
def test_a_set_finds_the_markets_of_an_exchange(program: Program, db: zlmdb.Database) -> None:
    program.run(Market=Market)
    schema = program["MarketSchema"].attach(db)
    here, elsewhere = uuid4(), uuid4()
    btc, eth, doge = (
        Market(oid=uuid4(), exchange_oid=exchange, symbol=symbol)
        for exchange, symbol in ((here, "BTC"), (here, "ETH"), (elsewhere, "DOGE"))
    )
    with db.begin(write=True) as txn:
        for market in (btc, doge):
            schema.markets[txn, market.oid] = market
            schema.markets_by_exchange[txn, market.exchange_oid].add(market.oid)
    found: list[Market] = []
    program.run(schema=schema, db=db, market=eth, exchange_id=here, process=found.append)
    assert sorted(market.symbol or "" for market in found) == ["BTC", "ETH"]


@of("orm-examples", 8, 9)
def test_a_range_of_times_is_read_in_order(program: Program, db: zlmdb.Database) -> None:
    program.run()
    schema = program["TickerSchema"].attach(db)
    market = UUID(int=5)
    with db.begin(write=True) as txn:
        for time in (100, 200, 400):
            schema.tickers[txn, (time, market)] = {"price": time}
    found: list[tuple[int, Any]] = []
    program.run(
        schema=schema,
        db=db,
        ticker=SimpleNamespace(timestamp=300, market_oid=market, data={"price": 300}),
        market_id=market,
        start_time=200,
        end_time=400,
        process=lambda time, data: found.append((int(time), data)),
    )
    assert found == [(200, {"price": 200}), (300, {"price": 300})]


@of("orm-examples", 10, 11)
def test_foreign_keys_are_followed_both_ways(program: Program, db: zlmdb.Database) -> None:
    program.run()
    schema = program["TradingSchema"].attach(db)
    pair = SimpleNamespace(oid=uuid4())
    program.run(schema=schema, db=db, pair=pair)
    exchange, market = program["exchange"], program["market"]
    assert type(exchange) is program["Exchange"]  # read back as what was stored, by an untyped table
    assert type(market) is program["Market"]
    assert (exchange.name, market.symbol, market.pair_oid) == ("Binance", "BTC/USDT", pair.oid)
    with db.begin() as txn:
        assert set(schema.markets_by_exchange[txn, exchange.oid]) == {market.oid}
        assert set(schema.markets_by_pair[txn, pair.oid]) == {market.oid}


@of("orm-examples", 12)
def test_slots_are_numbered_by_area(program: Program, db: zlmdb.Database) -> None:
    program.run()
    schema = program["GlobalSchema"].attach(db)
    users, nodes, routers = (
        "users credentials activations",
        "nodes workers controllers",
        "router_realms router_realm_roles",
    )
    expected = {
        **dict(enumerate(users.split(), 1)),
        **dict(enumerate(nodes.split(), 10)),
        **dict(enumerate(routers.split(), 20)),
        100: "idx_users_by_email",
        101: "idx_nodes_by_pubkey",
    }
    assert slots(db) == expected
    assert {name: map_.slot for name, map_ in schema.maps().items()} == {name: slot for slot, name in expected.items()}
    with db.begin(write=True) as txn:
        schema.idx_nodes_by_pubkey[txn, b"\x01" * 32] = UUID(int=1)
        assert schema.idx_nodes_by_pubkey[txn, b"\x01" * 32] == UUID(int=1)
        assert schema.idx_users_by_email.count(txn) == 0


@of("orm-examples", 13, 14)
def test_market_data_is_stored_and_queried_by_time(program: Program, db: zlmdb.Database) -> None:
    program.run(Market=Market)
    schema = program["PyDefiSchema"].attach(db)
    assert sorted(slots(db)) == [1, 2, 3, 10, 11, 100, 101]
    program.run()
    store = SimpleNamespace(db=db, tickers=schema.tickers)
    market = uuid4()
    for time in (400, 100, 300, 200):
        program["store_ticker"](store, market, time, Market(price=time))
    found = program["get_tickers"](store, market, 200, 400)
    assert [(int(time), data.price) for time, data in found] == [(200, 200), (300, 300)]


@of("orm-examples", 15)
def test_the_complete_schema_prints_who_works_where(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program.run(path=tmp_path / "hr.db")
    assert sorted(capsys.readouterr().out.splitlines()) == ["alice works at Acme", "bob works at Acme"]
    db, schema = program["db"], program["schema"]
    with db.begin() as txn:
        oid = schema.employees_by_email[txn, "bob@acme.com"]
        assert schema.employees[txn, oid].email == "bob@acme.com"
    db.close()


# --- the texts themselves


def test_each_block_has_its_test() -> None:
    assert sorted(TESTED) == sorted(BLOCKS)
    assert [sum(text == name for text, _ in BLOCKS) for name in TEXTS] == [4, 15]


def test_a_substitution_that_no_longer_matches_is_an_error() -> None:
    change = {"text": "orm-api", "block": 1, "old": "'/tmp/mydb'", "new": "path"}
    assert substituted("open('/tmp/mydb')", change) == "open(path)"
    for block in ("open('/tmp/other')", "open('/tmp/mydb') or open('/tmp/mydb')"):
        with pytest.raises(LookupError, match="orm-api, block 1"):
            substituted(block, change)


def test_each_substitution_says_why() -> None:
    assert all(len(change["why"]) > 10 for change in substitutions())


def test_lost_indentation_is_restored() -> None:
    printed = (
        "class A:\n'''text'''\ndef f(self):\nwith self.g(\n1\n):\nfor x in y:\nz(x)\nreturn x\ndb = A()\nwith db:\nf()"
    )
    restored = (
        "class A:\n    '''text'''\n    def f(self):\n        with self.g(\n        1\n        ):\n"
        "            for x in y:\n                z(x)\n            return x\ndb = A()\nwith db:\n    f()"
    )
    assert indented(printed) == restored
