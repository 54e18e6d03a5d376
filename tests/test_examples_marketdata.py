# SPDX-License-Identifier: MIT
"""The market data example: book, recorder and bars, each against a plain reckoning, and its program."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

import zlmdb
from examples.marketdata.__main__ import EXCHANGE, INSTRUMENTS, START, feed
from examples.marketdata.bars import bars
from examples.marketdata.book import OrderBook
from examples.marketdata.recorder import introduce, record
from examples.marketdata.schema import MarketData, Trade
from tests.reactor_bench import run
from zlmdb.twisted import open_database

ROOT = Path(__file__).parent.parent
ACME, BTC, _ = INSTRUMENTS


# --- the book


def test_orders_match_by_price_and_then_by_time() -> None:
    book = OrderBook()
    assert book.submit(False, 101, 5) == []
    assert book.submit(False, 100, 3) == []
    assert book.submit(False, 100, 4) == []
    assert book.submit(True, 99, 2) == []
    assert [*book.best] == [99, 100]
    assert book.submit(True, 101, 8) == [(100, 3), (100, 4), (101, 1)]
    assert book.submit(False, 90, 10) == [(99, 2)]
    assert [*book.best] == [None, 90]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 10), st.integers(1, 10))))
def test_a_book_never_crosses_and_loses_no_size(orders: list[tuple[bool, int, int]]) -> None:
    book, filled = OrderBook(), 0
    for buy, price, size in orders:
        fills = book.submit(buy, price, size)
        filled += sum(traded for _, traded in fills)
        assert all(at <= price if buy else at >= price for at, _ in fills)
        bid, ask = book.best
        assert bid is None or ask is None or bid < ask
    offered = sum(size for buy, _, size in orders if not buy)
    assert sum(size for _, size in book.submit(True, 10, 10**9)) == offered - filled


def test_the_same_seed_gives_the_same_trades_and_no_two_share_a_key() -> None:
    first, again, other = ([*feed(seed, 200)] for seed in (1, 1, 2))
    assert first == again
    assert first != other
    keys = [key for key, _ in first]
    assert len(set(keys)) == len(keys) > 100
    assert [time for _, time in keys] == sorted(time for _, time in keys)


# --- the recorder


def test_a_feed_that_is_faster_than_the_disk_is_recorded_whole(tmp_path: Path) -> None:
    sent = [*feed(3, 300)]

    async def main(reactor: Any) -> int:
        async with await open_database(tmp_path / "db", reactor=reactor, max_pending=10) as db:
            market = await db.attach(MarketData)
            await db.write(introduce, market, EXCHANGE, INSTRUMENTS)
            return await record(reactor, db, market, iter(sent))

    assert run(main) == len(sent)
    with zlmdb.Database(tmp_path / "db") as db:
        market = db.attach(MarketData)
        with db.begin() as txn:
            stored = [((oid, int(time)), trade) for (oid, time), trade in market.trades.select(txn)]
            assert stored == sorted(sent, key=lambda item: item[0])
            assert market.by_symbol[txn, "BTC/EUR"] == BTC.oid
            assert set(market.by_exchange[txn, EXCHANGE.oid]) == {instrument.oid for instrument in INSTRUMENTS}
        assert db.check(market).ok


# --- bars


def expected_bars(trades: list[tuple[int, int, int]], width: int) -> list[tuple[int, ...]]:
    slots: dict[int, list[tuple[int, int]]] = {}
    for time, price, size in trades:
        slots.setdefault(time // width * width, []).append((price, size))
    return [
        (
            start,
            found[0][0],
            max(price for price, _ in found),
            min(price for price, _ in found),
            found[-1][0],
            sum(size for _, size in found),
            len(found),
        )
        for start, found in slots.items()
    ]


TRADES = st.dictionaries(st.integers(0, 100), st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), max_size=30)


@given(TRADES, st.integers(1, 40), st.integers(0, 110), st.integers(0, 110))
def test_bars_are_what_a_plain_reckoning_gives(
    trades: dict[int, tuple[int, int]], width: int, since: int, until: int
) -> None:
    with zlmdb.Database(sync=False) as db:
        market = db.attach(MarketData)
        with db.begin(write=True) as txn:
            for time, (price, size) in trades.items():
                market.trades[txn, (ACME.oid, time)] = Trade(price=price, size=size)
                market.trades[txn, (UUID(int=1), time)] = market.trades[txn, (BTC.oid, time)] = Trade(price=7, size=7)
            found = bars(txn, market.trades, ACME.oid, width, since, until)
    chosen = [(time, *trades[time]) for time in sorted(trades) if since <= time < until]
    columns = found.start.astype(int), found.open, found.high, found.low, found.close, found.volume, found.trades
    assert [tuple(map(int, row)) for row in zip(*columns, strict=True)] == expected_bars(chosen, width)
    assert {column.dtype.kind for column in columns} == {"i"}


def test_scaled_integers_are_quoted_exactly() -> None:
    assert str(BTC.price(6_400_012)) == "64000.12"
    assert BTC.size(1) == Decimal("0.00000001")
    assert f"{ACME.price(5):,}" == "0.05"


# --- the program


def test_the_program_prints_the_bars_of_what_it_recorded(tmp_path: Path) -> None:
    def output(*arguments: str) -> list[str]:
        command = [sys.executable, "-m", "examples.marketdata", "--data", str(tmp_path / "data" / "db"), *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == ""
        return done.stdout.splitlines()

    sent = [*feed(1, 500)]
    first = output("--orders", "500", "--minutes", "60")
    assert first[0].startswith(f"{len(sent):,} trades on disk, in ")
    assert first[2] == "ACME"
    acme = [(time - START, trade.price, trade.size) for (oid, time), trade in sent if oid == ACME.oid]
    ((_, *prices, volume, count),) = expected_bars(acme, 3600 * 10**9)
    quoted = [f"{ACME.price(price):,}" for price in prices]
    assert first[4].split() == ["2026-01-05T09:00", *quoted, f"{volume:,}", f"{count:,}"]
    assert output("--orders", "500", "--minutes", "60")[1:] == first[1:]
