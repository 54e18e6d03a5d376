# SPDX-License-Identifier: MIT
"""What either face has answered was synced before: writes that were not, dropped at any point, take none of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import face_traffic
from tests.crash.recording import Recording, record
from tests.crash.replays import faults, faults_at_random
from tests.faces import FACES

pytestmark = [pytest.mark.crash, pytest.mark.slow]

COUNT = 300


def recorded(folder: Path, face: str, durability: str) -> Recording:
    folder.mkdir(exist_ok=True)
    arguments = [face_traffic.__file__, folder, folder / "acks", face, durability, str(COUNT)]
    made = record(arguments, folder, data="db/data.mdb")
    assert len(made.acks) == COUNT
    return made


@pytest.fixture(scope="module", params=FACES)
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recorded(tmp_path_factory.mktemp("recorded"), request.param, "commit")


def test_each_answer_comes_after_the_sync_that_covers_it(recording: Recording, tmp_path: Path) -> None:
    cuts = [ack.position for ack in recording.acks[:: face_traffic.BURST // 4]]
    assert faults(recording, face_traffic, tmp_path, cuts, None) == [[]] * len(cuts)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_else_reached_the_disk_does_no_harm(recording: Recording, tmp_path: Path, seed: int) -> None:
    assert faults_at_random(recording, face_traffic, tmp_path, seed) == []


@pytest.mark.parametrize("face", FACES)
def test_an_answer_on_acceptance_is_seen_to_be_lost(tmp_path: Path, face: str) -> None:
    made = recorded(tmp_path / "recorded", face, "queued")
    (lost,) = faults(made, face_traffic, tmp_path / "cut", [made.acks[0].position], None)
    assert lost == ["0 is lost"]
    assert faults(made, face_traffic, tmp_path / "end", [made.end], None) == [[]]
