# SPDX-License-Identifier: MIT
"""What tests of programs that use this package can use: doubles, and loops to run coroutines on.

`zlmdb.testing.fixtures` has fixtures for pytest, `zlmdb.testing.contracts` tests for the authors of plugins.
"""

from typing import TYPE_CHECKING, Any

from zlmdb.testing.doubles import FakeClock, MemoryWorker

if TYPE_CHECKING:
    from zlmdb.testing.contracts import CookieStoreContract, RealmStoreContract, StoreContract

__all__ = ["CookieStoreContract", "FakeClock", "MemoryWorker", "RealmStoreContract", "StoreContract"]


def __getattr__(name: str) -> Any:  # the contracts need pytest and Twisted
    if name in __all__:
        from zlmdb.testing import contracts

        return getattr(contracts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
