# SPDX-License-Identifier: MIT
"""``zlmdb plugins``: what is installed, whether it can be loaded, and what its configuration takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from typing import Any

import click

from zlmdb.cli.app import Command, json_option, print_json, print_table, told
from zlmdb.configuration import describe
from zlmdb.errors import PluginError
from zlmdb.plugins import Plugin, Registry


@click.command(cls=Command, short_help="List plugins, check them, show options.")
@click.argument("required", nargs=-1, metavar="[NAME]...")
@click.option("--check", is_flag=True, help="Import them too and check that they keep the contract.")
@click.option("--config", metavar="NAME", help="Print the options of this plugin, with their types and defaults.")
@json_option
def plugins(required: tuple[str, ...], check: bool, config: str | None, as_json: bool) -> None:
    """List the installed plugins, from metadata alone: none of their code runs.

    A distribution that cannot be read is told on stderr; what plugins print while they are imported goes there too.

    With --check, the exit code is 1 if one of the plugins NAME is missing or broken; without NAME, those that
    ZLMDB_PLUGINS names; without that too, all that are installed. A NAME may be a name, distribution:name or
    package.module:attribute. ZLMDB_PLUGINS=a,b allows these only, ZLMDB_PLUGINS_STRICT=1 makes a damaged
    distribution and a name offered twice an error.
    """
    if config is not None and (required or check):
        raise click.UsageError("--config goes with neither --check nor other names")
    if required and not check:
        raise click.UsageError("names are for --check")
    registry = Registry()
    if config is not None:
        _print_config(registry, config, as_json)
        return
    outcomes = _load_all(registry, required) if check else {}
    _print_found(registry, outcomes, as_json)
    failures = _failures(registry, required, outcomes)
    for error in failures:
        for line in told(error):
            click.echo(line, err=True)
    if failures and check:
        raise click.exceptions.Exit(1)


_Outcomes = dict[str, Plugin[Any] | PluginError]


def _load_all(registry: Registry, required: tuple[str, ...]) -> _Outcomes:
    """Load what is asked for and all that is installed; return plugin or error by reference."""
    outcomes: _Outcomes = {}
    for reference in [*required, *(registry.policy.allowed or ()), *_references(registry)]:
        try:
            with _quietly():
                outcomes[reference] = registry.load(reference)
        except PluginError as error:
            outcomes[reference] = error
    return outcomes


@contextmanager
def _quietly() -> Iterator[None]:
    """Have what a plugin prints while it is imported go to stderr: stdout is for what this command prints."""
    with redirect_stdout(sys.stderr):
        yield


def _references(registry: Registry) -> list[str]:
    return [found.reference for found in registry.found() if found.name]


def _failures(registry: Registry, required: tuple[str, ...], outcomes: _Outcomes) -> list[PluginError]:
    """Return why what is required fails."""
    if required or registry.policy.allowed is not None:
        wanted = list(required) or sorted(registry.policy.allowed or ())
        damaged = []
    else:
        wanted = _references(registry)
        damaged = [found.reason for found in registry.found() if not found.name and found.reason is not None]
    errors = (outcomes.get(reference) for reference in dict.fromkeys(wanted))
    return [*damaged, *(error for error in errors if isinstance(error, PluginError))]


def _print_found(registry: Registry, outcomes: _Outcomes, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for found in registry.found():
        row: dict[str, Any] = {key: getattr(found, key) for key in ("name", "distribution", "version", "value")}
        row["state"] = str(found.state)
        row["reason"] = str(found.reason) if found.reason else None
        if outcomes:
            plugin = outcomes.get(found.reference)
            row |= {"api": None, "schema_version": None}
            if isinstance(plugin, Plugin):
                row |= {"api": plugin.api, "schema_version": plugin.version}
        rows.append(row)
    if as_json:
        print_json(rows)
        return
    columns = ["name", "distribution", "version", "value", "state", *(["schema_version"] if outcomes else [])]
    print_table(columns, [[row[column] for column in columns] for row in rows])


def _print_config(registry: Registry, name: str, as_json: bool) -> None:
    with _quietly():
        plugin = registry.load(name)
        options = describe(plugin.config)
    if as_json:
        print_json([asdict(option) for option in options])
        return
    rows = [[option.path, option.expected, "required" if option.required else option.default] for option in options]
    print_table(["option", "type", "default"], rows)
