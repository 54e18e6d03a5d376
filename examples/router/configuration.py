# SPDX-License-Identifier: MIT
"""The router's configuration: a JSON file, checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from zlmdb.errors import ConfigError
from zlmdb.plugins import check
from zlmdb.twisted.stores import StoreService


@dataclass(frozen=True, kw_only=True)
class RouterConfig:
    """What the file says; each of ``stores`` is checked by the plugin of its ``type``."""

    stores: list[dict[str, Any]]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0 for any free one."""
    cookie_store: str = "cookiestore"
    realm_store: str = "realmstore"
    """Names of the stores that hold the cookies and the events."""
    subscriber_queue: Annotated[int, Field(ge=1)] = 1000
    """Events that wait for a slow subscriber before it is dropped."""
    subscriber_queue_bytes: Annotated[int, Field(ge=1)] = 1024 * 1024
    """Bytes of them."""
    max_body: Annotated[int, Field(ge=1)] = 256 * 1024
    """Largest request body in bytes."""


def load(path: Path, data: Path, reactor: Any, port: int | None = None) -> RouterConfig:
    """Return the configuration in a file, its relative store paths taken from the directory ``data``.

    ``port`` replaces that of the file. Raises `ConfigError`, with a line for each fault as ``problems``.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as exc:
        problem = f"{path}: {exc}"
        raise ConfigError(problem, problems=(problem,)) from exc
    if isinstance(raw, dict) and port is not None:
        raw["port"] = port
    problems = _problems(raw, reactor)
    if problems:
        raise ConfigError("; ".join(problems), problems=tuple(problems))
    config = check(RouterConfig, raw, "router")
    for store in config.stores:
        if isinstance(store.get("path"), str):
            store["path"] = str(data / store["path"])
    return config


def _problems(raw: object, reactor: Any) -> list[str]:
    """Return what is wrong with a configuration, all of it."""
    problems = _found(lambda: check(RouterConfig, raw, "router"))
    if isinstance(raw, dict) and isinstance(stores := raw.get("stores"), list):
        problems = [problem for problem in problems if not problem.startswith("router.stores[")]  # told below
        problems += _missing(raw, [store for store in stores if isinstance(store, dict)])
        problems += _found(lambda: StoreService({"stores": stores}, reactor))
    return problems


def _found(try_it: Callable[[], object]) -> list[str]:
    try:
        try_it()
    except ConfigError as error:
        return list(error.problems) or [str(error)]
    return []


def _missing(raw: dict[str, Any], stores: list[dict[str, Any]]) -> list[str]:
    names = [store.get("name", store.get("type")) for store in stores]
    wanted = {
        "cookie-store": raw.get("cookie-store", raw.get("cookie_store", RouterConfig.cookie_store)),
        "realm-store": raw.get("realm-store", raw.get("realm_store", RouterConfig.realm_store)),
    }
    return [
        f"router.{key}: expected one of the stores {names}, got {name!r}"
        for key, name in wanted.items()
        if name not in names
    ]
