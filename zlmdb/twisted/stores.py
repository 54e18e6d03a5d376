# SPDX-License-Identifier: MIT
"""Stores as Twisted services: one service for each store of a configuration, and one that holds them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar, overload

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from zlmdb.errors import ConfigError, PluginError, PluginMissing, shorten
from zlmdb.plugins import Context, ManagedStore, Registry, State, Store, configure
from zlmdb.twisted._database import open_database

__all__ = ["StoreService", "SupervisedStore"]

S = TypeVar("S")


class SupervisedStore(Service):
    """One store as a service; call it on the reactor's thread.

    ``started`` fires when the store is started, or fails with the `PluginError` that kept it from it.
    """

    def __init__(self, managed: ManagedStore) -> None:
        self.managed = managed
        self.started: Deferred[None] = Deferred()
        self._lock = DeferredLock()  # a stop waits for the start to be done
        self.setName(managed.name)  # type: ignore[no-untyped-call]

    def startService(self) -> None:  # noqa: N802
        """Begin to start the store; ``started`` tells the outcome. A store is started once only."""
        super().startService()  # type: ignore[no-untyped-call]
        self._lock.run(ensureDeferred, self.managed.start()).chainDeferred(self.started)

    def stopService(self) -> Deferred[None]:  # noqa: N802  # pyright: ignore[reportIncompatibleMethodOverride]
        """Drain and stop the store, once its start is over; fails with `PluginError` if a step did."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self._lock.run(lambda: ensureDeferred(self.managed.stop()))


