# SPDX-License-Identifier: MIT
"""The names that existing programs import: the functions among them, and all of them for type checkers.

At run time the names resolve in ``zlmdb.__getattr__``; checkers read ``zlmdb/__init__.pyi``, which
``python -m zlmdb.compat`` writes to standard output.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

import zlmdb
from zlmdb.codecs import PUBLISHED_MAPS, VALUE_NAMES, key_codec, set_member
from zlmdb.codecs.optional import require
from zlmdb.errors import VersionsDiffer

_KEYS: Final = {
    "Uuid": "UUID",
    "Oid": "int",
    "Uint8": "int",
    "Uint16": "int",
    "Uint64": "int",
    "Slot": "int",
    "Timestamp": "Time",
    "String": "str",
    "Bytes": "bytes",
    "Bytes16": "bytes",
    "Bytes20": "bytes",
    "Bytes32": "bytes",
}
_VALUES: Final = {**_KEYS, "Bytes20Timestamp": "tuple[bytes, Time]", "Numpy": "ndarray[Any, Any]"}

_HEAD: Final = """# SPDX-License-Identifier: MIT
# written by: python -m zlmdb.compat
from typing import Any
from uuid import UUID

from numpy import datetime64, ndarray
from typing_extensions import TypeVar

"""
_MIDDLE: Final = """
__all__: list[str]
__version__: str

V = TypeVar("V", default=Any)
Time = datetime64 | int

# any other composition of kinds is a name too
def __getattr__(name: str) -> Any: ...

"""


def setup_flatbuffers_import() -> None:
    """Load ``flatbuffers`` and its modules; with the package of PyPI there is nothing else to set up.

    Raises `MissingDependency`.
    """
    require("zlmdb.flatbuffers", package="flatbuffers")


def check_autobahn_flatbuffers_version_in_sync() -> str:
    """Return the version of FlatBuffers that this package and autobahn both have.

    Raises `VersionsDiffer`, and `MissingDependency` without autobahn.
    """
    theirs = require("autobahn.flatbuffers", package="autobahn").__version__
    ours: str = require("flatbuffers").__version__
    if theirs != ours:
        raise VersionsDiffer(
            "autobahn carries another version of FlatBuffers",
            where="zlmdb.flatbuffers",
            got=theirs,
            expected=ours,
            next_step=f"pip install flatbuffers=={theirs}",
        )
    return ours


def key_type(kind: str) -> str:
    """Return the Python type of a key kind, as an annotation."""
    codec = key_codec(kind)
    return f"tuple[{', '.join(_KEYS[part.name] for part in codec.parts)}]" if codec.parts else _KEYS[codec.name]


def map_names() -> dict[str, tuple[str, str]]:
    """Return the names that the stub spells out: the published ones, and each single key with each value."""
    singles = {f"Map{key}{value}": (key, value) for key in _KEYS for value in VALUE_NAMES}
    return dict(sorted({**singles, **PUBLISHED_MAPS}.items()))


def stub() -> str:
    """Return the text of ``zlmdb/__init__.pyi``."""
    classes = "\n".join(map(_class, map_names().items()))
    return f"{_HEAD}{_exports()}{_MIDDLE}{classes}\n"


def _exports() -> str:
    # in a stub only `name as name` is an export
    tree = ast.parse(Path(zlmdb.__file__).read_text(encoding="utf-8"))
    return "".join(
        f"from {node.module} import {alias.name} as {alias.name}\n"
        for node in [*tree.body, *(inner for block in tree.body if isinstance(block, ast.If) for inner in block.body)]
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("zlmdb")
        for alias in node.names
        if alias.name in zlmdb.__all__
    )


def _class(item: tuple[str, tuple[str, str]]) -> str:
    name, (key, value) = item
    member = set_member(value)
    if member is not None:
        base = f"SetMap[{key_type(key)}, {_KEYS[member.name]}]"
    else:
        base = f"Map[{key_type(key)}, {_VALUES.get(value, 'V')}]"
    return f"class {name}({base}): ..."


if __name__ == "__main__":
    sys.stdout.write(stub())
