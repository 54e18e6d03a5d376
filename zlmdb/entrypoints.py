# SPDX-License-Identifier: MIT
"""The entry points that installed distributions offer, read so that a damaged distribution hides no other."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
from collections.abc import Iterator

from zlmdb.errors import PluginError


@dataclasses.dataclass(frozen=True)
class Offer:
    """An entry point; or, with a ``reason`` and without a name, a distribution whose metadata cannot be read."""

    name: str
    distribution: str
    version: str
    value: str
    reason: PluginError | None = None


def offers(group: str) -> Iterator[Offer]:
    """Read the entry points of ``group``, without importing them; of distributions of one name the first counts."""
    names: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name = version = ""
        try:
            name, version = distribution.name or "", distribution.version or ""  # None without a METADATA file
            entries = distribution.entry_points.select(group=group)
            found = [Offer(entry.name, name, version, entry.value) for entry in entries]
        except Exception as exc:  # noqa: BLE001  whatever is wrong with it
            found = [Offer("", name, version, "", _unreadable(distribution, name, exc))]
        if not name or normalized(name) not in names:
            yield from found
        names.add(normalized(name))


def normalized(distribution: str) -> str:
    """Spell the name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _unreadable(distribution: importlib.metadata.Distribution, name: str, exc: Exception) -> PluginError:
    error = PluginError(
        f"the metadata of the distribution cannot be read: {type(exc).__name__}: {exc}",
        where=f"distribution {name!r} in {distribution.locate_file('')}",
        next_step="repair or uninstall it; other plugins are not affected",
        plugin=name,
        step="find",
    )
    error.__cause__ = exc
    return error


def _remedy(exc: BaseException) -> str:
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        return f"install {exc.name}, perhaps as an extra of the plugin's distribution (the bundled: zlmdb[stores])"
    return "repair or uninstall it; other plugins are not affected"


def import_object(name: str, value: str) -> object:
    """Import what ``value`` (``package:attribute``) names; `PluginError` for the plugin ``name`` if that fails."""
    try:
        return importlib.metadata.EntryPoint(name, value, "").load()
    except (Exception, SystemExit) as exc:
        raise PluginError(
            f"{value} cannot be imported: {type(exc).__name__}: {exc}",
            where=f"plugin {name!r}",
            next_step=_remedy(exc),
            plugin=name,
            step="import",
        ) from exc
