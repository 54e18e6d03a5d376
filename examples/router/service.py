# SPDX-License-Identifier: MIT
"""The router as a whole: its stores, its port, and the order in which they come and go."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import maybeDeferred

from examples.router.configuration import RouterConfig
from examples.router.live import Hub, Room
from examples.router.measure import Heartbeat
from examples.router.web import Web
from zlmdb.twisted.stores import StoreService
from zlmdb_cookiestore import CookieStore
from zlmdb_realmstore import RealmStore


class Router:
    """Made, started and stopped once, on the reactor's thread.

    Making it checks the configuration of the stores and raises `ConfigError`.
    """

    def __init__(self, config: RouterConfig, reactor: Any) -> None:
        self._config = config
        self._reactor = reactor
        # whoever has a parent is not stopped by the reactor, but by `stop`
        self._parent: Any = MultiService()  # type: ignore[no-untyped-call]
        self._stores = StoreService({"stores": config.stores}, reactor, strict=True)
        self._stores.setServiceParent(self._parent)  # type: ignore[no-untyped-call]
        self._hub = Hub(Room(config.subscriber_queue, config.subscriber_queue_bytes))
        cookies = self._stores.store(config.cookie_store, CookieStore)
        realm = self._stores.store(config.realm_store, RealmStore)
        self._web = Web(cookies, realm, self._hub, self.statistics)
        self._heartbeat = Heartbeat(reactor, time.perf_counter)
        self._began = time.perf_counter()
        self._port: Any = None
        self._stopping = False

    async def start(self) -> str | None:
        """Start the stores, listen, and return the address; None if `stop` came first.

        Raises `PluginError`, or `CannotListenError`.
        """
        self._parent.startService()
        await self._stores.started
        if self._stopping:
            return None
        site = self._web.site(self._config.max_body)
        self._port = self._reactor.listenTCP(self._config.port, site, interface=self._config.host)
        self._heartbeat.start()
        return f"http://{self._config.host}:{self._port.getHost().port}"

    async def stop(self) -> dict[str, Any]:
        """Take nothing new, answer what was taken, drain and close the stores; return the final statistics."""
        self._stopping = True
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        await self._web.close()
        self._hub.end()
        self._heartbeat.stop()
        statistics = self.statistics()
        await maybeDeferred(self._parent.stopService)
        return {**statistics, "stores": {name: str(state) for name, state in self._stores.states().items()}}

    def statistics(self) -> dict[str, Any]:
        """Return what was done so far."""
        web = self._web
        return {
            "uptime_s": round(time.perf_counter() - self._began, 3),
            "events_published": web.published,
            "requests_refused": web.refused,
            "write_latency": web.write_latency.report(),
            "loop_lateness": self._heartbeat.lateness.report(),
            "live": self._hub.report(),
            "stores": {name: str(state) for name, state in self._stores.states().items()},
            "cookies": asdict(web.cookies.counters()),
            "realm": asdict(web.realm.stats()),
        }
