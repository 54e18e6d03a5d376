# SPDX-License-Identifier: MIT
"""Crossbar's personalities with our stores: `StandalonePersonality` and `EdgePersonality`.

A node hands the name of its personality's class to its worker processes, which import it; each class is made when
it is first asked for, so importing this module alone imports nothing of Crossbar.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from zlmdb.twisted.crossbar._install import equip

_BASES: Final = {"StandalonePersonality": "crossbar.personality", "EdgePersonality": "crossbar.edge.personality"}


def __getattr__(name: str) -> Any:  # a class whose base is known only where Crossbar is installed
    if name not in _BASES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = importlib.import_module(_BASES[name]).Personality
    made = type(name, (base,), {"__module__": __name__, "__doc__": f"{base.__name__} with our stores."})
    equip(made)
    globals()[name] = made
    return made
