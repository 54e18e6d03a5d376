# SPDX-License-Identifier: MIT
"""docs/files.md says of each kind what the tests here find; needs no published package."""

from __future__ import annotations

import re
from pathlib import Path

from tests.compat.ways import ALL_OTHERS, WAYS, Way, way_of
from zlmdb.codecs import PUBLISHED_MAPS, UPGRADED

FILES = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table that begins with the heading."""
    lines = FILES[FILES.index(heading) :].splitlines()[2:]
    end = next((at for at, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:end]]


def test_the_table_says_of_every_kind_which_way_it_goes() -> None:
    said = [Way(frozenset(re.findall(r"`(\w+)`", kinds)), *ways) for kinds, *ways, _ in rows("| kind of table")]
    assert set(said) == set(WAYS)
    assert len(said) == len(WAYS)
    assert rows("| kind of table")[0][0] == "all others"


def test_keys_are_called_keys_and_values_values() -> None:
    keys, values = ({kinds[at] for kinds in PUBLISHED_MAPS.values()} for at in (0, 1))
    for kinds, *_ in rows("| kind of table")[1:]:
        assert set(re.findall(r"`(\w+)`", kinds)) <= (keys if kinds.endswith("keys") else values)


def test_each_published_map_goes_one_way() -> None:
    assert str(len(PUBLISHED_MAPS)) in FILES
    for name, kinds in PUBLISHED_MAPS.items():
        assert len([way for way in WAYS if way.kinds.intersection(kinds)]) <= 1, name
        assert (way_of(name).to_ours == "upgraded") == (kinds[0] in UPGRADED or kinds[1] in {"OidSet", "UuidSet"})
    assert way_of("MapUuidCbor") is ALL_OTHERS
