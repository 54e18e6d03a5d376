# SPDX-License-Identifier: MIT
"""Our realm store and cookie store in a published Crossbar.io node, under the configuration keys that it has.

``zlmdb-crossbar`` takes the arguments of ``crossbar`` and runs the node with them. Nothing of Crossbar's files is
changed: its worker processes import the class of their personality by name, so a node whose personality is one of
`zlmdb.twisted.crossbar.personalities` has our stores in all its processes.
"""

from zlmdb.twisted.crossbar._install import install
from zlmdb.twisted.crossbar._launcher import main

__all__ = ["install", "main"]
