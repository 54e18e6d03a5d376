# SPDX-License-Identifier: MIT
"""`Registry`: finds plugins without importing them, and loads those that are asked for."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable
from typing import Any, Final

from zlmdb.entrypoints import Offer, Policy, ambiguous, import_object, normalized, offers
from zlmdb.errors import PluginError, PluginMissing
from zlmdb.plugins._contract import Course, Plugin, State, checked

GROUP: Final = "zlmdb.plugins"


class Found(Course):
    """An entry point of the group; ``state`` is found, loaded or failed, and ``reason`` says why it failed.

    A failed one without a name stands for all of a distribution whose metadata cannot be read. ``changes`` has all
    states with their time.
    """

    def __init__(self, offer: Offer, time_ns: Callable[[], int]) -> None:
        super().__init__(State.FOUND, None, time_ns)
        self.name = offer.name
        self.distribution = offer.distribution
        self.version = offer.version
        self.value = offer.value
        if offer.reason is not None:
            self._become(State.FAILED, offer.reason)

    @property
    def reference(self) -> str:
        """The reference that means this one and no other: ``distribution:name``."""
        return f"{self.distribution}:{self.name}"

    def load(self, load: Callable[[], Plugin[Any]]) -> Plugin[Any]:
        """Return what ``load()`` does, and note the outcome."""
        try:
            plugin = load()
        except PluginError as error:
            self._become(State.FAILED, error)
            raise
        self._become(State.LOADED)
        return plugin


class Registry:
    """The plugins that are installed; the metadata is read once, at the first use.

    A plugin is asked for by one of three references, tried in this order: its name; ``distribution:name``,
    for a name that several distributions offer; ``package.module:attribute``, for one without an entry point.
    Use a registry from one thread. A broken plugin concerns only who asks for it, or requires it.

    ``policy`` may allow some only, which `found` lists then; what these require comes along. With its ``strict``,
    `found` and `load` raise for any distribution that cannot be read and any name that is offered twice. By default
    the environment says: ``ZLMDB_PLUGINS=a,b`` and ``ZLMDB_PLUGINS_STRICT=1``.
    """

    def __init__(self, policy: Policy | None = None, *, time_ns: Callable[[], int] = time.time_ns) -> None:
        self.policy = Policy.of_environment() if policy is None else policy
        self._time_ns = time_ns
        self._found: list[Found] | None = None
        self._plugins: dict[tuple[str, str, str], Plugin[Any]] = {}
        self._added: dict[str, Plugin[Any]] = {}
        self._loading: list[str] = []  # the plugins whose requirements are being loaded

    def add(self, plugin: Plugin[Any]) -> None:
        """Have a plugin found by its name, before any that is installed: one of the application itself, or of a test.

        Raises:
            PluginError: it breaks the contract (``step`` "check").
        """
        self._added[checked(plugin, str(getattr(plugin, "name", plugin)), None).name] = plugin

    def found(self) -> list[Found]:
        """List what is installed and allowed, by name and distribution, without importing any of it."""
        return [each for each in self._all() if not each.name or self.policy.permits(each.name, each.reference)]

    def _all(self) -> list[Found]:
        if self._found is None:
            listed = [Found(offer, self._time_ns) for offer in offers(GROUP, strict=self.policy.strict)]
            self._found = sorted(listed, key=lambda found: (found.name, found.distribution))
        return self._found

    def load(self, reference: str) -> Plugin[Any]:
        """Import and check the plugin of this reference, once, and those it requires.

        A failed one is tried again when it is asked for again.

        Raises:
            PluginMissing: nothing installed goes by this reference, or it is no string.
            PluginError: it cannot be imported (``step`` "import"), breaks the contract ("check"), requires a plugin
                that cannot be had, or in the end itself ("require"), or several distributions offer the name ("find").
        """
        found = self.find(reference)
        if found is None and reference in self._added:
            return self._complete(self._added[reference])
        if found is None:
            return self._load_directly(reference)
        key = (found.distribution, found.name, found.value)
        if key not in self._plugins:
            self._plugins[key] = found.load(lambda: self._loaded(reference, found.name, found.value, found.name))
        return self._plugins[key]

    def find(self, reference: str) -> Found | None:
        """Return the entry point that `load` takes for this reference; None if it takes another plugin.

        Raises:
            PluginMissing: the reference is no string.
            PluginError: several distributions offer the name, or it is not allowed.
        """
        if not isinstance(reference, str):
            raise self._missing(reference)
        if reference in self._added:
            return None
        named = [found for found in self._all() if found.name]
        matching = [found for found in named if found.name == reference]
        if not matching:
            distribution, _, name = reference.rpartition(":")
            wanted = (normalized(distribution), name)
            matching = [found for found in named if (normalized(found.distribution), found.name) == wanted]
        if len(matching) > 1:
            raise ambiguous(reference, [found.reference for found in matching])
        references = [each for found in matching for each in (found.name, found.reference)]
        if not self._loading and not self.policy.permits(reference, *references):  # one that is required comes along
            raise self.policy.refusal(reference)
        return matching[0] if matching else None

    def _loaded(self, reference: str, name: str, value: str, entry: str | None) -> Plugin[Any]:
        return self._complete(checked(import_object(name, value), reference, entry))

    def _complete(self, plugin: Plugin[Any]) -> Plugin[Any]:
        """Load what the plugin requires, and return it."""
        if plugin.name in self._loading:
            circle = " → ".join([*self._loading[self._loading.index(plugin.name) :], plugin.name])
            raise _unmet(plugin.name, f"plugins require each other in a circle: {circle}", "break the circle")
        self._loading.append(plugin.name)
        try:
            for name in plugin.requires:
                try:
                    self.load(name)
                except PluginError as error:
                    if error.step == "require" and error.plugin in self._loading:  # the circle, told as a whole
                        raise
                    raise _unmet(plugin.name, f"it requires {name!r}: {error}", None) from error
        finally:
            self._loading.pop()
        return plugin

    def _load_directly(self, reference: str) -> Plugin[Any]:
        if not re.fullmatch(r"[\w.]+:[\w.]+", reference):
            raise self._missing(reference)
        module = reference.partition(":")[0]
        try:
            return self._loaded(reference, reference, reference, None)
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


def _unmet(plugin: str, what: str, next_step: str | None) -> PluginError:
    return PluginError(what, where=f"plugin {plugin!r}", next_step=next_step, plugin=plugin, step="require")
