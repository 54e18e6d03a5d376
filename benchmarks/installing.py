# SPDX-License-Identifier: MIT
"""The packages that are installed for the comparison only, each in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent


class PeerFailed(Exception):
    """A package cannot take part; the text says why."""


@dataclass(frozen=True)
class Package:
    """One version of a package of the registry."""

    name: str
    version: str
    wheels: bool = True
    """Whether it is published as a wheel; if not, it is made from the sources."""

    @property
    def folder(self) -> Path:
        """Where it is installed with what it needs."""
        return ROOT / "build" / "peers" / self.name

    def install(self) -> None:
        """Install it, if it is not there; raises `PeerFailed`."""
        if (self.folder / f"{self.name}-{self.version}.dist-info").is_dir():
            return
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        source = ["--only-binary=:all:"] if self.wheels else ["--no-deps"]
        what = ["--target", str(self.folder), f"{self.name}=={self.version}"]
        done = subprocess.run([*command, *source, *what], capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["pip gave no reason"]
            raise PeerFailed(f"{self.name} {self.version} cannot be installed: {lines[-1]}")


EXISTING: Final = Package("zlmdb", "26.10.1")
PLYVEL: Final = Package("plyvel", "1.5.1")
AIOLMDB: Final = Package("aiolmdb", "0.1.1", wheels=False)
