# SPDX-License-Identifier: MIT
"""Instances made of a dict that has their fields and nothing else, without a call of their class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any


@dataclass(frozen=True, slots=True)
class Filling:
    """How it is done, for those who do it without a further call.

    ``has_all(plain)`` raises KeyError unless all of the ``size`` fields are there; ``set_dict(instance, plain)`` does
    it.
    """

    cls: type
    size: int
    has_all: Callable[[Any], Any]
    set_dict: Callable[[Any, Any], None]


def filling(cls: type, names: Sequence[str]) -> Filling:
    """Return how instances of ``cls``, which keeps the fields of these names in its ``__dict__``, are filled."""
    # past the __setattr__ of frozen classes
    set_dict = next(base.__dict__["__dict__"] for base in cls.__mro__ if "__dict__" in base.__dict__).__set__
    # looking all of them up takes half the time of comparing the names
    return Filling(cls, len(names), itemgetter(*names) if names else bool, set_dict)
