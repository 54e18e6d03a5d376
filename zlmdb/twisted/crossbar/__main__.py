# SPDX-License-Identifier: MIT
"""``python -m zlmdb.twisted.crossbar`` is ``zlmdb-crossbar``."""

from zlmdb.twisted.crossbar import main

main()
