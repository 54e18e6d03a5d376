# SPDX-License-Identifier: MIT
"""SIGKILL during random writes: what was acknowledged is there, nothing is there by half, and indexes are exact."""

import json
from pathlib import Path

import pytest

from tests.crash import kill_rounds
from tests.crash.processes import run_python

pytestmark = [pytest.mark.crash, pytest.mark.slow]

ROUNDS = 100


@pytest.mark.parametrize("lib_version", ["0.9", "1.0"])
def test_every_acknowledged_transaction_survives_every_kill(tmp_path: Path, lib_version: str) -> None:
    output = run_python([kill_rounds.__file__, tmp_path / "db", lib_version, str(ROUNDS), "1"], timeout=240)
    rounds = [json.loads(line) for line in output.splitlines()]
    assert len(rounds) == ROUNDS
    assert [found for _, _, found in rounds if found] == []
    assert rounds[-1][1] > ROUNDS  # transactions in the end: each round added to what the last had left
