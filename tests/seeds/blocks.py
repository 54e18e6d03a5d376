# SPDX-License-Identifier: MIT
"""The code blocks of two guides to the published package, taken out of their texts and made to run.

The texts are kept as they were printed: code stands between prose without fences, and in ``orm-examples.txt``
without indentation too, which `indented` restores. What cannot run as printed is in ``substitutions.toml``.
"""

from __future__ import annotations

import re
import tomllib
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
TEXTS: Final = ("orm-api", "orm-examples")

_CODE: Final = re.compile(
    r"""\#|@|"{3}|(from|import)[ ]zlmdb|from[ ]uuid[ ]import|(class|def|with|for)[ ].*[:(,]$|def[ ]|return[ ]|pass$
    |\w+:[ ](UUID|str)\b            # a field of a record
    |\w[\w.]*(\[.*?\])?[ ]=[ ]      # an assignment
    |\w[\w.]*(\[.*?\]\.\w+)?\((\)|[^)].*[),])$ # a call
    """,
    re.VERBOSE,
)
_HOLDERS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("from", "import", "@table", "class", "db"), ()),
    "def": ("class",),
    "with": ("class", "def"),
    "return": ("class", "def", "with"),
}
"""The blocks that may hold a statement that begins with this word, as these texts write; others end before it."""


def blocks(text: str) -> list[str]:
    """Return the code blocks of a text: runs of lines of code, with what their brackets and quotes enclose."""
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        block = found[-1]
        if _CODE.match(line.strip()) or (block and (_is_open(block) or not line.strip())):
            block.append(line)
        elif block:
            found.append([])
    return ["\n".join(block).rstrip() for block in found if block]


def indented(block: str) -> str:
    """Return a block whose indentation was lost with its indentation; brackets and docstrings stay as they are."""
    lines: list[str] = []
    holders: list[str] = []
    word = ""
    for line in block.splitlines():
        if not _is_open(lines):
            word = line.split()[0].partition("(")[0] if line else ""
            if word in _HOLDERS:
                holders = list(takewhile(_HOLDERS[word].__contains__, holders))
        lines.append("    " * len(holders) + line)
        if line.endswith(":") and not _is_open(lines):
            holders.append(word)
    return "\n".join(lines)


def _is_open(lines: list[str]) -> bool:
    """Tell whether the last statement goes on in the next line."""
    text = "\n".join(lines)
    code = re.sub(r"#.*", "", text)
    return text.count('"""') % 2 == 1 or any(code.count(a) != code.count(b) for a, b in ("()", "[]", "{}"))


def programs() -> dict[tuple[str, int], str]:
    """Return the blocks of both texts by text and number (from 1), with the substitutions made, ready to run.

    Raises `LookupError` for a substitution that does not match as often as it says.
    """
    found = {
        (name, number): block
        for name in TEXTS
        for number, block in enumerate(blocks((HERE / f"{name}.txt").read_text()), 1)
    }
    for change in substitutions():
        place = change["text"], change["block"]
        found[place] = substituted(found[place], change)
    return {place: block if "\n    " in block else indented(block) for place, block in found.items()}


def substitutions() -> list[dict[str, Any]]:
    """Return what cannot run as printed: text, block, what is printed, what runs instead, and why."""
    found: list[dict[str, Any]] = tomllib.loads((HERE / "substitutions.toml").read_text())["substitution"]
    return found


def substituted(block: str, change: dict[str, Any]) -> str:
    """Return the block with one substitution made."""
    times = block.count(change["old"])
    if times != change.get("times", 1):
        raise LookupError(f"{change['old']!r} is there {times} times in {change['text']}, block {change['block']}")
    return block.replace(change["old"], change["new"])
