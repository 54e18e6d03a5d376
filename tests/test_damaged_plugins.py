# SPDX-License-Identifier: MIT
"""Distributions whose metadata is damaged, and modules that end the process, harm no other plugin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zlmdb.errors import PluginError, PluginMissing
from zlmdb.plugins import Found, Registry, State

GOOD = """
import dataclasses
from zlmdb.plugins import API_VERSION, Plugin

@dataclasses.dataclass
class Config:
    path: str = "x"

plugin = Plugin("{name}", API_VERSION, 1, Config, lambda config, context: None)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution ``zd-NAME`` with one module, which offers the plugin NAME unless told otherwise."""
    modules: list[str] = []

    def install(
        name: str, *, source: str | None = None, entries: str | bytes | None = None, metadata: str | bytes | None = None
    ) -> None:
        site, module = tmp_path / f"site{len(modules)}", f"zd_{name}"
        modules.append(module)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(GOOD.format(name=name) if source is None else source)
        if entries is None:
            entries = f"[zlmdb.plugins]\n{name} = {module}:plugin\n"
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: zd-{name}\nVersion: 1.0\n"
        for file, content in (("entry_points.txt", entries), ("METADATA", metadata)):
            if content:
                (info / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.syspath_prepend(site)

    yield install
    for module in modules:
        sys.modules.pop(module, None)


def ours(registry: Registry) -> list[Found]:
    """What is found, without the plugins that are really installed here."""
    return [found for found in registry.found() if not found.name or found.value.startswith("zd_")]


@pytest.mark.parametrize(
    "entries",
    ["[zlmdb.plugins]\nno equals sign\n", "[zlmdb.plugins]\nx = y:z\nrest\n", b"[zlmdb.plugins]\n\xff = a:b\n"],
)
def test_a_distribution_with_damaged_entry_points_is_listed_as_failed_and_harms_no_other(
    install: Install, entries: str | bytes
) -> None:
    install("good")
    install("bad", entries=entries)
    registry = Registry()
    bad, good = ours(registry)
    assert (bad.name, bad.distribution, bad.version, bad.state) == ("", "zd-bad", "1.0", State.FAILED)
    assert (bad.reason.plugin, bad.reason.step) == ("zd-bad", "find") if bad.reason else False
    assert (good.name, good.state, good.reason) == ("good", State.FOUND, None)
    assert registry.load("good") is registry.load("zd-good:good")
    for reference in ("bad", "zd-bad:", "", ":"):
        with pytest.raises(PluginMissing, match="repair zd-bad"):
            registry.load(reference)


def test_a_distribution_without_metadata_offers_its_plugin_under_its_name(install: Install) -> None:
    install("good")
    install("nameless", metadata="")
    registry = Registry()
    assert [(found.name, found.distribution, found.version) for found in ours(registry)] == [
        ("good", "zd-good", "1.0"),
        ("nameless", "", ""),
    ]
    assert registry.load("nameless").name == "nameless"
    assert registry.load("zd-good:good").name == "good"


def test_a_distribution_whose_metadata_is_no_text_is_listed_as_failed(install: Install) -> None:
    install("good")
    install("bad", metadata=b"Name: \xff\xfe\n")
    registry = Registry()
    bad, _ = ours(registry)
    assert bad.state == State.FAILED
    assert "site1" in str(bad.reason)
    assert registry.load("good").name == "good"


def test_of_two_distributions_of_one_name_the_first_on_the_path_counts(install: Install) -> None:
    install("hidden", metadata="Metadata-Version: 2.1\nName: zd.Same\nVersion: 1.0\n")
    install("shown", metadata="Metadata-Version: 2.1\nName: zd-same\nVersion: 2.0\n")
    assert [(found.name, found.version) for found in ours(Registry())] == [("shown", "2.0")]


def test_a_module_that_ends_the_process_at_import_fails_alone(install: Install) -> None:
    install("good")
    install("exits", source="import sys; sys.exit(3)")
    registry = Registry()
    for reference in ("exits", "zd_exits:plugin"):
        with pytest.raises(PluginError, match="SystemExit") as caught:
            registry.load(reference)
        assert caught.value.step == "import"
    assert [found.state for found in ours(registry)] == [State.FAILED, State.FOUND]
    assert registry.load("good").name == "good"


def test_a_module_whose_error_would_end_a_generator_or_has_no_text_fails_alone(install: Install) -> None:
    install("good")
    install("closes", source="raise GeneratorExit")
    install("silent", source="from tests.plugin_samples import Unspeakable\nraise Unspeakable")
    registry = Registry()
    for name, told in (("closes", "GeneratorExit"), ("silent", "Unspeakable whose str fails: ValueError")):
        with pytest.raises(PluginError, match=told) as caught:
            registry.load(name)
        assert caught.value.step == "import"
    assert registry.load("good").name == "good"


@pytest.mark.parametrize("reference", [5, None, b"good", ["good"], ("a", "b"), 1.5])
def test_a_reference_that_is_no_string_is_missing(install: Install, reference: object) -> None:
    install("good")
    with pytest.raises(PluginMissing) as caught:
        Registry().load(reference)  # type: ignore[arg-type]  # what a configuration may hold
    assert caught.value.got == reference
    assert caught.value.plugin == str(reference)
