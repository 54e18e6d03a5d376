# SPDX-License-Identifier: MIT
"""These tests run in the environment of ``make test-crossbar`` alone, which has the published programs."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("crossbar") else ["test_*.py"]

pytest.register_assert_rewrite("tests.crossbar.node")
