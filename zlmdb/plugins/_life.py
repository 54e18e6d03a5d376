# SPDX-License-Identifier: MIT
"""`ManagedStore`: leads one store through its life, and keeps what goes wrong in it from the others."""

from __future__ import annotations

import dataclasses
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from zlmdb.configuration import check
from zlmdb.entrypoints import ends_the_host
from zlmdb.errors import ConfigError, PluginError, ZlmdbError, described
from zlmdb.plugins._contract import RESERVED_KEYS, Context, Course, Plugin, State, Store, checked
from zlmdb.plugins._versions import Databases

S = TypeVar("S")
T = TypeVar("T")
Wait = Callable[[Awaitable[object]], Awaitable[object]]
"""How a host waits for a step; it may give up, by raising. A `GeneratorExit` of the step it raises as `Carried`."""

_STARTING: Final = (("attach", State.ATTACHED), ("migrate", State.MIGRATED), ("start", State.STARTED))
_STEPS: Final = ("attach", "migrate", "start", "drain", "stop")


class Carried(Exception):
    """Carries a `GeneratorExit` that a step raised, as its cause: thrown into coroutines, that would close them."""


def configure(
    plugin: Plugin[Any],
    raw: Mapping[str, object],
    context: Context,
    *,
    name: str | None = None,
    path: str = "store",
    others: Mapping[str, ManagedStore | None] | None = None,
    time_ns: Callable[[], int] = time.time_ns,
) -> ManagedStore:
    """Check a configuration and make a store of it, without any I/O; ``name`` defaults to the plugin's.

    ``others`` are the stores that it may ask for, None for one whose own configuration is wrong.
    ``time_ns`` is the clock of its ``changes``.

    Raises:
        ConfigError: with all faults of the configuration as ``problems``, which begin with ``path``.
        PluginError: the plugin does not keep the contract (``step`` "check"), or failed to make a store
            ("configure").
    """
    checked(plugin, str(plugin.name), None)
    name = name or plugin.name
    config = _made(name, plugin, lambda: check(plugin.config, raw, path, host_keys=RESERVED_KEYS), ZlmdbError)
    databases = Databases(plugin.name, plugin.version, context.open_database)
    others_found = _Others(plugin, name, others or {})
    lent = dataclasses.replace(context, open_database=databases.open, store=others_found.find)
    store = _made(name, plugin, lambda: plugin.create(config, lent))
    _made(name, plugin, lambda: _check_steps(store, databases))
    managed = ManagedStore(name, plugin, store, time_ns=time_ns)
    managed.raw, managed.uses = dict(raw), tuple(others_found.asked)
    managed._databases = databases
    return managed


def _made(name: str, plugin: Plugin[Any], make: Callable[[], T], passing: type[ZlmdbError] = ConfigError) -> T:
    """Return what the plugin's own code makes; what it raises is its failure, but for what is ``passing``."""
    try:
        return make()
    except passing:
        raise
    except BaseException as exc:
        if ends_the_host(exc):
            raise
        raise _step_failed(name, plugin, "configure", exc) from exc


def _check_steps(store: object, databases: Databases) -> None:
    if missing := [step for step in _STEPS if not callable(getattr(store, step, None))]:
        raise TypeError(f"the store lacks {', '.join(missing)}")
    if (upgrade := getattr(store, "upgrade", None)) is not None:
        databases.upgraded_by(upgrade)


class _Others:
    """Gives a store that is being made the others it asks for, and remembers which."""

    def __init__(self, plugin: Plugin[Any], name: str, others: Mapping[str, ManagedStore | None]) -> None:
        self._plugin = plugin
        self._name = name
        self._others = others
        self.asked: list[ManagedStore] = []

    def find(self, name: str, kind: type[S]) -> S:
        """Return another store; see `Context`."""
        eligible = {
            each: other
            for each, other in self._others.items()
            if each != self._name and (other is None or other.plugin.name in self._plugin.requires)
        }
        if name not in eligible:
            known = ", ".join(eligible) or "none that is configured"
            raise self._refusal("it uses a store that there is not", name, f"one of {known}, of a plugin it requires")
        other = eligible[name]
        if other is None:
            raise self._refusal("it uses a store whose own configuration is wrong", name, "one without faults")
        if not isinstance(other.store, kind):
            got = type(other.store).__name__
            raise self._refusal(f"it uses the store {name!r}, which is of another kind", got, kind.__name__)
        self.asked.append(other)
        return other.store

    def _refusal(self, what: str, got: str, expected: str) -> ConfigError:
        return ConfigError(what, where=f"store {self._name!r}", got=got, expected=expected)


