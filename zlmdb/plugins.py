# SPDX-License-Identifier: MIT
"""Finding, checking and running store plugins.

A distribution offers a plugin by an entry point of the group ``zlmdb.plugins``; the entry's name is the
``type`` of a configuration and its value names a `Plugin`. `Registry` finds plugins without importing them,
`configure` makes a store of one, and `ManagedStore` leads that store through its life:

    found → loaded → configured → attached → migrated → started → draining → stopped

or to ``failed``, from wherever a step failed. Nothing here knows an event loop: the coroutines await what
a store's steps return, and so run under Twisted (``Deferred.fromCoroutine``) and asyncio alike.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from zlmdb.configuration import check
from zlmdb.entrypoints import Offer, import_object, normalized, offers
from zlmdb.errors import ConfigError, PluginError, PluginMissing

__all__ = ["API_VERSION", "GROUP", "RESERVED_KEYS", "Context", "Found", "ManagedStore", "Plugin", "Registry", "State"]
__all__ += ["Store", "check", "configure"]

API_VERSION: Final = (1, 0)  # of the contract between host and plugin: Plugin, Store and Context
GROUP: Final = "zlmdb.plugins"
RESERVED_KEYS: Final = ("type", "name")  # the host's keys in a store's configuration; no plugin has such fields

ConfigT = TypeVar("ConfigT")


class State(enum.StrEnum):
    """How far a plugin, or a store made of it, has come."""

    FOUND = "found"
    LOADED = "loaded"
    CONFIGURED = "configured"
    ATTACHED = "attached"
    MIGRATED = "migrated"
    STARTED = "started"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


# --- the contract ------------------------------------------------------------------------------------


class Store(Protocol):
    """What a plugin makes: the steps of a store's life, each called once at most, on the loop's thread.

    A step returns None, or an awaitable of the loop it runs under. `stop` is called whenever `attach` was,
    even if that or a later step failed, so it must bear a store that is attached in part; `drain` is called
    only after `start` succeeded.
    """

    def attach(self) -> Awaitable[object] | None:
        """Open the database and attach the schema."""

    def migrate(self) -> Awaitable[object] | None:
        """Bring the stored schema to the plugin's version, or refuse."""

    def start(self) -> Awaitable[object] | None:
        """Take up work: timers, subscriptions."""

    def drain(self) -> Awaitable[object] | None:
        """Take no new work and finish what was accepted."""

    def stop(self) -> Awaitable[object] | None:
        """Release everything, the database last."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What the host lends a store.

    ``open_database`` is the one of the face in use. ``call_later(seconds, function)`` returns an object with
    ``cancel()``. ``time_ns`` is the wall clock in nanoseconds. ``reactor`` is Twisted's, None under asyncio.
    """

    open_database: Callable[..., Awaitable[Any]]  # the handle's class belongs to the face
    call_later: Callable[[float, Callable[[], object]], Any]  # IDelayedCall or asyncio.TimerHandle
    time_ns: Callable[[], int] = time.time_ns
    reactor: Any = None  # floor 5 does not know Twisted's interfaces


@dataclasses.dataclass(frozen=True)
class Plugin(Generic[ConfigT]):
    """What an entry point of the group ``zlmdb.plugins`` names.

    ``name`` equals the entry point's. ``api`` is the contract it was written for: our major, and a minor that
    is not above ours (`API_VERSION`). ``version`` is that of its schema in the file. ``config`` is a
    dataclass (see `check`), and ``create(config, context)`` makes a store of it without any I/O.
    """

    name: str
    api: tuple[int, int]
    version: int
    config: type[ConfigT]
    create: Callable[[ConfigT, Context], Store]


# --- finding and loading -----------------------------------------------------------------------------


@dataclasses.dataclass
class Found:
    """An entry point of the group; ``state`` is found, loaded or failed, and ``reason`` says why it failed.

    A failed one without a name stands for all of a distribution whose metadata cannot be read.
    """

    name: str
    distribution: str
    version: str
    value: str
    state: State = State.FOUND
    reason: PluginError | None = None


