# SPDX-License-Identifier: MIT
"""Fixtures shared by all tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import zlmdb
from zlmdb.orm.base import FIXED_SLOTS

# the assertions of helper modules are to hold under python -O, as those of the tests do
HERE = Path(__file__).parent
HELPERS = [
    path for path in [*HERE.glob("*.py"), *HERE.glob("crash/*.py")] if not path.name.startswith(("test_", "conf"))
]
pytest.register_assert_rewrite(*(".".join(path.relative_to(HERE.parent).with_suffix("").parts) for path in HELPERS))

# a shell gives SIGINT as ignored to what it runs in the background, and the children of tests would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(params=["0.9", "1.0"])
def lib_version(request: pytest.FixtureRequest) -> str:
    """Both LMDB formats."""
    return request.param


@pytest.fixture
def db(tmp_path: Path, lib_version: str) -> Iterator[zlmdb.Database]:
    """An empty open database."""
    with zlmdb.Database(tmp_path / "db", lib_version=lib_version) as database:
        yield database


@pytest.fixture
def no_fixed_slots() -> Iterator[None]:
    """As in a process that has claimed no slot by number: the maps of other tests have."""
    claimed = set(FIXED_SLOTS)
    FIXED_SLOTS.clear()
    yield
    FIXED_SLOTS.update(claimed)
