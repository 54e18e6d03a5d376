# SPDX-License-Identifier: MIT
"""How much a writer takes, and what it does with more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from zlmdb.errors import ConfigError

Overflow: TypeAlias = Literal["wait", "error"]
"""What happens to an operation for which the queue has no room: it waits, or is refused."""
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in records and bytes; one operation alone may exceed them.

    Raises `ConfigError` for a limit that is not a positive integer, and for an unknown ``overflow``.
    """

    max_pending: int = 10_000
    """Records accepted and not committed."""
    max_pending_bytes: int = 64 * MEBIBYTE
    max_batch: int = 10_000
    """Records in one transaction."""
    max_batch_bytes: int = 64 * MEBIBYTE
    overflow: Overflow = "wait"

    def __post_init__(self) -> None:
        for name in ("max_pending", "max_pending_bytes", "max_batch", "max_batch_bytes"):
            check_positive(name, getattr(self, name))
        check_choice("overflow", self.overflow, ("wait", "error"))


def check_positive(name: str, value: object) -> None:
    """Raise `ConfigError` for a value that is not a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError("not a usable limit", where=name, got=value, expected="an integer of at least 1")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise `ConfigError` for a value that is not one of ``choices``."""
    if value not in choices:
        raise ConfigError("unknown choice", where=name, got=value, expected=" or ".join(map(repr, choices)))
