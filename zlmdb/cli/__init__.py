# SPDX-License-Identifier: MIT
"""The command ``zlmdb``, also ``python -m zlmdb``: look at databases, check, copy and compact them, list plugins.

It needs the extra ``cli``. Exit codes: 0 done; 1 an error, told on stderr, or `zlmdb check` or
`zlmdb plugins --check` found something wrong; 2 wrong usage; 3 the extra is not installed; 130 interrupted.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_NOT_INSTALLED = 3


def main() -> None:
    """Run the command line of this process, and exit."""
    try:
        import click as _click  # noqa: F401  all other modules of this package need it
    except ImportError:
        sys.exit(_say_what_is_missing())
    from zlmdb.cli.commands import zlmdb

    zlmdb()


def _say_what_is_missing() -> int:
    sys.stderr.write("error: the command zlmdb needs the library click\n  next: pip install zlmdb[cli]\n")
    return _NOT_INSTALLED