class StoreService(MultiService):
    """All stores of a configuration; call it on the reactor's thread.

    ``config["stores"]`` is a list of mappings with ``type`` (a reference as `Registry.load` takes it), an
    optional ``name`` (by default the type; no two stores have the same) and the keys of the plugin. Nothing
    runs before all of it is checked, plugins included: one `ConfigError` has all faults as ``problems``.

    The stores start one after the other, in the order of the configuration, and stop in reverse. A store that
    fails to start or to stop is logged and the others run on. With ``strict``, the first failure to start
    stops those that run and fails ``started``, and a failure to stop fails what `stopService` returned.

    ``started`` fires with the service when all stores have been tried. A service without a parent, which no
    application would stop, stops before the reactor's shutdown. A service is started once.
    """

    _log = Logger()

    def __init__(
        self,
        config: Mapping[str, object],
        reactor: Any = None,  # what Twisted's many reactor interfaces have in common
        registry: Registry | None = None,
        *,
        strict: bool = False,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._strict = strict
        self._trigger: object = None
        self._begun = self._leaving = False
        self.started: Deferred[StoreService] = Deferred()
        # a store closes its database itself, after draining into it
        opener = partial(open_database, reactor=reactor, close_at_shutdown=False)
        context = Context(open_database=opener, call_later=reactor.callLater, time_ns=time_ns, reactor=reactor)
        self._stores = [SupervisedStore(each) for each in _configured(config, registry or Registry(), context)]
        for store in self._stores:
            store.setServiceParent(self)  # type: ignore[no-untyped-call]

    @overload
    def store(self, name: str) -> Store: ...
    @overload
    def store(self, name: str, kind: type[S]) -> S: ...
    def store(self, name: str, kind: type[Any] = object) -> Any:
        """Return the store of this name, in whatever state it is; ``kind`` is the class it must have.

        Raises:
            PluginMissing: the configuration has no such store.
            ConfigError: it is of another class.
        """
        for each in self._stores:
            if each.managed.name == name:
                if isinstance(each.managed.store, kind):
                    return each.managed.store
                raise ConfigError(
                    "the store is of another kind",
                    where=f"store {name!r}",
                    got=type(each.managed.store).__name__,
                    expected=kind.__name__,
                    next_step="give the store of this name the right type in the configuration",
                )
        names = ", ".join(self.states())
        raise PluginMissing("there is no such store", got=name, expected=f"one of {names}", plugin=name, step="find")

    def states(self) -> dict[str, State]:
        """Return the state of each store by name, in the order of the configuration."""
        return {each.managed.name: each.managed.state for each in self._stores}

    def reasons(self) -> dict[str, PluginError]:
        """Return why stores failed, by name: those that did, with the step and what it raised as cause."""
        return {each.managed.name: each.managed.reason for each in self._stores if each.managed.reason is not None}

    def startService(self) -> None:  # noqa: N802
        """Begin to start the stores; ``started`` tells when that is done.

        Raises:
            PluginError: the service was started before.
        """
        if self._begun:
            names = ", ".join(self.states())
            raise PluginError(
                "a StoreService is started once only", next_step="make a new one", plugin=names, step="start"
            )
        self._begun = True
        # not MultiService's, which would start all stores at once
        Service.startService(self)  # type: ignore[no-untyped-call]
        if self.parent is None:
            self._trigger = self._reactor.addSystemEventTrigger("before", "shutdown", self._stop_at_shutdown)
        ensureDeferred(self._start_stores()).chainDeferred(self.started)

    def stopService(self) -> Deferred[None]:  # noqa: N802  # pyright: ignore[reportIncompatibleMethodOverride]
        """Drain and stop all stores; fires when that is done. A store still starting is waited for."""
        Service.stopService(self)  # type: ignore[no-untyped-call]
        self._leaving = True
        return ensureDeferred(self._leave())

    def _stop_at_shutdown(self) -> Deferred[None]:
        self._trigger = None  # it is firing, and must not be removed any more
        return self.stopService()

    async def _leave(self) -> None:
        try:
            await self._stop_stores()
        finally:  # not before: a shutdown that begins meanwhile has to wait
            if self._trigger is not None:
                self._reactor.removeSystemEventTrigger(self._trigger)
                self._trigger = None

    async def _start_stores(self) -> StoreService:
        for each in self._stores:
            if self._leaving:
                break
            each.startService()
            try:
                await each.started
            except PluginError as error:
                self._report(error)
                if self._strict:
                    await self._stop_stores(report_only=True)
                    raise
        return self

    async def _stop_stores(self, *, report_only: bool = False) -> None:
        failures = []
        for each in reversed(self._stores):
            try:
                await each.stopService()
            except PluginError as error:
                self._report(error)
                failures.append(error)
        if failures and self._strict and not report_only:
            raise failures[0]

    def _report(self, error: PluginError) -> None:
        failure = Failure(error)  # type: ignore[no-untyped-call]
        self._log.failure("{error}", failure=failure, error=str(error))


def _configured(config: object, registry: Registry, context: Context) -> list[ManagedStore]:
    stores = config.get("stores") if isinstance(config, Mapping) else None
    if not isinstance(stores, list | tuple):
        problem = f"stores: expected a list of mappings, got {shorten(stores)}"
        raise ConfigError(problem, problems=(problem,))
    configured: dict[str, ManagedStore] = {}
    problems: list[str] = []
    for number, raw in enumerate(stores):
        path = f"stores[{number}]"
        try:
            managed = _configured_store(raw, registry, context, path)
        except ConfigError as error:
            problems += error.problems or [f"{path}: {error}"]
        except PluginError as error:
            problems.append(f"{path}.type: {error}")
        else:
            if managed.name in configured:
                problems.append(f"{path}.name: {managed.name!r} is the name of another store, expected its own")
            configured[managed.name] = managed
    if problems:
        raise ConfigError("; ".join(problems), problems=tuple(problems))
    return list(configured.values())


def _configured_store(raw: object, registry: Registry, context: Context, path: str) -> ManagedStore:
    if not isinstance(raw, Mapping):
        raise _fault(f"{path}: expected a mapping, got {shorten(raw)}")
    reference = raw.get("type")
    name = raw.get("name", reference)
    if not isinstance(reference, str):
        raise _fault(f"{path}.type: expected the name of a plugin, got {shorten(reference)}")
    if not isinstance(name, str) or not name:
        raise _fault(f"{path}.name: expected a name, got {shorten(name)}")
    options = {key: value for key, value in raw.items() if key != "name"}
    return configure(registry.load(reference), options, context, name=name, path=path)


def _fault(problem: str) -> ConfigError:
    return ConfigError(problem, problems=(problem,))
