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
STRONG: Final = 22
"""Characters of 6 random bits each that make 132 bits; fewer than 128 can be guessed by who tries long enough."""

_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # between the dots of a domain (RFC 1034 section 3.5)
_SHORTEST_PAUSE: Final = 0.01  # seconds; sweeps without any pause would leave the loop to nothing else
_INSECURE: Final = "-insecure"  # ends the names of cookies that are sent without TLS
_PREFIXES: Final = ("__Host-", "__Secure-")  # browsers hold such cookies to rules (RFC 6265bis section 4.1.3)


@dataclass(frozen=True, kw_only=True)
class CookieStoreConfig:
    """How to keep cookies, and what to tell browsers about them."""

    path: Annotated[str, Field(min_length=1)]
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
    short_values: bool = False
    """Allow ``length`` below 22, and so values of fewer than 128 random bits."""
    max_age: Annotated[int, Field(gt=0, le=LONGEST_LIFE)] = 604800
    """Lifetime in seconds."""
    secure: bool = True
    """Have browsers send the cookie over TLS only."""
    http_only: bool = True
    """Keep the cookie from scripts."""
    same_site: Literal["Strict", "Lax", "None"] | None = "Lax"
    cookie_path: Annotated[str, Field(pattern=r"^/[!-:<-~]{0,255}$")] = "/"
    """Where on the host browsers send the cookie to."""
    domain: Annotated[str, Field(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253)] | None = None
    """Send the cookie to all hosts of this domain; None for the host that set it, and no other."""

    sliding: bool = False
    """Have web sessions live on as long as they are used."""
    touch_interval: Annotated[float, Field(ge=0)] = 60.0
    """Seconds that `CookieStore.touch` must gain for it to write anything."""
    longest_life: Annotated[int, Field(gt=0, le=LONGEST_LIFE)] | None = None
    """Seconds after which no touch keeps a cookie alive; None for as long as cookies can live at all."""
    max_data: Annotated[int, Field(ge=1024, le=1024 * _KIBIBYTE)] = 64 * _KIBIBYTE
    """Bytes of a cookie's record with all that was stored with it."""

    sweep_interval: Annotated[float, Field(ge=_SHORTEST_PAUSE, le=LONGEST_LIFE)] | None = 60.0
    """Seconds between two sweeps of expired cookies; None for none, where another process sweeps."""
    sweep_slice: Annotated[int, Field(ge=1, le=10_000)] = 500
    """Cookies removed in one transaction."""

    def __post_init__(self) -> None:
        if self.readonly and self.purge_on_startup:
            raise ConfigError("purge-on-startup and readonly exclude each other")
        if self.same_site == "None" and not self.secure:
            raise ConfigError("same-site None needs secure: browsers drop the cookie otherwise")
        if self.length < STRONG and not self.short_values:
            raise ConfigError(
                "values this short can be guessed",
                where="length",
                got=self.length,
                expected=f"at least {STRONG}, which makes {6 * STRONG} random bits",
                next_step="make it longer, or set short-values",
            )
        if self.longest_life is not None and self.longest_life < self.max_age:
            expected = f"at least max-age, {self.max_age}"
            raise ConfigError("shorter than a lifetime", where="longest-life", got=self.longest_life, expected=expected)
        if self.cookie_name.startswith(_PREFIXES) and not self.secure:
            raise ConfigError(f"the name {self.cookie_name} needs secure: browsers drop the cookie otherwise")
        if self.cookie_name.startswith("__Host-") and (self.domain is not None or self.cookie_path != "/"):
            raise ConfigError(f"the name {self.cookie_name} takes no domain, and / as cookie-path only")

    @property
    def insecure_name(self) -> str:
        """The name of the cookies of web sessions that begin without TLS: these are never ``Secure``."""
        bare = self.cookie_name
        for prefix in _PREFIXES:
            bare = bare.removeprefix(prefix)
        return bare[: 64 - len(_INSECURE)] + _INSECURE

    def session_name(self, secure: bool) -> str:
        """Return the name of the cookies of web sessions, with TLS or without."""
        return self.cookie_name if secure else self.insecure_name
