# SPDX-License-Identifier: MIT
"""The published programs import this package, are content with its version, and report it as theirs."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import autobahn
import flatbuffers
import pytest
import txaio

import zlmdb
from tests.clients.node import CROSSBAR

ROOT = Path(__file__).resolve().parent.parent.parent


def prints(code: str, folder: Path) -> str:
    """What a fresh interpreter prints, in a folder that has no package of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_installed_zlmdb_is_this_checkout(tmp_path: Path) -> None:
    assert prints("import zlmdb; print(zlmdb.__file__)", tmp_path) == str(ROOT / "zlmdb" / "__init__.py")
    assert metadata.version("zlmdb") == zlmdb.__version__


def test_the_requirements_of_all_installed_packages_hold() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("program", ["cfxdb", "crossbar", "xbr", "autobahn"])
def test_a_program_is_imported_alone(program: str, tmp_path: Path) -> None:
    assert prints(f"import {program}; print({program}.__name__)", tmp_path) == program


def test_generated_code_of_cfxdb_uses_the_one_flatbuffers(tmp_path: Path) -> None:
    code = "import cfxdb, flatbuffers, zlmdb; print(zlmdb.flatbuffers is flatbuffers, flatbuffers.__file__)"
    assert prints(code, tmp_path) == f"True {flatbuffers.__file__}"


def test_xbr_finds_the_reflection_of_flatbuffers(tmp_path: Path) -> None:
    code = "import sys, xbr; print('zlmdb.flatbuffers.reflection.Schema' in sys.modules)"
    assert prints(code, tmp_path) == "True"


def test_both_sides_agree_on_the_version_of_flatbuffers() -> None:
    assert autobahn.check_zlmdb_flatbuffers_version_in_sync() == zlmdb.check_autobahn_flatbuffers_version_in_sync()


def test_opening_a_database_chooses_no_framework_for_the_process(tmp_path: Path) -> None:
    code = "import zlmdb; zlmdb.Database('db').close(); import cfxdb, txaio; print(txaio.using_twisted)"
    assert prints(code, tmp_path) == "True"
    assert txaio.__name__ == "txaio"


def test_crossbar_reports_the_versions_of_this_package() -> None:
    done = subprocess.run([CROSSBAR, "version"], capture_output=True, text=True, check=True)
    lines = {
        key.strip(): value.strip() for key, _, value in (line.partition(" : ") for line in done.stdout.splitlines())
    }
    assert lines["zLMDB"] == zlmdb.__version__
    new, old = (".".join(map(str, zlmdb.lmdb.version(lib_version=major))) for major in (1, 0))
    assert lines["LMDB"] == f"{zlmdb.lmdb.__version__}/lmdb-{new} (new databases), lmdb-{old}"
