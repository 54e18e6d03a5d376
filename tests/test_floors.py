# SPDX-License-Identifier: MIT
"""The floors of the house: what may import what, read from the syntax tree of every module."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# floor of each place; a module imports only floors below its own, and its own place
FLOORS = {
    "zlmdb.errors": 0,
    "zlmdb.codecs": 1,
    "zlmdb.storage": 2,
    "zlmdb.orm": 3,
    "zlmdb": 3.5,  # the package itself shows the core
    "zlmdb.compat": 3.6,
    "zlmdb.workers": 4,
    "zlmdb.testing.doubles": 4.5,
    "zlmdb.configuration": 5,
    "zlmdb.entrypoints": 5,
    "zlmdb.plugins": 5.1,
    "zlmdb.twisted": 6,
    "zlmdb.aio": 6,
    "zlmdb.cli": 6,
    "zlmdb.__main__": 6.5,
    "zlmdb.testing": 6.5,
    "zlmdb.testing.fixtures": 6.6,
}
CORE = {"zlmdb.errors", "zlmdb.codecs", "zlmdb.storage", "zlmdb.orm", "zlmdb", "zlmdb.compat", "zlmdb.workers"}
LOOPS = {"twisted", "txaio", "asyncio", "klein", "treq"}
PUBLIC = {
    "zlmdb",
    "zlmdb.aio",
    "zlmdb.codecs",
    "zlmdb.codecs.flatbuffers",
    "zlmdb.errors",
    "zlmdb.plugins",
    "zlmdb.twisted",
    "zlmdb.testing",
}


def modules(*folders: str) -> dict[str, Path]:
    found = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to((ROOT / folder).parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    assert found
    return found


def imports(name: str, path: Path) -> list[tuple[str, bool]]:
    """All modules that a module imports, wherever in it; True for those inside functions."""
    tree = ast.parse(path.read_text())
    inner = {
        child
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for child in ast.walk(function)
    }
    for_checkers = {
        child
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for statement in block.body
        for child in ast.walk(statement)
    }
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = []
    for node in ast.walk(tree):
        if node in for_checkers:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node in inner) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            target = ".".join(part for part in (base, node.module) if part)
            found += [(f"{target}.{alias.name}", node in inner) for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [(str(name.value), node in inner) for name in node.args if isinstance(name, ast.Constant)]
    return found


def place(module: str) -> str:
    """The place of the house that a dotted name lies in."""
    return max((known for known in FLOORS if module == known or module.startswith(known + ".")), key=len)


ZLMDB = modules("zlmdb")


@pytest.mark.parametrize("name", ZLMDB)
def test_a_module_imports_only_floors_below_its_own(name: str) -> None:
    here = place(name)
    for target, _ in imports(name, ZLMDB[name]):
        if target == "zlmdb" or target.startswith("zlmdb."):
            there = place(target)
            assert there == here or FLOORS[there] < FLOORS[here], f"{name} imports {target}"


@pytest.mark.parametrize("name", ZLMDB)
def test_only_the_storage_floor_imports_lmdb(name: str) -> None:
    if place(name) != "zlmdb.storage" and name != "zlmdb.lmdb":  # which is nothing but that name
        assert not [target for target, _ in imports(name, ZLMDB[name]) if target.split(".")[0] == "lmdb"]


@pytest.mark.parametrize("name", [name for name in ZLMDB if place(name) in CORE])
def test_the_core_imports_no_event_loop_anywhere_and_numpy_only_when_it_is_used(name: str) -> None:
    for target, inside_a_function in imports(name, ZLMDB[name]):
        library = target.split(".")[0]
        assert library not in LOOPS, f"{name} imports {target}"
        assert library != "numpy" or inside_a_function, f"{name} imports {target} when it is loaded"


SCHEMAS = modules(*(str(path.relative_to(ROOT)) for path in sorted((ROOT / "schemas").glob("*/zlmdb_*"))))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_bundled_schema_uses_only_the_public_api(name: str) -> None:
    for target, _ in imports(name, SCHEMAS[name]):
        if target.split(".")[0] == "zlmdb":
            assert target in PUBLIC or target.rpartition(".")[0] in PUBLIC, f"{name} imports {target}"
            assert not any(part.startswith("_") for part in target.split(".")), f"{name} imports {target}"


@pytest.mark.parametrize("name", ZLMDB)
def test_no_module_of_the_package_knows_a_bundled_schema(name: str) -> None:
    assert not [target for target, _ in imports(name, ZLMDB[name]) if target.startswith("zlmdb_")]


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after ``statement``."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


def test_importing_the_package_stays_light() -> None:
    loaded = loaded_by("import zlmdb")
    tops = {module.split(".")[0] for module in loaded}
    assert "zlmdb" in tops
    assert not tops & {"numpy", "twisted", "asyncio", "cbor2", "flatbuffers", "pydantic", "txaio", "json", "pickle"}
    assert len(loaded) < 125, sorted(loaded)  # a count of modules holds on any machine, a time does not


def test_using_a_database_needs_no_numpy() -> None:
    loaded = loaded_by(
        "import zlmdb; db = zlmdb.Database(); txn = db.begin(write=True); txn.__enter__();"
        "zlmdb.MapStringString(1)[txn, 'a'] = 'b'; txn.__exit__(None, None, None); db.close()"
    )
    assert not {module.split(".")[0] for module in loaded} & {"numpy", "twisted", "asyncio"}
