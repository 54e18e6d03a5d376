# SPDX-License-Identifier: MIT
"""Warnings for the log. `logging` costs 5 ms to import, which a program that is never warned is spared."""

from __future__ import annotations


def warn(text: str, *args: object) -> None:
    """Log a warning of ``zlmdb.storage``, arguments as for `logging.Logger.warning`."""
    import logging

    logging.getLogger("zlmdb.storage").warning(text, *args)
