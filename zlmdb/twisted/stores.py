# SPDX-License-Identifier: MIT
"""Stores as Twisted services: one service for each store of a configuration, and one that holds them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, overload

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredLock, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from zlmdb.errors import ConfigError, PluginError, PluginMissing
from zlmdb.plugins import Change, Context, ManagedStore, Registry, State, Store, configure_again, configure_all
from zlmdb.twisted._database import open_database
from zlmdb.twisted._supervised import SupervisedStore
from zlmdb.workers.databaseface import check_seconds

__all__ = ["StoreService", "SupervisedStore"]

S = TypeVar("S")


class StoreService(MultiService):
    """All stores of a configuration; call it on the reactor's thread.

    ``config["stores"]`` is a list of mappings with ``type`` (a reference as `Registry.load` takes it), an
    optional ``name`` (by default the type; no two stores have the same) and the keys of the plugin. Nothing
    runs before all of it is checked, plugins included: one `ConfigError` has all faults as ``problems``.

    The stores start one after the other, in the order of the configuration but those that others require before them,
    and stop in reverse. A store that fails to start or to stop is logged and the others run on. With ``strict``, the
    first failure to start stops those that run and fails ``started``, and a failure to stop fails what `stopService`
    returned; by default the registry's policy says, and so ``ZLMDB_PLUGINS_STRICT``.

    Once the service is to stop, each step of a store may take ``deadline`` seconds (None: any number). What it does
    not finish by then is cancelled, counts as failed, and keeps the other stores waiting no longer.

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
        strict: bool | None = None,
        deadline: float | None = 60.0,
        time_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if reactor is None:
            from twisted.internet import reactor
        check_seconds("deadline", deadline)
        self._reactor = reactor
        self._registry = Registry(time_ns=time_ns) if registry is None else registry
        self._strict = self._registry.policy.strict if strict is None else strict
        self._deadline = deadline
        self._trigger: object = None
        self._begun = self._leaving = False
        self._lock = DeferredLock()  # one of starting, reloading and stopping at a time
        self.started: Deferred[StoreService] = Deferred()
        # a store closes its database itself, after draining into it
        opener = partial(open_database, reactor=reactor, close_at_shutdown=False)
        self._context = Context(open_database=opener, call_later=reactor.callLater, time_ns=time_ns, reactor=reactor)
        self._stores = [self._supervised(each) for each in configure_all(config, self._registry, self._context)]
        for store in self._stores:
            store.setServiceParent(self)  # type: ignore[no-untyped-call]

    def _supervised(self, managed: ManagedStore) -> SupervisedStore:
        return SupervisedStore(managed, self._reactor, self._deadline)

    # --- the stores

    @overload
    def store(self, name: str) -> Store: ...
    @overload
    def store(self, name: str, kind: type[S]) -> S: ...
    def store(self, name: str, kind: type[Any] = object) -> Any:
        """Return the store of this name, in whatever state it is; ``kind`` is the class it must have.

        A reload puts another object in its place.

        Raises:
            PluginMissing: the configuration has no such store.
            ConfigError: it is of another class.
        """
        store = self._named(name).store
        if isinstance(store, kind):
            return store
        raise ConfigError(
            "the store is of another kind",
            where=f"store {name!r}",
            got=type(store).__name__,
            expected=kind.__name__,
            next_step="give the store of this name the right type in the configuration",
        )

    def _named(self, name: str) -> ManagedStore:
        for each in self._stores:
            if each.managed.name == name:
                return each.managed
        names = ", ".join(self.states())
        raise PluginMissing("there is no such store", got=name, expected=f"one of {names}", plugin=name, step="find")

    def states(self) -> dict[str, State]:
        """Return the state of each store by name, in the order in which they start."""
        return {each.managed.name: each.managed.state for each in self._stores}

    def reasons(self) -> dict[str, PluginError]:
        """Return why stores failed, by name: those that did, with the step and what it raised as cause."""
        return {each.managed.name: each.managed.reason for each in self._stores if each.managed.reason is not None}

    def changes(self, name: str) -> tuple[Change, ...]:
        """Return all states that a store and its plugin went through, with their times and reasons.

        Raises:
            PluginMissing: the configuration has no such store.
        """
        managed = self._named(name)
        found = self._registry.find(str(managed.raw["type"]))
        return (*(found.changes if found else ()), *managed.changes)

    # --- running

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
        for each in self._stores:
            each.hurry()
        return ensureDeferred(self._leave())

    def reload(self, name: str, config: Mapping[str, object]) -> Deferred[Store]:
        """Replace a store by one of another configuration, and fire with it; the others run on.

        Only stores that use this one are replaced with it, by ones of their own configuration. ``config`` is the
        store's item of ``stores``; its type and name stay. A store that failed can be reloaded too. What cannot be
        configured changes nothing; if what was configured does not start, stores of the former configuration take
        its place again, provided that they ran.

        Fails with `ConfigError` as the service itself does, `PluginMissing` if there is no such store, and
        `PluginError` if the new store does not start or the service is not running.
        """
        return ensureDeferred(self._reload(name, config))

    # --- starting and stopping

    async def _start_stores(self) -> StoreService:
        async with self._lock:
            for each in self._stores:
                if self._leaving:
                    break
                each.startService()
                failure = await self._failure_of(each.started)
                if failure is not None and self._strict:
                    await self._stop_stores(self._stores)
                    raise failure
            return self

    async def _stop_stores(self, stores: Sequence[SupervisedStore]) -> list[PluginError]:
        failures = [await self._failure_of(each.stopService()) for each in reversed(stores)]
        return [failure for failure in failures if failure is not None]

    def _stop_at_shutdown(self) -> Deferred[None]:
        self._trigger = None  # it is firing, and must not be removed any more
        return self.stopService()

    async def _leave(self) -> None:
        try:
            async with self._lock:
                failures = await self._stop_stores(self._stores)
        finally:  # not before: a shutdown that begins meanwhile has to wait
            if self._trigger is not None:
                self._reactor.removeSystemEventTrigger(self._trigger)
                self._trigger = None
        if failures and self._strict:
            raise failures[0]

    async def _failure_of(self, done: Deferred[None]) -> PluginError | None:
        """Wait for a store; log what it fails with and return it."""
        try:
            await done
        except PluginError as error:
            self._report(error)
            return error
        return None

    def _report(self, error: PluginError) -> None:
        # that has the traceback which tells something
        cause = error if error.__cause__ is None else error.__cause__
        failure = Failure(cause, type(cause), cause.__traceback__)  # type: ignore[no-untyped-call]
        notes = "".join(f". {note}" for note in getattr(error, "__notes__", ()))
        self._log.failure("{error}{notes}", failure=failure, error=error, notes=notes)

    # --- reloading

    async def _reload(self, name: str, config: Mapping[str, object]) -> Store:
        async with self._lock:
            former = self._named(name)
            has_run = former.state is State.STARTED
            failure = await self._replace(name, config)
            if failure is None:
                return self._named(name).store
            if has_run and not self._leaving:
                again = await self._replace(name, former.raw)
                failure.add_note(
                    f"The former configuration fails too: {again}" if again else "The former one runs again"
                )
            raise failure

    async def _replace(self, name: str, config: Mapping[str, object]) -> PluginError | None:
        """Put new stores in the place of one and those that use it; return why one of them did not start."""
        self._check_running(name)
        fresh = configure_again([each.managed for each in self._stores], name, config, self._context)
        names = {managed.name for managed in fresh}
        await self._stop_stores([each for each in self._stores if each.managed.name in names])
        failures = []
        for managed in fresh:
            self._check_running(name)  # a service that is to stop starts nothing more
            place = list(self.states()).index(managed.name)
            self._stores[place].disownServiceParent()  # type: ignore[no-untyped-call]
            self._stores[place] = store = self._supervised(managed)
            store.setServiceParent(self)  # type: ignore[no-untyped-call]  # which starts it, as the service runs
            failures.append(await self._failure_of(store.started))
        return next(filter(None, failures), None)

    def _check_running(self, name: str) -> None:
        if not self.running or self._leaving:
            raise PluginError("the service is not running", next_step="start it", plugin=name, step="reload")
