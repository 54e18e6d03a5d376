# SPDX-License-Identifier: MIT
"""The published package, in a virtual environment and a process of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.compat.wire", "tests.compat.program", "tests.compat.samples", "tests.compat.ways")

from tests.compat.wire import packed, unpacked  # noqa: E402  after the line above, which concerns it

HERE = Path(__file__).parent
COMPAT = Path(os.environ.get("ZLMDB_COMPAT", HERE.parent.parent / "build" / "compat"))
PYTHON = COMPAT / "bin" / "python"


class Published:
    """Runs programs on the published package. -I keeps out our package, and options such as PYTHONOPTIMIZE."""

    def __call__(self, path: Path | None, **request: Any) -> Any:
        """Serve one request; see `tests.compat.program`."""
        text = json.dumps(packed({"path": path and str(path), **request}))
        command = [str(PYTHON), "-I", str(HERE / "program.py")]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return unpacked(json.loads(done.stdout))


@pytest.fixture(scope="session")
def published() -> Published:
    """The published package; without its environment the test is skipped."""
    if not (COMPAT / ".installed").exists():  # which is made last: other tests may run while it is being installed
        pytest.skip(f"the published package is not installed in {COMPAT}: make test-compat does it")
    return Published()