class ManagedStore(Course):
    """One configured store and where it is in its life, which it lives once.

    ``state`` tells how far it came; once it is ``failed``, ``reason`` says at which step and why, and ``changes`` has
    all states with their time. ``uses`` are the stores that it asked for, ``raw`` is the configuration it was made of.
    ``wait`` is how steps are waited for, by default as long as they take.
    Call `start` and `stop` on the loop's thread, and `stop` only when `start` has returned or was cancelled.
    """

    raw: Mapping[str, object] = {}
    uses: Sequence[ManagedStore] = ()
    wait: Wait | None = None

    def __init__(
        self, name: str, plugin: Plugin[Any], store: Store, *, time_ns: Callable[[], int] = time.time_ns
    ) -> None:
        super().__init__(State.CONFIGURED, None, time_ns)
        self.name = name
        self.plugin = plugin
        self.store = store
        self._databases: Databases | None = None
        self._undo: list[Callable[[], Awaitable[PluginError | None]]] = []  # what ends what was begun, in reverse
        self._busy = False

    async def start(self) -> None:
        """Attach, migrate and start the store; if one of them fails, undo the others in reverse.

        Raises:
            PluginError: ``step`` failed, with what it raised as the cause; a store that it uses is not running
                ("require"); or the store was started before.
        """
        if self._busy or self._undo or self.state is not State.CONFIGURED:
            raise self._refusal("start", "a store is started once only", "configure a new one")
        self._busy = True
        try:
            self._check_used()
            self._undo += [self._close_databases, self._stop]
            for step, reached in _STARTING:
                if step == "migrate" and self._databases is not None:
                    await self._take("migrate", self._databases.upgrade)
                await self._take(step, getattr(self.store, step))
                self._become(reached)
            self._undo.append(self._drain)
        finally:
            self._busy = False

    async def stop(self) -> None:
        """Drain the store and stop it, whatever state it is in; a failed drain still stops.

        A second call does nothing, and does not wait for the first.

        Raises:
            PluginError: ``step`` failed, with what it raised as the cause; or `start` is still under way.
        """
        if self._busy and self.state is not State.DRAINING:
            raise self._refusal("stop", "start() is still under way", "wait for it, or cancel it")
        if self._busy:
            return
        if self._undo:
            await self._drain_and_stop()
        elif self.state is State.CONFIGURED:
            self._become(State.STOPPED)

    async def _drain_and_stop(self) -> None:
        self._become(State.DRAINING)
        self._busy = True
        try:
            failures = await self._unwind()
        finally:
            self._busy = False
        if failures:
            self._become(State.FAILED, _summed_up(failures))
            raise failures[0]
        self._become(State.STOPPED)

    # --- steps

    def _check_used(self) -> None:
        for other in self.uses:
            if other.state is not State.STARTED:
                failure = self._refusal("require", f"it uses the store {other.name!r}, which is {other.state}", None)
                failure.__cause__ = other.reason
                self._become(State.FAILED, failure)
                raise failure

    async def _take(self, step: str, function: Callable[[], object]) -> None:
        failure = await self._failure_of(step, function)
        if failure is not None:
            self._become(State.FAILED, failure)
            raise _summed_up([failure, *await self._unwind()])

    async def _unwind(self) -> list[PluginError]:
        """Run what is left to undo and return the failures; cancelled in between, it can be resumed."""
        failures = []
        while self._undo:
            if failure := await self._undo.pop()():
                failures.append(failure)
        return failures

    async def _drain(self) -> PluginError | None:
        return await self._failure_of("drain", self.store.drain)

    async def _stop(self) -> PluginError | None:
        return await self._failure_of("stop", self.store.stop)

    async def _close_databases(self) -> PluginError | None:
        return None if self._databases is None else await self._failure_of("close", self._databases.close)

    async def _failure_of(self, step: str, function: Callable[[], object]) -> PluginError | None:
        try:
            outcome = function()
            if inspect.isawaitable(outcome):
                await (self.wait(outcome) if self.wait else outcome)
        except BaseException as exc:  # whatever a plugin raises must not take the host down
            if ends_the_host(exc):
                raise
            cause = exc.__cause__ if isinstance(exc, Carried) and exc.__cause__ else exc
            failure = _step_failed(self.name, self.plugin, step, cause)
            failure.__cause__ = cause
            return failure
        return None

    def _refusal(self, step: str, what: str, next_step: str | None) -> PluginError:
        where = f"store {self.name!r}, which is {self.state}"
        return PluginError(what, where=where, next_step=next_step, plugin=self.plugin.name, step=step, store=self.name)


def _summed_up(failures: list[PluginError]) -> PluginError:
    """Return the first failure, with notes of the others."""
    for later in failures[1:]:
        failures[0].add_note(f"Then, {later}")
    return failures[0]


def _step_failed(store: str, plugin: Plugin[Any], step: str, exc: BaseException) -> PluginError:
    return PluginError(
        f"{step} failed: {described(exc)}",
        where=f"store {store!r} of plugin {plugin.name!r}",
        plugin=plugin.name,
        step=step,
        store=store,
    )
