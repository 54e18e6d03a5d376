# SPDX-License-Identifier: MIT
"""The entry points that installed distributions offer, read so that a damaged distribution hides no other."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping

from zlmdb.errors import ConfigError, PluginError, described


@dataclasses.dataclass(frozen=True)
class Offer:
    """An entry point; or, with a ``reason`` and without a name, a distribution whose metadata cannot be read."""

    name: str
    distribution: str
    version: str
    value: str
    reason: PluginError | None = None


def offers(group: str, *, strict: bool = False) -> list[Offer]:
    """Read the entry points of ``group``, without importing them; of distributions of one name the first counts.

    With ``strict``, raises `PluginError` for a distribution that cannot be read and a name that is offered twice.
    """
    found = list(_read(group))
    if strict:
        _insist(found)
    return found


def _insist(found: list[Offer]) -> None:
    references: dict[str, list[str]] = {}
    for offer in found:
        if offer.reason is not None:
            raise offer.reason
        references.setdefault(offer.name, []).append(f"{offer.distribution}:{offer.name}")
    for name, same in references.items():
        if len(same) > 1:
            raise ambiguous(name, same)


def _read(group: str) -> Iterator[Offer]:
    names: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name = version = ""
        try:
            name, version = _stated(distribution, "Name"), _stated(distribution, "Version")
            entries = distribution.entry_points.select(group=group)
            found = [Offer(entry.name, name, version, entry.value) for entry in entries]
        except Exception as exc:  # noqa: BLE001  whatever is wrong with it
            found = [Offer("", name, version, "", _unreadable(distribution, name, exc))]
        if not name or normalized(name) not in names:
            yield from found
        names.add(normalized(name))


def _stated(distribution: importlib.metadata.Distribution, field: str) -> str:
    """Return a field of the metadata; empty if it is missing, as all are without a METADATA file.

    The attributes of a distribution warn of a missing field from Python 3.12 on, and are to raise KeyError.
    """
    metadata: importlib.metadata.PackageMetadata | None = distribution.metadata
    values = None if metadata is None else metadata.get_all(field)
    return str(values[0]) if values else ""


def normalized(distribution: str) -> str:
    """Spell the name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclasses.dataclass(frozen=True)
class Policy:
    """Which plugins may be loaded, by any of their references (None: all), and whether a broken one is an error."""

    allowed: frozenset[str] | None = None
    strict: bool = False

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Policy:
        """Read ``ZLMDB_PLUGINS`` (names and commas; empty for none) and ``ZLMDB_PLUGINS_STRICT`` (1 or 0)."""
        variables = os.environ if environment is None else environment
        names, strict = variables.get("ZLMDB_PLUGINS"), variables.get("ZLMDB_PLUGINS_STRICT", "")
        if strict not in {"", "0", "1"}:
            raise ConfigError("not a switch", where="ZLMDB_PLUGINS_STRICT", got=strict, expected="0 or 1")
        allowed = None if names is None else frozenset(filter(None, map(str.strip, names.split(","))))
        return cls(allowed, strict == "1")

    def permits(self, *references: str) -> bool:
        """Tell whether a plugin that goes by these references may be loaded."""
        return self.allowed is None or not self.allowed.isdisjoint(references)

    def refusal(self, reference: str) -> PluginError:
        """Return the error for a plugin that may not be loaded."""
        return PluginError(
            "the environment variable ZLMDB_PLUGINS does not allow this plugin",
            got=reference,
            expected=f"one of {', '.join(sorted(self.allowed or ())) or 'none'}",
            next_step="add it there, or unset the variable, which allows all",
            plugin=reference,
            step="find",
        )


def ambiguous(reference: str, choices: Iterable[str]) -> PluginError:
    """Return the error for a name that several distributions offer; ``choices`` are the references that tell them."""
    return PluginError(
        "several distributions offer a plugin of this name",
        got=reference,
        expected=" or ".join(choices),
        next_step="ask for one of these, or uninstall the others",
        plugin=reference,
        step="find",
    )


def _unreadable(distribution: importlib.metadata.Distribution, name: str, exc: Exception) -> PluginError:
    error = PluginError(
        f"the metadata of the distribution cannot be read: {described(exc)}",
        where=f"distribution {name!r} in {distribution.locate_file('')}",
        next_step="repair or uninstall it; other plugins are not affected",
        plugin=name,
        step="find",
    )
    error.__cause__ = exc
    return error


def _remedy(exc: BaseException) -> str:
    if isinstance(exc, ModuleNotFoundError) and exc.name and isinstance(exc.name, str):
        return f"install {exc.name}, perhaps as an extra of the plugin's distribution (the bundled: zlmdb[stores])"
    return "repair or uninstall it; other plugins are not affected"


def import_object(name: str, value: str) -> object:
    """Import what ``value`` (``package:attribute``) names; `PluginError` for the plugin ``name`` if that fails."""
    try:
        return importlib.metadata.EntryPoint(name, value, "").load()
    except BaseException as exc:
        if ends_the_host(exc):
            raise
        raise PluginError(
            f"{value} cannot be imported: {described(exc)}",
            where=f"plugin {name!r}",
            next_step=_remedy(exc),
            plugin=name,
            step="import",
        ) from exc


def ends_the_host(exc: BaseException) -> bool:
    """Tell whether what came out of a plugin is no failure of the plugin: Ctrl-C, or the end of the task that runs it.

    Anything else is, `SystemExit` and a `GeneratorExit` of its own too: no plugin may end its host. To be called where
    it was caught.
    """
    if isinstance(exc, GeneratorExit):
        # raised by the interpreter, in the frame that caught it, when the coroutine is closed; by a plugin, further in
        return exc.__traceback__ is None or exc.__traceback__.tb_next is None
    asyncio = sys.modules.get("asyncio")  # a task there is only if somebody imported it
    if asyncio is None or not isinstance(exc, asyncio.CancelledError):
        return isinstance(exc, KeyboardInterrupt)
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop of asyncio's runs
        return False
    return task is not None and task.cancelling() > 0
