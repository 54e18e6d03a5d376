# SPDX-License-Identifier: MIT
"""Optional libraries: imported at first use, with an error that says what to install."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from zlmdb.errors import MissingDependency


def require(module: str, *, extra: str | None = None, package: str | None = None) -> Any:
    """Import ``module`` and return it (as Any: checkers see no attributes of a module found at run time).

    Raises `MissingDependency` naming ``pip install zlmdb[extra]``, or ``pip install package`` without an extra.
    """
    try:
        found: ModuleType = importlib.import_module(module)
    except ImportError as error:
        wanted = f"zlmdb[{extra}]" if extra else package or module
        raise MissingDependency(
            f"the library {module!r} is needed and cannot be imported",
            got=str(error),
            next_step=f"pip install {wanted}",
            extra=extra or "",
        ) from error
    return found
