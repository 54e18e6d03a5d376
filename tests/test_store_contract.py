# SPDX-License-Identifier: MIT
"""The contracts that plugin authors inherit, run over the bundled stores."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from zlmdb.plugins import Context, Plugin
from zlmdb.testing import CookieStoreContract, RealmStoreContract, StoreContract
from zlmdb.testing.contracts import ContractClock
from zlmdb.testing.contracts.memory import MemoryCookieStore, MemoryRealmStore, memory_cookies, memory_realm


class TestCookieStore(CookieStoreContract):
    plugin = "cookiestore"

    def configuration(self, directory: Path) -> dict[str, Any]:
        return {"path": str(directory / "cookies"), "sync": False}


class TestRealmStore(RealmStoreContract):
    plugin = "realmstore"

    def configuration(self, directory: Path) -> dict[str, Any]:
        return {**super().configuration(directory), "sync": False}


class TestRealmStoreThatCommits(TestRealmStore):
    def configuration(self, directory: Path) -> dict[str, Any]:
        return {**super().configuration(directory), "durability": "commit"}


class TestEventHistory(StoreContract):
    plugin = "eventhistory"


class TestCookiesInMemory(CookieStoreContract):
    plugin = memory_cookies
    persistent = False

    def configuration(self, directory: Path) -> dict[str, Any]:
        return {}


class TestRealmInMemory(RealmStoreContract):
    plugin = memory_realm
    persistent = False

    def configuration(self, directory: Path) -> dict[str, Any]:
        return {"event-history": self.history, "call-queue": self.calls}


# --- stores that are wrong: the contract has to say so ----------------------------------------------------


def broken(kind: type[Any], plugin: Plugin[Any], **methods: Any) -> Plugin[Any]:
    """Return a plugin whose stores do something wrong."""
    return dataclasses.replace(plugin, create=type("Broken", (kind,), methods))


class Lingering(MemoryCookieStore):
    """A store that forgets its timer."""

    def __init__(self, config: Any, context: Context) -> None:
        super().__init__(config, context)
        self._context = context

    def start(self) -> None:
        super().start()
        self._context.call_later(3600, list)


class Unstoppable(MemoryCookieStore):
    """A store whose stop relies on what attach did."""

    def __init__(self, config: Any, context: Context) -> None:
        super().__init__(config, context)
        self._context = context
        self._db: Any = None

    async def attach(self) -> None:
        self._db = await self._context.open_database("nowhere")

    async def stop(self) -> None:
        await self._db.close()


class Writing(MemoryCookieStore):
    """A store that makes a file before anybody started it."""

    where: Path

    def __init__(self, config: Any, context: Context) -> None:
        super().__init__(config, context)
        (self.where / "early").write_text("")


NEVER_EXPIRES = {"_has_expired": lambda self, cookie: False}
KEEPS_REVOKED = {"_forget": lambda self, values: len(values)}
TELLS_WHEN_STOPPED = {"_check": lambda self: None}
FORGETS_WHO = {"_authenticate": lambda self, value, identity: self.lookup(value) is not None}


def per_receiver(self: Any, publication_id: int, subscription_id: int, receiver: Any) -> None:
    self._events.append(self._events[-1])


def oldest_first(self: Any, subscription_id: int, limit: int | None = None) -> Any:
    return self.get_event_history(subscription_id, 0, 2**64, reverse=False, limit=limit)


def everything_is_kept(self: Any, subscription_id: int, *args: Any, **options: Any) -> Any:
    return MemoryRealmStore.get_event_history(self, subscription_id, *args, **options) or []


WRONG: list[tuple[type[StoreContract], Plugin[Any], str]] = [
    (TestCookiesInMemory, dataclasses.replace(memory_cookies, create=Lingering), "leaves_no_timers"),
    (TestCookiesInMemory, dataclasses.replace(memory_cookies, create=Unstoppable), "database_does_not_open"),
    (TestCookiesInMemory, dataclasses.replace(memory_cookies, create=Writing), "touches_no_file"),
    (TestCookiesInMemory, broken(MemoryCookieStore, memory_cookies, **NEVER_EXPIRES), "an_expired_cookie"),
    (TestCookiesInMemory, broken(MemoryCookieStore, memory_cookies, **KEEPS_REVOKED), "a_revoked_cookie_is_gone"),
    (TestCookiesInMemory, broken(MemoryCookieStore, memory_cookies, **KEEPS_REVOKED), "all_cookies_of_one_authid"),
    (TestCookiesInMemory, broken(MemoryCookieStore, memory_cookies, **FORGETS_WHO), "whom_a_cookie_authenticates"),
    (TestCookiesInMemory, broken(MemoryCookieStore, memory_cookies, **TELLS_WHEN_STOPPED), "a_stopped_store_refuses"),
    (
        TestRealmInMemory,
        broken(MemoryRealmStore, memory_realm, store_event_history=per_receiver),
        "each_publication_once",
    ),
    (TestRealmInMemory, broken(MemoryRealmStore, memory_realm, get_events=oldest_first), "newest_first_and_has_each"),
    (
        TestRealmInMemory,
        broken(MemoryRealmStore, memory_realm, get_event_history=everything_is_kept),
        "no_history_is_none",
    ),
    (TestRealmInMemory, broken(MemoryRealmStore, memory_realm, __hash__=None), "patterns_see_what_they_match"),
    (TestRealmInMemory, broken(MemoryRealmStore, memory_realm, **TELLS_WHEN_STOPPED), "takes_nothing_more"),
]


@pytest.mark.parametrize(("contract", "plugin", "test"), WRONG, ids=[test for *_, test in WRONG])
def test_the_contract_fails_a_store_that_breaks_it(
    tmp_path: Path, contract: type[StoreContract], plugin: Plugin[Any], test: str
) -> None:
    Writing.where = tmp_path
    tests = type("Tests", (contract,), {"plugin": plugin})()
    tests.clock = ContractClock()
    (name,) = [each for each in dir(tests) if test in each]
    with pytest.raises((AssertionError, pytest.fail.Exception, TypeError)):
        getattr(tests, name)(tmp_path)
