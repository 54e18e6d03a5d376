# SPDX-License-Identifier: MIT
"""``python -m zlmdb``: the command line."""

from zlmdb.cli import main

main()
