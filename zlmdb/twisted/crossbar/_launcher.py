# SPDX-License-Identifier: MIT
"""The command ``zlmdb-crossbar``: the command ``crossbar``, with our stores."""

from __future__ import annotations

import sys
from typing import Final

from zlmdb.errors import MissingDependency, ZlmdbError
from zlmdb.twisted.crossbar._install import install, installed_crossbar

_WITHOUT_NODE: Final = ("shell", "quickstart", "quickstart-venv", "version", "legal", "-h", "--help")
_OTHER_NODES: Final = ("master", "network")


def main() -> None:
    """Run Crossbar's command line with our stores installed; does not return.

    Exits with 1 if Crossbar is not installed, or if the node asked for is none that can have our stores.
    """
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    try:
        crossbar = installed_crossbar()
        if command in _OTHER_NODES:
            sys.exit(
                f"zlmdb-crossbar {command}: nodes with our stores are standalone or edge. Next: crossbar {command}"
            )
        if command not in _WITHOUT_NODE:
            install()
    except (MissingDependency, ZlmdbError) as error:
        sys.exit(f"zlmdb-crossbar: {error}")
    sys.exit(crossbar.run())
