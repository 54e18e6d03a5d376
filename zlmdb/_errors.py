# SPDX-License-Identifier: MIT
"""The module under which existing programs import their error; new ones import them from ``zlmdb.errors``."""

from zlmdb.errors import NullValueConstraint

__all__ = ["NullValueConstraint"]
