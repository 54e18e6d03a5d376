# SPDX-License-Identifier: MIT
"""SIGKILL during the upgrade of a table: the next attachment goes on, and ends as an uninterrupted one does."""

import json
from pathlib import Path

import pytest

from tests.crash import upgrade_kills
from tests.crash.processes import run_python

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("lib_version", ["0.9", "1.0"])
@pytest.mark.parametrize("name", ["MapOidTimestampOid", "MapStringTimestampCbor", "MapUuidUuidSet"])
def test_an_upgrade_that_is_killed_anywhere_is_resumed(tmp_path: Path, lib_version: str, name: str) -> None:
    output = run_python([upgrade_kills.__file__, tmp_path, lib_version, name], timeout=120)
    kills = [json.loads(line) for line in output.splitlines()]
    assert [kill for kill in kills if kill[2]] == []
    assert {place for place, _, _ in kills} == {"before commit", "after commit", "write"}
    assert len(kills) >= 2 * (upgrade_kills.RECORDS // upgrade_kills.SLICE + 1) + upgrade_kills.PLACES
