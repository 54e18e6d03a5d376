# SPDX-License-Identifier: MIT
"""Tests that the authors of plugins inherit and run with pytest: what any store has to do, and of which kind.

`zlmdb.testing.contracts.memory` has stores without a file that keep them.
"""

import pytest

pytest.register_assert_rewrite("zlmdb.testing.contracts.store", "zlmdb.testing.contracts.cookies")
pytest.register_assert_rewrite("zlmdb.testing.contracts.realm")

from zlmdb.testing.contracts.cookies import CookieStoreContract  # noqa: E402
from zlmdb.testing.contracts.realm import RealmStoreContract  # noqa: E402
from zlmdb.testing.contracts.store import ContractClock, StoreContract  # noqa: E402

__all__ = ["ContractClock", "CookieStoreContract", "RealmStoreContract", "StoreContract"]
