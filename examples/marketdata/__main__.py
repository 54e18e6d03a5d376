# SPDX-License-Identifier: MIT
"""Run it: ``python -m examples.marketdata``; the same seed records the same trades again."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import numpy as np
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from examples.marketdata.bars import Bars, bars
from examples.marketdata.book import market
from examples.marketdata.recorder import introduce, record
from examples.marketdata.schema import Exchange, Instrument, MarketData, Trade
from zlmdb.twisted import open_database

EXCHANGE = Exchange(uuid5(NAMESPACE_DNS, "exchange.example.com"), "Example Exchange")
START = int(np.datetime64("2026-01-05T09:00", "ns").astype(int))
LISTED = {"ACME": (2, 0, 12_345, 10), "BTC/EUR": (2, 8, 6_400_012, 1_250_000), "EUR/USD": (5, 2, 108_450, 100_000)}
"""Price scale, size scale, first price and lot by symbol."""
INSTRUMENTS = [
    Instrument(uuid5(EXCHANGE.oid, symbol), EXCHANGE.oid, symbol, price_scale, size_scale)
    for symbol, (price_scale, size_scale, _, _) in LISTED.items()
]


def feed(seed: int, orders: int) -> Iterator[tuple[tuple[UUID, int], Trade]]:
    """Generate the trades of all instruments in the order of their times, as an exchange sends them."""

    def series(instrument: Instrument) -> Iterator[tuple[tuple[UUID, int], Trade]]:
        *_, price, lot = LISTED[instrument.symbol]
        for time, trade in market(f"{seed} {instrument.symbol}", orders, START, price, lot):
            yield (instrument.oid, time), trade

    return merge(*map(series, INSTRUMENTS), key=lambda item: item[0][1])


async def main(reactor: Any, options: argparse.Namespace) -> None:
    """Record the market, then show it."""
    async with await open_database(options.data, reactor=reactor) as db:
        tables = await db.attach(MarketData)
        await db.write(introduce, tables, EXCHANGE, INSTRUMENTS)
        count = await record(reactor, db, tables, feed(options.seed, options.orders))
        print(f"{count:,} trades on disk, in {db.stats().batches:,} commits")
        for instrument in INSTRUMENTS:
            show(instrument, await db.read(bars, tables.trades, instrument.oid, options.minutes * 60 * 10**9))


def show(instrument: Instrument, found: Bars) -> None:
    """Print bars as a table."""
    print(f"\n{instrument.symbol}")
    print(f"{'time':18}{'open':>12}{'high':>12}{'low':>12}{'close':>12}{'volume':>18}{'trades':>8}")
    for row in range(len(found.start)):
        prices = (instrument.price(column[row]) for column in (found.open, found.high, found.low, found.close))
        quoted = "".join(f"{price:12,}" for price in prices)
        volume = instrument.size(found.volume[row])
        print(f"{np.datetime_as_string(found.start[row], 'm'):18}{quoted}{volume:18,}{found.trades[row]:8,}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.marketdata", description="Record a generated market.")
    parser.add_argument("--data", type=Path, default=Path("build/marketdata.db"), help="the database")
    parser.add_argument("--orders", type=_positive, default=20_000, help="orders for each instrument (20000)")
    parser.add_argument("--seed", type=int, default=1, help="another market for another seed")
    parser.add_argument("--minutes", type=_positive, default=5, help="the width of the bars (5)")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if not 0 < number <= 10**6:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {10**6}, got {text}")
    return number


if __name__ == "__main__":
    chosen = _options()
    chosen.data.parent.mkdir(parents=True, exist_ok=True)
    react(lambda reactor: ensureDeferred(main(reactor, chosen)))
