# SPDX-License-Identifier: MIT
"""The configuration of a cookie store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from zlmdb.errors import ConfigError

_KIBIBYTE: Final = 1024

LONGEST_LIFE: Final = 10 * 360 * 24 * 60 * 60
"""Seconds that a cookie lives at most."""
NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"
"""What names cookies can have."""

SHORTEST: Final = 6
LONGEST: Final = 64
"""Characters in the value of a cookie."""


@dataclass(frozen=True, kw_only=True)
class CookieStoreConfig:
    """How to keep cookies, and what to tell browsers about them."""

    path: str
    """Directory of the database."""
    maxsize: Annotated[int, Field(ge=128 * _KIBIBYTE, le=128 * _KIBIBYTE**3)] | None = None
    """Ceiling of the file in bytes; None for none."""
    readonly: bool = False
    """Look cookies up, and write nothing."""
    sync: bool = True
    """Whether each commit waits for the disk; without, a power cut may damage the file."""
    purge_on_startup: bool = False
    """Forget all cookies at each start."""

    cookie_name: Annotated[str, Field(pattern=NAME)] = "cbtid"
    length: Annotated[int, Field(ge=SHORTEST, le=LONGEST)] = 24
    """Characters in a new value, of 6 random bits each."""
    max_age: Annotated[int, Field(gt=0, le=LONGEST_LIFE)] = 604800
    """Lifetime in seconds."""
    secure: bool = False
    """Have browsers send the cookie over TLS only."""
    http_only: bool = True
    """Keep the cookie from scripts."""
    same_site: Literal["Strict", "Lax", "None"] | None = "Lax"

    sweep_interval: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between two sweeps of expired cookies."""
    sweep_slice: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Cookies removed in one transaction."""

    def __post_init__(self) -> None:
        if self.readonly and self.purge_on_startup:
            raise ConfigError("purge-on-startup and readonly exclude each other")
        if self.same_site == "None" and not self.secure:
            raise ConfigError("same-site None needs secure: browsers drop the cookie otherwise")
