# SPDX-License-Identifier: MIT
"""``zlmdb.flatbuffers``, the name under which existing programs import FlatBuffers.

It is the ``flatbuffers`` of PyPI, the same module, and has ``reflection`` besides, which that one lacks.
"""

import sys
from typing import TYPE_CHECKING, Any

import flatbuffers
from flatbuffers import builder, compat, encode, number_types, packer, table, util

# `import zlmdb.flatbuffers.builder` finds the one module of each, and makes no second copy of its classes
for _module in (builder, compat, encode, number_types, packer, table, util):
    sys.modules[f"{__name__}.{_module.__name__.rpartition('.')[2]}"] = _module

from zlmdb.flatbuffers import reflection  # noqa: E402  it builds on the modules above

setattr(flatbuffers, "reflection", reflection)  # noqa: B010  checkers know no such attribute
sys.modules[__name__] = flatbuffers

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
