# SPDX-License-Identifier: MIT
"""The store keeps the contract of stores, and counts."""

from __future__ import annotations

import pytest

from zlmdb.errors import DatabaseClosed
from zlmdb.testing import StoreContract


class TestVisits(StoreContract):
    plugin = "visits"  # the name of its entry point, so the package has to be installed

    def configuration(self, directory):
        return {"path": str(directory / "visits")}

    def test_visits_are_counted_and_survive_a_restart(self, tmp_path):
        async def visit(store):
            assert await store.visit("/") == 1
            assert await store.visit("/") == 2
            assert await store.visit("/about") == 1

        async def look(store):
            return store.count("/"), store.count("/about"), store.count("/none")

        self.run(tmp_path, visit)
        assert self.run(tmp_path, look) == (2, 1, 0)

    def test_a_visit_counts_what_is_configured(self, tmp_path):
        async def visit(store):
            return await store.visit("/")

        assert self.run(tmp_path, visit, step=10) == 10

    def test_a_stopped_store_refuses_visits(self, tmp_path):
        async def get(store):
            return store

        store = self.run(tmp_path, get)
        failures = []
        store.visit("/").addErrback(failures.append)
        assert failures[0].check(DatabaseClosed)
        with pytest.raises(DatabaseClosed):
            store.count("/")
