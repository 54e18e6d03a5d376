# SPDX-License-Identifier: MIT
"""``zlmdb.lmdb``, the name under which existing programs import LMDB's binding: it is the ``lmdb`` of PyPI."""

import sys
from typing import TYPE_CHECKING

import lmdb

if TYPE_CHECKING:
    from lmdb import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]

sys.modules[__name__] = lmdb
