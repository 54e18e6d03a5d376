# SPDX-License-Identifier: MIT
"""The tables. Prices and sizes are integers, scaled by the powers of ten that the instrument states."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import zlmdb
from zlmdb import MapStringUuid, MapUuidCbor, MapUuidTimestampFlatBuffers, MapUuidUuidSet, Schema, table
from zlmdb.codecs.flatbuffers import BOOL, U64, FlatRecord, flat


@dataclass(frozen=True)
class Exchange:
    oid: UUID
    name: str


@dataclass(frozen=True)
class Instrument:
    """A price of 6400012 with a scale of 2 is 64000.12."""

    oid: UUID
    exchange: UUID
    symbol: str
    price_scale: int
    size_scale: int

    def price(self, scaled: int) -> Decimal:
        """Return a price as it is quoted, exactly."""
        return Decimal(int(scaled)).scaleb(-self.price_scale)

    def size(self, scaled: int) -> Decimal:
        """Return a size, or a volume, as it is quoted, exactly."""
        return Decimal(int(scaled)).scaleb(-self.size_scale)


class Trade(FlatRecord):
    """A FlatBuffers table: there are many of them."""

    price: int = flat(U64)
    size: int = flat(U64)
    buyer_took: bool = flat(BOOL)


@table("6f0c7d0e-4a57-4b7e-8f53-2d6b6c9a0001")
class Exchanges(MapUuidCbor[Exchange]): ...


@table("6f0c7d0e-4a57-4b7e-8f53-2d6b6c9a0002")
class Instruments(MapUuidCbor[Instrument]): ...


@table("6f0c7d0e-4a57-4b7e-8f53-2d6b6c9a0003")
class InstrumentsBySymbol(MapStringUuid): ...


@table("6f0c7d0e-4a57-4b7e-8f53-2d6b6c9a0004")
class InstrumentsByExchange(MapUuidUuidSet): ...


@table("6f0c7d0e-4a57-4b7e-8f53-2d6b6c9a0005")
class Trades(MapUuidTimestampFlatBuffers[Trade]):
    """By instrument and time (nanoseconds since 1970), so that a stretch of a series lies together in the file."""


class MarketData(Schema):
    exchanges: Exchanges
    instruments: Instruments
    by_symbol: InstrumentsBySymbol
    by_exchange: InstrumentsByExchange
    trades: Trades

    def attach(self, db: zlmdb.Database) -> None:
        self.exchanges = db.attach_table(Exchanges)
        self.instruments = db.attach_table(Instruments)
        self.by_symbol = db.attach_table(InstrumentsBySymbol)
        self.by_exchange = db.attach_table(InstrumentsByExchange)
        self.instruments.attach_index("by_symbol", self.by_symbol, lambda instrument: instrument.symbol)
        self.instruments.attach_index("by_exchange", self.by_exchange, lambda i: i.exchange, unique=False)
        self.trades = db.attach_table(Trades)
