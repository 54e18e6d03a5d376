# SPDX-License-Identifier: MIT
"""``zlmdb plugins``, the environment variables that restrict plugins, and the options of a configuration in words."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pydantic
import pytest
from click.testing import CliRunner, Result
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from zlmdb.cli.commands import zlmdb as command
from zlmdb.configuration import Option, describe
from zlmdb.entrypoints import Policy
from zlmdb.errors import ConfigError, PluginError, PluginMissing
from zlmdb.plugins import Registry
from zlmdb.twisted.stores import StoreService

GOOD = """
import dataclasses
from zlmdb.plugins import API_VERSION, Plugin

@dataclasses.dataclass
class Config:
    path: str
    max_size: int = 5

plugin = Plugin("{name}", API_VERSION, 7, Config, lambda config, context: None)
"""

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def unrestricted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variables that those who run the tests may have set."""
    monkeypatch.delenv("ZLMDB_PLUGINS", raising=False)
    monkeypatch.delenv("ZLMDB_PLUGINS_STRICT", raising=False)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution that offers one plugin."""
    modules: list[str] = []

    def install(distribution: str, name: str, source: str = GOOD, entries: str | None = None) -> None:
        module = f"zc_{distribution}"
        modules.append(module)
        site = tmp_path / distribution
        info = site / f"{distribution}-1.2.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(source.format(name=name))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(entries or f"[zlmdb.plugins]\n{name} = {module}:plugin\n")
        monkeypatch.syspath_prepend(site)

    yield install
    for module in modules:
        sys.modules.pop(module, None)


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(command, ["plugins", *arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def listed(*arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(run("--json", *arguments, code=code).stdout)}


# --- the command -------------------------------------------------------------------------------------


def test_the_list_is_made_of_metadata_and_imports_nothing(install: Install) -> None:
    install("acme", "store", "raise SystemExit('imported')")
    assert listed()["store"] == {
        "name": "store",
        "distribution": "acme",
        "version": "1.2",
        "value": "zc_acme:plugin",
        "state": "found",
        "reason": None,
    }
    assert "zc_acme" not in sys.modules
    assert "zc_acme:plugin" in run().stdout


def test_the_bundled_plugins_are_listed_without_being_imported() -> None:
    code = (
        "import sys; sys.argv = ['zlmdb', 'plugins']; from zlmdb.cli import main\n"
        "try: main()\nexcept SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "realmstore" in done.stdout
    assert not {"zlmdb_realmstore", "zlmdb_cookiestore", "pydantic", "twisted"} & set(done.stdout.split())


def test_check_imports_them_and_tells_the_version_of_the_schema(install: Install) -> None:
    install("acme", "store")
    told = listed("--check")
    assert (told["store"]["state"], told["store"]["schema_version"], told["store"]["api"]) == ("loaded", 7, [1, 0])
    assert {"realmstore", "eventhistory", "cookiestore"} <= {name for name in told if told[name]["state"] == "loaded"}


@pytest.mark.parametrize("source", ["1 / 0", "import zc_not_there", "raise SystemExit(0)", "plugin = 5", ""])
def test_check_tells_why_a_plugin_cannot_be_used_and_ends_with_1(install: Install, source: str) -> None:
    install("acme", "broken", source)
    result = run("--check", code=1)
    assert "error: " in result.stderr
    assert "broken" in result.stderr
    told = listed("--check", code=1)
    assert told["broken"]["state"] == "failed"
    assert told["broken"]["reason"]
    assert told["realmstore"]["state"] == "loaded"


def test_check_tells_of_a_plugin_whose_error_has_no_text_and_goes_on(install: Install) -> None:
    install("acme", "broken", "from tests.plugin_samples import Unspeakable\nraise Unspeakable")
    install("sound", "store")
    told = listed("--check", code=1)
    assert (told["broken"]["state"], told["store"]["state"]) == ("failed", "loaded")
    assert "Unspeakable whose str fails: ValueError" in told["broken"]["reason"]


@pytest.mark.parametrize("arguments", [["--check"], ["--config", "store"]])
def test_what_a_plugin_prints_at_its_import_is_no_part_of_the_output(install: Install, arguments: list[str]) -> None:
    install("acme", "store", "import sys\nprint('hello')\nsys.stdout.write('there')\n" + GOOD)
    result = run("--json", *arguments)
    assert isinstance(json.loads(result.stdout), list)
    assert "hello\nthere" in result.stderr
    assert "hello" not in run(*arguments).stdout


def test_check_ends_with_0_if_only_plugins_that_are_not_required_are_broken(install: Install) -> None:
    install("acme", "broken", "1 / 0")
    install("good", "store")
    assert listed("--check", "store", "acme:broken", code=1)["broken"]["state"] == "failed"
    assert listed("--check", "store", "zlmdb:realmstore", "zc_good:plugin")["broken"]["state"] == "failed"
    assert "there is no such plugin" in run("--check", "nowhere", code=1).stderr


def test_a_name_offered_twice_fails_with_both_distributions_when_it_is_required(install: Install) -> None:
    install("first", "twice")
    install("second", "twice")
    assert "first:twice or second:twice" in run("--check", "twice", code=1).stderr
    run("--check", "first:twice", "second:twice")


def test_a_damaged_distribution_is_told_and_fails_a_check_of_all(install: Install) -> None:
    install("bad", "x", entries="[zlmdb.plugins]\nno equals sign\n")
    assert listed()[""]["state"] == "failed"
    assert "metadata of the distribution cannot be read" in run(code=0).stderr
    run("--check", code=1)
    run("--check", "realmstore")


def test_config_prints_the_options_of_a_plugin_with_types_and_defaults(install: Install) -> None:
    install("acme", "store")
    assert json.loads(run("--config", "store", "--json").stdout) == [
        {"path": "path", "expected": "str", "required": True, "default": None},
        {"path": "max-size", "expected": "int", "required": False, "default": "5"},
    ]
    text = run("--config", "zlmdb:realmstore").stdout
    assert "event-history[].uri" in text
    assert '"wait", "drop-oldest" or "error"' in text


def test_config_of_a_plugin_that_is_missing_or_broken_is_an_error(install: Install) -> None:
    install("acme", "broken", "1 / 0")
    assert "there is no such plugin" in run("--config", "nowhere", code=1).stderr
    assert "ZeroDivisionError" in run("--config", "broken", code=1).stderr


@pytest.mark.parametrize("arguments", [["store"], ["--check", "--config", "x"], ["--config", "x", "y"], ["--chek"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    run(*arguments, code=2)


# --- what the environment allows ---------------------------------------------------------------------


def test_the_environment_names_the_plugins_that_may_be_used(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme", "store")
    monkeypatch.setenv("ZLMDB_PLUGINS", " store , zlmdb:realmstore,")
    assert sorted(listed()) == ["realmstore", "store"]
    registry = Registry()
    assert registry.load("store") is registry.load("acme:store")
    assert registry.load("realmstore").name == "realmstore"
    with pytest.raises(PluginError, match="ZLMDB_PLUGINS does not allow") as caught:
        registry.load("cookiestore")
    assert (caught.value.step, caught.value.next_step) == (
        "find",
        "add it there, or unset the variable, which allows all",
    )
    with pytest.raises(PluginError, match="does not allow"):
        registry.load("zlmdb_cookiestore:plugin")
    with pytest.raises(PluginMissing):
        Registry(Policy()).load("nowhere")
    assert Registry(Policy()).load("cookiestore")


def test_an_empty_variable_allows_no_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZLMDB_PLUGINS", "")
    assert listed() == {}
    with pytest.raises(PluginError, match="expected one of none"):
        Registry().load("realmstore")


def test_a_plugin_without_an_entry_point_is_allowed_by_its_reference(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme", "store")
    monkeypatch.setenv("ZLMDB_PLUGINS", "zc_acme:plugin")
    assert Registry().load("zc_acme:plugin").name == "store"


def test_check_requires_what_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZLMDB_PLUGINS", "realmstore")
    run("--check")
    monkeypatch.setenv("ZLMDB_PLUGINS", "realmstore,nowhere")
    assert "there is no such plugin" in run("--check", code=1).stderr


def test_strict_makes_a_damaged_distribution_and_a_name_offered_twice_errors(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZLMDB_PLUGINS_STRICT", "1")
    run()
    install("first", "twice")
    install("second", "twice")
    with pytest.raises(PluginError, match="second:twice or first:twice"):
        Registry().found()
    install("bad", "x", entries="[zlmdb.plugins]\nno equals sign\n")
    assert "metadata of the distribution cannot be read" in run(code=1).stderr
    with pytest.raises(PluginError, match="cannot be read"):
        Registry().load("realmstore")
    monkeypatch.setenv("ZLMDB_PLUGINS_STRICT", "0")
    assert Registry().load("realmstore")


FAILING = GOOD.replace("lambda config, context: None", "lambda config, context: Store()").replace(
    "@dataclasses",
    """
