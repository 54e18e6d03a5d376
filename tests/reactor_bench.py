# SPDX-License-Identifier: MIT
"""Runs a coroutine on a real reactor of its own, from start to shutdown."""

from tests.faces import busy, error_of
from zlmdb.testing.loops import run_reactor as run

__all__ = ["busy", "error_of", "run"]
