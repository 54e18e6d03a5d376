# SPDX-License-Identifier: MIT
"""The router's configuration: a JSON file, checked before anything runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from zlmdb.errors import ConfigError
from zlmdb.plugins import check


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
    max_body: Annotated[int, Field(ge=1)] = 256 * 1024
    """Largest request body in bytes."""


def load(path: Path, data: Path) -> RouterConfig:
    """Return the configuration in a file, its relative store paths taken from the directory ``data``.

    Raises `ConfigError`, with a line for each fault as ``problems``.
    """
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        problem = f"{path}: {exc}"
        raise ConfigError(problem, problems=(problem,)) from exc
    config = check(RouterConfig, raw, "router")
    names = [store.get("name", store.get("type")) for store in config.stores]
    problems = [
        f"router.{key}: expected one of the stores {names}, got {name!r}"
        for key, name in (("cookie-store", config.cookie_store), ("realm-store", config.realm_store))
        if name not in names
    ]
    if problems:
        raise ConfigError("; ".join(problems), problems=tuple(problems))
    for store in config.stores:
        if isinstance(store.get("path"), str):
            store["path"] = str(data / store["path"])
    return config
