# SPDX-License-Identifier: MIT
"""Bars (open, high, low, close, volume) of a series, computed on NumPy columns in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from examples.marketdata.schema import Trades
from zlmdb import Transaction

_END = 2**63 - 1


@dataclass(frozen=True)
class Bars:
    """One element for each stretch of time that has trades; prices and volumes scaled as the instrument says."""

    start: NDArray[np.datetime64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume: NDArray[np.int64]
    trades: NDArray[np.int64]


def bars(txn: Transaction, trades: Trades, instrument: UUID, width: int, since: int = 0, until: int = _END) -> Bars:
    """Return the bars of ``width`` ns of the trades with ``since <= time < until`` (ns since 1970).

    Only the columns that are needed are read; no float is ever made of a price.
    """
    names = ["instrument", "time"]
    columns = trades.arrays(txn, (instrument, since), (instrument, until), ["price", "size"], key_names=names)
    price, size = columns["price"], columns["size"]
    slots, first = np.unique(columns["time"].astype(np.int64) // width, return_index=True)
    end = np.append(first, len(price))[1:]
    return Bars(
        start=(slots * width).astype("M8[ns]"),
        open=price[first],
        high=_reduced(np.maximum, price, first),
        low=_reduced(np.minimum, price, first),
        close=price[end - 1],
        volume=_reduced(np.add, size, first),
        trades=end - first,
    )


def _reduced(function: np.ufunc, column: NDArray[Any], first: NDArray[Any]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = function.reduceat(column, first)
    return found
