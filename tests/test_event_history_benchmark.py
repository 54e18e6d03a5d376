# SPDX-License-Identifier: MIT
"""The benchmark of the history runs to its end, and says what it looked for; its times are not judged here."""

import pytest

from tests.crash.processes import run_python

pytestmark = pytest.mark.slow


def test_the_benchmark_finds_what_it_put_there() -> None:
    lines = run_python(["-m", "benchmarks.history", "--events", "10000"], timeout=120).splitlines()
    assert lines[0].startswith("10,000 events")
    (rare,) = (line for line in lines if line.startswith("ad-hoc wildcard"))
    assert "1 found in 2 pages" in rare
    (sweep,) = (line for line in lines if line.startswith("sweep of"))
    assert "1,000 expired events" in sweep
    assert sum(line.startswith("page of 100") for line in lines) == 8
