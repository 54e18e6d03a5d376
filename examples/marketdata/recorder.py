# SPDX-License-Identifier: MIT
"""The background writer: takes trades as they come, without ever waiting for the disk unless it falls far behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from twisted.internet.task import deferLater

from examples.marketdata.schema import Exchange, Instrument, MarketData, Trade
from zlmdb import Transaction
from zlmdb.twisted import AsyncDatabase

_TURN = 200  # trades


def introduce(txn: Transaction, market: MarketData, exchange: Exchange, instruments: Iterable[Instrument]) -> None:
    """Store an exchange and its instruments, all or none."""
    market.exchanges[txn, exchange.oid] = exchange
    market.instruments.put_many(txn, ((instrument.oid, instrument) for instrument in instruments))


async def record(
    reactor: Any, db: AsyncDatabase, market: MarketData, feed: Iterable[tuple[tuple[UUID, int], Trade]]
) -> int:
    """Store what the feed gives and return how many trades that were, once all are on the disk.

    A queued write fires when it is accepted, and is committed with others by the writer's thread. When the queue is
    full it fires as soon as there is room, so that the feed is slowed down and memory stays bounded. A crash loses
    what is queued, some milliseconds of it; should writing fail, `NotWritten` says so at the end.
    """
    trades = db.map(market.trades)
    count = 0
    for key, trade in feed:
        await trades.put(key, trade, durability="queued")
        count += 1
        if count % _TURN == 0:
            await deferLater(reactor, 0)  # what comes from a socket lets the reactor have its turns anyway
    await db.flushed()
    return count