class Registry:
    """The plugins that are installed; the metadata is read once, at the first use.

    A plugin is asked for by one of three references, tried in this order: its name; ``distribution:name``,
    for a name that several distributions offer; ``package.module:attribute``, for one without an entry point.
    Use a registry from one thread. A broken plugin concerns only who asks for it.
    """

    def __init__(self) -> None:
        self._found: list[Found] | None = None
        self._plugins: dict[tuple[str, str, str], Plugin[Any]] = {}

    def found(self) -> list[Found]:
        """List what is installed, by name and distribution, without importing any of it."""
        if self._found is None:
            self._found = sorted(map(_found, offers(GROUP)), key=lambda found: (found.name, found.distribution))
        return list(self._found)

    def load(self, reference: str) -> Plugin[Any]:
        """Import and check the plugin of this reference, once; a failed one is tried again when asked again.

        Raises:
            PluginMissing: nothing installed goes by this reference, or it is no string.
            PluginError: it cannot be imported (``step`` "import"), breaks the contract ("check"), or several
                distributions offer the name ("find").
        """
        found = self._find(reference)
        if found is None:
            return self._load_directly(reference)
        key = (found.distribution, found.name, found.value)
        if key not in self._plugins:
            try:
                self._plugins[key] = _checked(import_object(found.name, found.value), reference, found.name)
            except PluginError as error:
                found.state, found.reason = State.FAILED, error
                raise
            found.state, found.reason = State.LOADED, None
        return self._plugins[key]

    def _find(self, reference: str) -> Found | None:
        if not isinstance(reference, str):
            raise self._missing(reference)
        named = [found for found in self.found() if found.name]
        matching = [found for found in named if found.name == reference]
        if not matching:
            distribution, _, name = reference.rpartition(":")
            wanted = (normalized(distribution), name)
            matching = [found for found in named if (normalized(found.distribution), found.name) == wanted]
        if len(matching) > 1:
            raise PluginError(
                "several distributions offer a plugin of this name",
                got=reference,
                expected=" or ".join(f"{found.distribution}:{found.name}" for found in matching),
                next_step="ask for one of these, or uninstall the others",
                plugin=reference,
                step="find",
            )
        return matching[0] if matching else None

    def _load_directly(self, reference: str) -> Plugin[Any]:
        if not re.fullmatch(r"[\w.]+:[\w.]+", reference):
            raise self._missing(reference)
        module = reference.partition(":")[0]
        try:
            return _checked(import_object(reference, reference), reference, None)
        except PluginError as error:
            cause = error.__cause__
            if isinstance(cause, ModuleNotFoundError) and f"{module}.".startswith(f"{cause.name}."):
                raise self._missing(reference) from cause
            raise

    def _missing(self, reference: object) -> PluginMissing:
        names = sorted({found.name for found in self.found() if found.name})
        near = difflib.get_close_matches(reference, names) if isinstance(reference, str) else []
        damaged = [found.distribution or "one without a name" for found in self.found() if not found.name]
        install = f"repair {', '.join(damaged)}, or install what offers it" if damaged else "install what offers it"
        return PluginMissing(
            "there is no such plugin",
            got=reference,
            expected=f"one of the installed: {', '.join(names) or 'none'}; or package:attribute",
            next_step=f"did you mean {' or '.join(map(repr, near))}?" if near else install,
            plugin=str(reference),
            step="find",
        )


def _found(offer: Offer) -> Found:
    state = State.FAILED if offer.reason else State.FOUND
    return Found(offer.name, offer.distribution, offer.version, offer.value, state, offer.reason)


def _checked(plugin: object, reference: str, name: str | None) -> Plugin[Any]:
    """Return the plugin if it keeps the contract; ``name`` is that of its entry point, if it has one."""
    if not isinstance(plugin, Plugin):
        raise _contract_broken(reference, "it is not a plugin", plugin, "a zlmdb.plugins.Plugin")
    if not _fits(plugin.api):
        expected = f"({API_VERSION[0]}, 0) to {API_VERSION}"
        raise _contract_broken(reference, "it was written for another version of the contract", plugin.api, expected)
    if plugin.name != (name or str(plugin.name)):
        raise _contract_broken(reference, "its name is not that of its entry point", plugin.name, repr(name))
    if type(plugin.version) is not int or not callable(plugin.create):
        raise _contract_broken(reference, "it is incomplete", plugin, "an int as version and a callable as create")
    config: object = plugin.config
    if not isinstance(config, type) or not dataclasses.is_dataclass(config):
        raise _contract_broken(reference, "its config is not usable", config, "a dataclass")
    if taken := [field.name for field in dataclasses.fields(config) if field.name in RESERVED_KEYS]:
        raise _contract_broken(reference, "its config has fields that belong to the host", taken, "other names")
    return plugin


def _fits(api: object) -> bool:
    if not isinstance(api, tuple) or len(api) != 2 or any(type(number) is not int for number in api):
        return False
    return bool(api[0] == API_VERSION[0] and 0 <= api[1] <= API_VERSION[1])