class Store:
    def attach(self): 1 / 0
    migrate = start = drain = stop = lambda self: None

@dataclasses""",
)


@pytest.mark.parametrize(("variable", "fails"), [("0", False), ("1", True)])
def test_strict_makes_a_store_that_fails_to_start_fail_the_service(
    install: Install, monkeypatch: pytest.MonkeyPatch, variable: str, fails: bool
) -> None:
    install("acme", "failing", FAILING)
    monkeypatch.setenv("ZLMDB_PLUGINS_STRICT", variable)
    service = StoreService({"stores": [{"type": "failing", "path": "x"}]}, MemoryReactorClock())
    service.startService()
    outcome: list[object] = []
    service.started.addBoth(outcome.append)
    assert isinstance(outcome[0], Failure) is fails


def test_a_variable_that_is_no_switch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZLMDB_PLUGINS_STRICT", "maybe")
    with pytest.raises(ConfigError, match="ZLMDB_PLUGINS_STRICT: not a switch; got 'maybe'; expected 0 or 1"):
        Registry()
    assert "ZLMDB_PLUGINS_STRICT" in run(code=1).stderr


# --- options -----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Inner:
    uri: str
    limit: Annotated[int, pydantic.Field(ge=1)] = 3


@dataclasses.dataclass
class Outer:
    one: Inner
    some: list[Inner] = dataclasses.field(default_factory=list)
    by_name: dict[str, Inner] | None = None
    counted: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass
class Wrong:
    one: "Nowhere"  # type: ignore[name-defined]  # noqa: F821, UP037


def test_options_within_others_stand_behind_them() -> None:
    assert [option.path for option in describe(Outer)] == [
        *("one", "one.uri", "one.limit"),
        *("some", "some[].uri", "some[].limit"),
        *("by-name", "by-name.*.uri", "by-name.*.limit"),
    ]
    assert describe(Inner, "x") == [
        Option("x.uri", "str", True, None),
        Option("x.limit", "int >= 1", False, "3"),
    ]


def test_annotations_that_name_nothing_are_an_error_of_the_plugin() -> None:
    with pytest.raises(PluginError, match="cannot be resolved"):
        describe(Wrong)
