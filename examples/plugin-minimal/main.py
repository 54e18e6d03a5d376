# SPDX-License-Identifier: MIT
"""Runs the store in a StoreService, and counts a few visits."""

import sys

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from zlmdb.twisted.stores import StoreService
from zlmdb_visits import VisitsStore


async def main(reactor, path="visits-data"):
    service = StoreService({"stores": [{"type": "visits", "path": path}]}, reactor)
    service.startService()
    await service.started
    visits = service.store("visits", VisitsStore)
    for page in ("/", "/about", "/"):
        await visits.visit(page)
    print("/:", visits.count("/"), "/about:", visits.count("/about"))
    await service.stopService()


if __name__ == "__main__":
    react(lambda reactor, *path: ensureDeferred(main(reactor, *path)), sys.argv[1:])
