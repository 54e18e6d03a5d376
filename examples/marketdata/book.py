# SPDX-License-Identifier: MIT
"""A limit order book, and a market made of random orders: the same seed gives the same trades everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from examples.marketdata.schema import Trade


@dataclass(order=True)
class _Resting:
    rank: int  # the price of an ask, minus the price of a bid: the best is the least
    number: int  # at one price, first come, first served
    size: int = field(compare=False)


class OrderBook:
    """Matches orders by price, then by time."""

    def __init__(self) -> None:
        self._bids: list[_Resting] = []
        self._asks: list[_Resting] = []
        self._orders = 0

    def submit(self, buy: bool, price: int, size: int) -> list[tuple[int, int]]:
        """Match an order with those that rest, keep what is left of it, and return (price, size) of each fill."""
        own, opposite, sign = (self._bids, self._asks, 1) if buy else (self._asks, self._bids, -1)
        fills: list[tuple[int, int]] = []
        while size and opposite and opposite[0].rank <= sign * price:
            best = opposite[0]
            filled = min(size, best.size)
            fills.append((abs(best.rank), filled))
            size -= filled
            best.size -= filled
            if not best.size:
                heappop(opposite)
        self._orders += 1
        if size:
            heappush(own, _Resting(-sign * price, self._orders, size))
        return fills

    @property
    def best(self) -> tuple[int | None, int | None]:
        """The best bid and the best ask, None where there is none."""
        return (
            -self._bids[0].rank if self._bids else None,
            self._asks[0].rank if self._asks else None,
        )


def market(seed: str, orders: int, start: int, price: int, lot: int) -> Iterator[tuple[int, Trade]]:
    """Generate the trades of one instrument, with times (ns since 1970) that only ever increase.

    Orders come 0.1 s apart on average, around a price that wanders; ``lot`` is the size unit of an order.
    """
    random, book, time = Random(seed), OrderBook(), start  # noqa: S311 - it is to be repeatable
    step = max(1, price // 20_000)
    for _ in range(orders):
        time += random.randint(1, 200_000_000)
        price = max(step, price + random.randint(-step, step))
        limit = max(1, price + random.randint(-9, 9) * step)
        buy = random.random() < 0.5
        for filled_at, size in book.submit(buy, limit, random.randint(1, 20) * lot):
            yield time, Trade(price=filled_at, size=size, buyer_took=buy)
            time += 1  # the key is instrument and time: no two trades may share it
