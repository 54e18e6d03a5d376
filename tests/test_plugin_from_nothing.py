# SPDX-License-Identifier: MIT
"""The page on writing a plugin, followed to the letter from an empty directory; what all pages say of installing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "writing-a-plugin.md").read_text()
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
COMMANDS = "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
PAGES = [
    ROOT / "README.md",
    *(page for place in ("docs", "examples", "schemas") for page in sorted((ROOT / place).rglob("*.md"))),
]


@pytest.mark.slow
def test_the_commands_of_the_page_lead_from_an_empty_directory_to_a_tested_plugin(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    path = os.pathsep.join([str(_bin_with_this_python(tmp_path)), os.environ.get("PATH", os.defpath)])
    apart = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ZLMDB_", "VIRTUAL_"))}
    script = COMMANDS.replace("/path/to/zlmdb", str(ROOT))
    done = subprocess.run(
        ["sh", "-e", "-x", "-c", script],
        cwd=tmp_path,
        env={**apart, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/: 2 /about: 1\n" in done.stdout
    assert re.search(r"visits +zlmdb-visits +0\.1 +zlmdb_visits:plugin +loaded", done.stdout), done.stdout
    assert re.search(r"\d+ passed", done.stdout), done.stdout


def _bin_with_this_python(directory: Path) -> Path:
    """Return a directory whose ``python3`` is the one that made this environment, and sees nothing of it."""
    places = directory.parent / f"{directory.name}-bin"
    places.mkdir()
    (places / "python3").symlink_to(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    return places


def test_no_page_has_pip_take_the_other_package_of_this_name() -> None:
    asked = [
        (page.relative_to(ROOT), wanted)
        for page in PAGES
        for command in re.findall(r"pip install[^`\n#]*", page.read_text())
        for wanted in re.findall(r"zlmdb\b(?!-)[^\"]*", command)
    ]
    assert len(asked) >= 8
    assert [each for each in asked if not re.match(r"zlmdb(\[[\w,]+\])?( @ file:///|>=27)", each[1])] == []


def test_what_the_pages_name_as_extras_are_extras_of_this_package() -> None:
    declared = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2]
    extras = set(re.findall(r"^(\w+) = \[", declared.partition("\n\n[")[0], re.MULTILINE))
    named = {
        extra
        for page in PAGES
        for listed in re.findall(r"(?:zlmdb|\"\.)\[([\w,]+)\]", page.read_text())
        for extra in listed.split(",")
    }
    assert {"cli", "plugins", "twisted"} <= named <= extras | {"test"}  # the last is the example's own
