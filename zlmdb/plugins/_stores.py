# SPDX-License-Identifier: MIT
"""All stores of a configuration, made together: checked completely, and in the order in which they need each other."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from zlmdb.errors import ConfigError, PluginError, PluginMissing, shorten, text_of
from zlmdb.plugins._contract import Context, Plugin
from zlmdb.plugins._life import ManagedStore, configure
from zlmdb.plugins._registry import Registry


@dataclasses.dataclass(frozen=True)
class _Entry:
    """One item of ``stores``, as far as the host understands it."""

    number: int
    name: str
    raw: Mapping[str, object]
    plugin: Plugin[Any]

    @property
    def path(self) -> str:
        return f"stores[{self.number}]"


def configure_all(config: object, registry: Registry, context: Context) -> list[ManagedStore]:
    """Make all stores of a configuration, those that others require before them, and else in its order.

    ``config["stores"]`` is a list of mappings with ``type`` (a reference as `Registry.load` takes it), an optional
    ``name`` (by default the type; no two stores have the same) and the keys of the plugin. Reads no file.

    Raises:
        ConfigError: ``problems`` has a line for every fault of every store, plugins that cannot be loaded included.
    """
    problems: list[tuple[int, str]] = []
    entries = _entries(_listed(config), registry, problems)
    made: dict[str, ManagedStore | None] = {}
    for entry in _ordered(entries):
        made[entry.name] = None
        try:
            made[entry.name] = _configured(entry.plugin, entry.raw, context, entry.name, entry.path, made)
        except ConfigError as error:
            problems += [(entry.number, each) for each in error.problems or [f"{entry.path}: {text_of(error)}"]]
        except PluginError as error:
            problems.append((entry.number, f"{entry.path}.type: {error}"))
    if problems:
        lines = tuple(line for _, line in sorted(problems, key=lambda problem: problem[0]))
        raise ConfigError("; ".join(lines), problems=lines)
    return [managed for managed in made.values() if managed is not None]


def configure_again(stores: Sequence[ManagedStore], name: str, config: object, context: Context) -> list[ManagedStore]:
    """Make the store ``name`` of ``stores`` anew of another configuration, and those that use it of their own.

    ``config`` is its item of ``stores``; ``type`` and ``name`` may be left out and cannot change.

    Raises:
        PluginMissing: there is no such store.
        ConfigError: with all faults as ``problems``.
        PluginError: a plugin failed to make its store.
    """
    former = next((each for each in stores if each.name == name), None)
    if former is None:
        names = ", ".join(each.name for each in stores)
        raise PluginMissing("there is no such store", got=name, expected=f"one of {names}", plugin=name, step="find")
    raw = _same_store(former, config)
    made: dict[str, ManagedStore | None] = {}
    renewed: list[ManagedStore] = []
    for each in stores:
        is_concerned = each is former or any(made[used.name] is not used for used in each.uses)
        made[each.name] = each
        if is_concerned:
            made[each.name] = None
            own = raw if each is former else each.raw
            made[each.name] = fresh = _configured(each.plugin, own, context, each.name, each.name, made)
            renewed.append(fresh)
    return renewed


def _configured(
    plugin: Plugin[Any],
    raw: Mapping[str, object],
    context: Context,
    name: str,
    path: str,
    others: Mapping[str, ManagedStore | None],
) -> ManagedStore:
    return configure(plugin, raw, context, name=name, path=path, others=others, time_ns=context.time_ns)


def _listed(config: object) -> Sequence[object]:
    stores = config.get("stores") if isinstance(config, Mapping) else None
    if isinstance(stores, list | tuple):
        return stores
    problem = f"stores: expected a list of mappings, got {shorten(stores)}"
    if isinstance(config, Mapping) and stores is None:
        problem += _meant("stores", config)
    raise ConfigError(problem, problems=(problem,))


def _meant(key: str, given: Mapping[Any, object]) -> str:
    near = difflib.get_close_matches(key, [each for each in given if isinstance(each, str) and each != key], n=1)
    return f"; is {near[0]!r} meant to be it?" if near else ""


def _entries(stores: Sequence[object], registry: Registry, problems: list[tuple[int, str]]) -> list[_Entry]:
    entries: list[_Entry] = []
    for number, raw in enumerate(stores):
        try:
            entry = _entry(number, raw, registry)
        except ConfigError as error:
            problems += [(number, each) for each in error.problems]
        except PluginError as error:
            problems.append((number, f"stores[{number}].type: {error}"))
        else:
            if entry.name in {other.name for other in entries}:
                taken = f"{entry.path}.name: {entry.name!r} is the name of another store, expected its own"
                problems.append((number, taken))
            entries.append(entry)
    return entries


def _entry(number: int, raw: object, registry: Registry) -> _Entry:
    path = f"stores[{number}]"
    if not isinstance(raw, Mapping):
        raise _fault(f"{path}: expected a mapping, got {shorten(raw)}")
    reference = raw.get("type")
    name = raw.get("name", reference)
    if not isinstance(reference, str):
        meant = _meant("type", raw) if reference is None else ""
        raise _fault(f"{path}.type: expected the name of a plugin, got {shorten(reference)}{meant}")
    if not isinstance(name, str) or not name:
        raise _fault(f"{path}.name: expected a name, got {shorten(name)}")
    return _Entry(number, name, raw, registry.load(reference))


def _ordered(entries: Sequence[_Entry]) -> list[_Entry]:
    """Put what is required before what requires it; the plugins form no circle, or they would not be loaded."""
    ordered: dict[int, _Entry] = {}

    def place(entry: _Entry) -> None:
        if entry.number in ordered:
            return
        for other in entries:
            if other.plugin.name in entry.plugin.requires:
                place(other)
        ordered[entry.number] = entry

    for entry in entries:
        place(entry)
    return list(ordered.values())


def _same_store(former: ManagedStore, config: object) -> Mapping[str, object]:
    """Return the configuration of a store that keeps its type and name."""
    if not isinstance(config, Mapping):
        raise _fault(f"{former.name}: expected a mapping, got {shorten(config)}")
    own = {"type": former.raw.get("type", former.plugin.name), "name": former.name}
    problems = [
        f"{former.name}.{key}: a reload keeps it, expected {shorten(value)}, got {shorten(config[key])}"
        for key, value in own.items()
        if config.get(key, value) != value
    ]
    if problems:
        raise ConfigError("; ".join(problems), problems=tuple(problems))
    return {**own, **config}


def _fault(problem: str) -> ConfigError:
    return ConfigError(problem, problems=(problem,))
