# SPDX-License-Identifier: MIT
"""The realm store's promise against SIGKILL (what was committed) and SIGTERM (whatever was acknowledged)."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.crash import realm_traffic
from tests.crash.processes import Child
from tests.crash.realm_traffic import STORES, missing

pytestmark = [pytest.mark.crash, pytest.mark.slow]


def ended(folder: Path, durability: str, how: str, after: int, number: signal.Signals) -> tuple[list[str], str]:
    """Run the traffic, send the signal after so many acknowledgements; return all of these and the output."""
    acks = folder / "acks"
    arguments = [realm_traffic.__file__, folder, acks, durability, how, "0"]
    with Child(arguments, acks) as child:
        child.wait_for_acks(after)
        child.kill(number)
        return child.acked, child.output


@pytest.mark.parametrize("seed", range(8))
def test_what_was_committed_survives_a_kill(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    how = rng.choice(["direct", "service"])
    acked, _ = ended(tmp_path, "commit", how, rng.randint(1, 1500), signal.SIGKILL)
    assert len(set(acked)) == len(acked)
    assert missing(tmp_path, acked, STORES[how]) == []


@pytest.mark.parametrize("how", ["direct", "service"])
@pytest.mark.parametrize("durability", ["queued", "commit"])
@pytest.mark.parametrize("seed", range(2))
def test_what_was_acknowledged_survives_a_sigterm(tmp_path: Path, durability: str, how: str, seed: int) -> None:
    after = random.Random(seed).randint(1, 3000)
    acked, output = ended(tmp_path, durability, how, after, signal.SIGTERM)
    assert "the reactor has ended" in output
    assert "Traceback" not in output
    assert missing(tmp_path, acked, STORES[how]) == []


def test_a_kill_leaves_whole_events_and_exact_indexes_whatever_the_durability(tmp_path: Path) -> None:
    acked, _ = ended(tmp_path, "queued", "direct", 300, signal.SIGKILL)
    faults = missing(tmp_path, acked, STORES["direct"])
    assert all(fault.endswith(" is lost") for fault in faults)
