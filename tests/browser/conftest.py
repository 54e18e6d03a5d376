# SPDX-License-Identifier: MIT
"""These tests run in the environment of ``make test-browser`` alone, which has what drives the browser."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("selenium") else ["test_*.py"]

pytest.register_assert_rewrite("tests.browser.chromium", "tests.router_bench")
