# SPDX-License-Identifier: MIT
"""The contract between a host and a plugin: `Plugin`, `Store`, `Context`, and the states that they go through."""

from __future__ import annotations

import dataclasses
import enum
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar

from zlmdb.errors import PluginError

API_VERSION: Final = (1, 0)  # of the contract between host and plugin: Plugin, Store and Context
RESERVED_KEYS: Final = ("type", "name")  # the host's keys in a store's configuration; no plugin has such fields

ConfigT = TypeVar("ConfigT")
S = TypeVar("S")


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


@dataclasses.dataclass(frozen=True)
class Change:
    """A state that was reached: when, in nanoseconds since 1970 UTC, and why if it is ``failed``."""

    state: State
    time_ns: int
    reason: PluginError | None = None


class Course:
    """What something went through so far; the last of the ``changes`` is where it is."""

    def __init__(self, state: State, reason: PluginError | None, time_ns: Callable[[], int]) -> None:
        self._time_ns = time_ns
        self.changes: tuple[Change, ...] = ()
        self._become(state, reason)

    @property
    def state(self) -> State:
        """The present state."""
        return self.changes[-1].state

    @property
    def reason(self) -> PluginError | None:
        """Why it failed, if it did."""
        return self.changes[-1].reason

    def _become(self, state: State, reason: PluginError | None = None) -> None:
        self.changes += (Change(state, self._time_ns(), reason),)


# --- what a plugin provides ----------------------------------------------------------------------------


class Store(Protocol):
    """What a plugin makes: the steps of a store's life, each called once at most, on the loop's thread.

    A step returns None, or an awaitable of the loop it runs under. `stop` is called whenever `attach` was,
    even if that or a later step failed, so it must bear a store that is attached in part; `drain` is called
    only after `start` succeeded. Databases that are still open after `stop` are closed by the host.

    A store may have one method more, ``upgrade(txn, found)``, called before `migrate` for a database whose data
    are of an older version of the plugin's schema: ``found`` is that version, 0 if the file has none since it is
    new, or other programs wrote it. It runs in one write transaction, on the writer's thread, together with the
    note of the new version: it happens whole or not at all, and may be run again if it was rolled back.
    """

    def attach(self) -> Awaitable[object] | None:
        """Open the database and attach the schema."""

    def migrate(self) -> Awaitable[object] | None:
        """Bring what is stored into the form that `start` needs, or refuse."""

    def start(self) -> Awaitable[object] | None:
        """Take up work: timers, subscriptions."""

    def drain(self) -> Awaitable[object] | None:
        """Take no new work and finish what was accepted."""

    def stop(self) -> Awaitable[object] | None:
        """Release everything, the database last."""


class FindStore(Protocol):
    """How a store gets another one of its configuration."""

    def __call__(self, name: str, kind: type[S]) -> S:
        """Return the store of this name, which is a ``kind``; to be called in the plugin's ``create``."""
        ...


def _alone(name: str, kind: type[S]) -> S:
    expected = "none: this host runs a single store"
    raise PluginError(f"no {kind.__name__} is here", got=name, expected=expected, plugin=name, step="configure")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What the host lends a store.

    ``open_database`` is the one of the face in use; what it opens was checked: a file of a newer version of the
    plugin's schema is refused (`SchemaTooNew`) before anything is written. ``call_later(seconds, function)``
    returns an object with ``cancel()``. ``time_ns`` is the wall clock in nanoseconds. ``reactor`` is Twisted's,
    None under asyncio.

    ``store(name, kind)`` returns another store of the configuration, of a plugin that is in ``Plugin.requires``. A
    store asks for it when it is made (in ``create``), and is then started after that one, stopped before it, and not
    started at all if that one is not running. Raises `ConfigError` if there is no such store.
    """

    open_database: Callable[..., Awaitable[Any]]  # the handle's class belongs to the face
    call_later: Callable[[float, Callable[[], object]], Any]  # IDelayedCall or asyncio.TimerHandle
    time_ns: Callable[[], int] = time.time_ns
    reactor: Any = None  # floor 5 does not know Twisted's interfaces
    store: FindStore = _alone


@dataclasses.dataclass(frozen=True)
class Plugin(Generic[ConfigT]):
    """What an entry point of the group ``zlmdb.plugins`` names.

    ``name`` equals the entry point's. ``api`` is the contract it was written for: our major, and a minor that
    is not above ours (`API_VERSION`). ``version`` is that of its schema, from 1 on, and is noted in each file.
    ``config`` is a dataclass (see `check`), and ``create(config, context)`` makes a store of it without any I/O.
    ``requires`` names the plugins it cannot do without: they are loaded with it, and stores of theirs in the same
    configuration are started before its own and stopped after them.
    """

    name: str
    api: tuple[int, int]
    version: int
    config: type[ConfigT]
    create: Callable[[ConfigT, Context], Store]
    requires: tuple[str, ...] = ()


# --- whether it does ------------------------------------------------------------------------------------


def checked(plugin: object, reference: str, name: str | None) -> Plugin[Any]:
    """Return the plugin if it keeps the contract; ``name`` is that of its entry point, if it has one."""
    if not isinstance(plugin, Plugin):
        raise _broken(reference, "it is not a plugin", plugin, "a zlmdb.plugins.Plugin")
    if not _fits(plugin.api):
        expected = f"({API_VERSION[0]}, 0) to {API_VERSION}"
        raise _broken(reference, "it was written for another version of the contract", plugin.api, expected)
    own: object = plugin.name  # whatever an unchecked plugin says
    if not isinstance(own, str) or own != (name or own):
        raise _broken(reference, "its name is not that of its entry point", own, repr(name or reference))
    if type(plugin.version) is not int or plugin.version < 1 or not callable(plugin.create):
        raise _broken(reference, "it is incomplete", plugin, "an int >= 1 as version and a callable as create")
    required: object = plugin.requires
    if not isinstance(required, tuple) or not all(isinstance(each, str) for each in required):
        raise _broken(reference, "what it requires is not usable", required, "a tuple of names of plugins")
    config: object = plugin.config
    if not isinstance(config, type) or not dataclasses.is_dataclass(config):
        raise _broken(reference, "its config is not usable", config, "a dataclass")
    if taken := [field.name for field in dataclasses.fields(config) if field.name in RESERVED_KEYS]:
        raise _broken(reference, "its config has fields that belong to the host", taken, "other names")
    return plugin


def _fits(api: object) -> bool:
    if not isinstance(api, tuple) or len(api) != 2 or any(type(number) is not int for number in api):
        return False
    return bool(api[0] == API_VERSION[0] and 0 <= api[1] <= API_VERSION[1])


def _broken(reference: str, what: str, got: object, expected: str) -> PluginError:
    where = f"plugin {reference!r}"
    return PluginError(what, where=where, got=got, expected=expected, plugin=reference, step="check")