def _contract_broken(reference: str, what: str, got: object, expected: str) -> PluginError:
    where = f"plugin {reference!r}"
    return PluginError(what, where=where, got=got, expected=expected, plugin=reference, step="check")


# --- configuring and running -------------------------------------------------------------------------


_STARTING: Final = (("attach", State.ATTACHED), ("migrate", State.MIGRATED), ("start", State.STARTED))
_STEPS: Final = ("attach", "migrate", "start", "drain", "stop")


def configure(
    plugin: Plugin[Any], raw: Mapping[str, object], context: Context, *, name: str | None = None, path: str = "store"
) -> ManagedStore:
    """Check a configuration and make a store of it, without any I/O; ``name`` defaults to the plugin's.

    Raises:
        ConfigError: with all faults of the configuration as ``problems``, which begin with ``path``.
        PluginError: the plugin does not keep the contract (``step`` "check"), or failed to make a store
            ("configure").
    """
    _checked(plugin, str(plugin.name), None)
    config = check(plugin.config, raw, path)
    name = name or plugin.name
    try:
        store = plugin.create(config, context)
    except ConfigError:
        raise
    except Exception as exc:
        raise _step_failed(name, plugin, "configure", exc) from exc
    if missing := [step for step in _STEPS if not callable(getattr(store, step, None))]:
        problem = TypeError(f"the store lacks {', '.join(missing)}")
        raise _step_failed(name, plugin, "configure", problem) from problem
    return ManagedStore(name, plugin, store)


class ManagedStore:
    """One configured store and where it is in its life, which it lives once.

    ``state`` tells how far it came; once it is ``failed``, ``reason`` says at which step and why.
    Call `start` and `stop` on the loop's thread, and `stop` only when `start` has returned or was cancelled.
    """

    def __init__(self, name: str, plugin: Plugin[Any], store: Store) -> None:
        self.name = name
        self.plugin = plugin
        self.store = store
        self.state = State.CONFIGURED
        self.reason: PluginError | None = None
        self._undo: list[str] = []  # the steps that end what was begun; the next one is last
        self._busy = False

    async def start(self) -> None:
        """Attach, migrate and start the store; if one of them fails, undo the others in reverse.

        Raises:
            PluginError: ``step`` failed, with what it raised as the cause; or the store was started before.
        """
        if self._busy or self._undo or self.state is not State.CONFIGURED:
            raise self._refusal("start", "a store is started once only", "configure a new one")
        self._busy = True
        try:
            self._undo.append("stop")
            for step, reached in _STARTING:
                failure = await self._failure_of(step)
                if failure:
                    self._fail([failure])
                    self._fail([failure, *await self._unwind()])
                    raise failure
                self.state = reached
            self._undo.append("drain")
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
            self.state = State.STOPPED

    async def _drain_and_stop(self) -> None:
        self.state = State.DRAINING
        self._busy = True
        try:
            failures = await self._unwind()
        finally:
            self._busy = False
        if failures:
            self._fail(failures)
            raise failures[0]
        self.state = State.STOPPED

    async def _unwind(self) -> list[PluginError]:
        """Run what is left to undo and return the failures; cancelled in between, it can be resumed."""
        failures = []
        while self._undo:
            if failure := await self._failure_of(self._undo.pop()):
                failures.append(failure)
        return failures

    async def _failure_of(self, step: str) -> PluginError | None:
        try:
            outcome = getattr(self.store, step)()
            if inspect.isawaitable(outcome):
                await outcome
        except Exception as exc:  # noqa: BLE001  whatever a plugin raises must not take the host down
            failure = _step_failed(self.name, self.plugin, step, exc)
            failure.__cause__ = exc
            return failure
        return None

    def _fail(self, failures: list[PluginError]) -> None:
        self.state, self.reason = State.FAILED, failures[0]
        for later in failures[1:]:
            failures[0].add_note(f"Then, {later}")

    def _refusal(self, step: str, what: str, next_step: str) -> PluginError:
        where = f"store {self.name!r}, which is {self.state}"
        return PluginError(what, where=where, next_step=next_step, plugin=self.plugin.name, step=step)


def _step_failed(store: str, plugin: Plugin[Any], step: str, exc: Exception) -> PluginError:
    return PluginError(
        f"{step} failed: {type(exc).__name__}: {exc}",
        where=f"store {store!r} of plugin {plugin.name!r}",
        plugin=plugin.name,
        step=step,
        store=store,
    )
