# SPDX-License-Identifier: MIT
"""The realm store's promise against a power cut: what a commit acknowledged was synced before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import realm_traffic
from tests.crash.recording import Recording, record
from tests.crash.replays import faults, faults_at_random

pytestmark = [pytest.mark.crash, pytest.mark.slow]

COUNT = 150


def recorded(folder: Path, durability: str) -> Recording:
    folder.mkdir(exist_ok=True)
    arguments = [realm_traffic.__file__, folder, folder / "acks", durability, "direct", str(COUNT)]
    made = record(arguments, folder, data="db/data.mdb")
    assert len(made.acks) == COUNT
    return made


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recorded(tmp_path_factory.mktemp("recorded"), "commit")


def batches(recording: Recording) -> list[int]:
    """Return the position of each acknowledgement before which the file changed."""
    changed = [change.start for change in recording.changes]
    found, before = [], -1
    for ack in recording.acks:
        if any(before < start <= ack.position for start in changed):
            found.append(ack.position)
        before = ack.position
    return found


def test_each_acknowledgement_comes_after_the_sync_that_covers_it(recording: Recording, tmp_path: Path) -> None:
    cuts = sorted({*batches(recording), *(ack.position for ack in recording.acks[::10]), recording.acks[-1].position})
    assert len(batches(recording)) > 1
    assert faults(recording, realm_traffic, tmp_path, cuts, None) == [[]] * len(cuts)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_else_reached_the_disk_does_no_harm(recording: Recording, tmp_path: Path, seed: int) -> None:
    assert faults_at_random(recording, realm_traffic, tmp_path, seed) == []


def test_an_acknowledgement_on_acceptance_is_seen_to_be_lost(tmp_path: Path) -> None:
    made = recorded(tmp_path / "recorded", "queued")
    (lost,) = faults(made, realm_traffic, tmp_path / "cut", [made.acks[0].position], None)
    assert lost == [f"{made.acks[0].id} is lost"]
    (lost,) = faults(made, realm_traffic, tmp_path / "end", [made.end], None)
    assert lost == []
