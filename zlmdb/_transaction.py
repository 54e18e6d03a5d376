# SPDX-License-Identifier: MIT
"""The module under which existing programs import transactions; new ones import them from ``zlmdb``."""

from zlmdb.storage import Transaction, TransactionStats

__all__ = ["Transaction", "TransactionStats"]
