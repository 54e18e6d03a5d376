# SPDX-License-Identifier: MIT
"""Measures this package against raw LMDB and other ways to store records: ``python -m benchmarks``."""
