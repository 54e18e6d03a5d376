# SPDX-License-Identifier: MIT
"""Every test of this folder runs with Deferreds on a reactor and with futures on an asyncio loop."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faces import FACES, Face


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Face:
    """Either face."""
    return FACES[request.param]


@pytest.fixture
def using(face: Face, tmp_path: Path) -> Any:
    """Run ``test(db, map)`` with an open database in ``tmp_path / "db"``: see `Face.using`."""
    return partial(face.using, tmp_path / "db")
