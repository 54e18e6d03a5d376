# SPDX-License-Identifier: MIT
"""Checking a plugin's configuration: all faults at once, each with its path and what was expected."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import annotated_types
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlmdb.configuration import check
from zlmdb.errors import ConfigError, MissingDependency, PluginError


@dataclasses.dataclass
class Numbers:
    plain: float = 0.0
    bounded: Annotated[float | None, annotated_types.Ge(0)] = None
    several: list[float] = dataclasses.field(default_factory=list)
    nested: dict[str, tuple[float, int]] = dataclasses.field(default_factory=dict)
    either: float | str = ""
    unbounded: Annotated[float, pydantic.Field(allow_inf_nan=True)] = 0.0


class Model(pydantic.BaseModel):
    rate: float


@dataclasses.dataclass
class WithModel:
    model: Annotated[Model, "of pydantic's"]


class Mode(enum.Enum):
    FAST = "fast"


def even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


@dataclasses.dataclass
class Event:
    uri: str
    match: Literal["exact", "prefix", "wildcard"] = "exact"
    limit: Annotated[int | None, annotated_types.Ge(1)] = None


@dataclasses.dataclass(frozen=True)
class Config:
    path: str
    maxsize: Annotated[int, pydantic.Field(ge=131072, le=2**37)] = 2**27
    readonly: bool = False
    ratio: float = 0.5
    max_buffer: Annotated[int, annotated_types.Interval(gt=0, lt=1000)] = 10
    event_history: Annotated[list[Event], annotated_types.Len(0, 2)] = dataclasses.field(default_factory=list)
    default_event: Event | None = None
    by_name: Mapping[str, Event] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    numbers: Sequence[int] = ()
    log: Path | None = None
    owner: UUID | None = None
    mode: Mode = Mode.FAST
    pair: tuple[int, str] = (0, "")
    code: Annotated[str, pydantic.Field(pattern="^a+$", max_length=3)] = "a"
    steps: Annotated[int, pydantic.AfterValidator(even)] = 2
    anything: Any = None
    derived: int = dataclasses.field(default=7, init=False)


def problems(raw: object, config: type[Any] = Config, path: str = "store") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(config, raw, path)
    return list(caught.value.problems)


def test_a_full_configuration_becomes_an_instance() -> None:
    raw = {
        "type": "realmstore",
        "path": "db",
        "maxsize": 131072,
        "readonly": True,
        "ratio": 1,
        "max-buffer": 5,
        "event-history": [{"uri": "a"}, {"uri": "b", "match": "prefix", "limit": 3}],
        "default-event": {"uri": "c"},
        "by_name": {"x-y": {"uri": "d"}},
        "tags": ["a", "b"],
        "numbers": [1, 2],
        "log": "/tmp/log",
        "owner": "12345678-1234-5678-1234-567812345678",
        "mode": "fast",
        "pair": [1, "a"],
    }
    config = check(Config, raw)
    assert config == Config(
        path="db",
        maxsize=131072,
        readonly=True,
        ratio=1.0,
        max_buffer=5,
        event_history=[Event("a"), Event("b", "prefix", 3)],
        default_event=Event("c"),
        by_name={"x-y": Event("d")},
        tags=("a", "b"),
        numbers=[1, 2],
        log=Path("/tmp/log"),
        owner=UUID("12345678-1234-5678-1234-567812345678"),
        pair=(1, "a"),
    )
    assert type(config.ratio) is float


def test_defaults_fill_what_is_not_given_and_the_hosts_key_is_passed_over() -> None:
    assert check(Config, {"type": 5, "path": "db"}) == Config("db")


def test_values_of_python_are_taken_as_they_are() -> None:
    thing = object()
    config = check(Config, {"path": "db", "log": Path("x"), "tags": ("a",), "anything": thing, "mode": Mode.FAST})
    assert (config.log, config.tags, config.mode) == (Path("x"), ("a",), Mode.FAST)
    assert config.anything is thing


ONE_FAULT: list[tuple[dict[Any, Any], str]] = [
    ({"maxsize": "1G"}, 'store.maxsize: expected int >= 131072 and <= 137438953472, got "1G"'),
    ({"maxsize": 5}, "store.maxsize: expected int >= 131072 and <= 137438953472, got 5"),
    ({"maxsize": True}, "store.maxsize: expected int >= 131072 and <= 137438953472, got true"),
    ({"maxsize": 131072.0}, "store.maxsize: expected int >= 131072 and <= 137438953472, got 131072.0"),
    ({"maxsize": None}, "store.maxsize: expected int >= 131072 and <= 137438953472, got null"),
    ({"readonly": 1}, "store.readonly: expected bool, got 1"),
    ({"readonly": "true"}, 'store.readonly: expected bool, got "true"'),
    ({"ratio": "0.5"}, 'store.ratio: expected float, got "0.5"'),
    ({"ratio": True}, "store.ratio: expected float, got true"),
    ({"path": 5}, "store.path: expected str, got 5"),
    ({"path": b"x"}, "store.path: expected str, got b'x'"),
    ({"max_buffer": 0}, "store.max_buffer: expected int > 0 and < 1000, got 0"),
    ({"max-buffer": 1000}, "store.max-buffer: expected int > 0 and < 1000, got 1000"),
    ({"max-bufer": 1}, "store.max-bufer: unknown key, did you mean 'max-buffer'?"),
    ({"derived": 1}, "store.derived: unknown key, expected path"),
    ({5: 1}, "store[5]: unknown key, expected path, maxsize"),
    ({"a\nb": 1}, r"store['a\nb']: unknown key"),
    ({"max-buffer": 1, "max_buffer": 1}, 'store.max_buffer: given twice, the other time as "max-buffer"'),
    ({"event-history": {}}, "store.event-history: expected a list of mappings of length <= 2, got {}"),
    ({"event-history": [{"uri": "a"}] * 3}, "store.event-history: expected a list of mappings of length <= 2, got [{"),
    ({"event-history": [5]}, "store.event-history[0]: expected a mapping, got 5"),
    ({"event-history": [{}]}, "store.event-history[0].uri: missing, expected str"),
    (
        {"event-history": [{"uri": "a"}, {"uri": "b", "match": "regex"}]},
        'store.event-history[1].match: expected "exact", "prefix" or "wildcard", got "regex"',
    ),
    ({"event_history": [{"uri": "a", "limit": 0}]}, "store.event_history[0].limit: expected int >= 1 or null, got 0"),
    ({"event_history": [{"uri": "a", "type": "b"}]}, "store.event_history[0].type: unknown key"),
    ({"default-event": []}, "store.default-event: expected a mapping, got []"),
    ({"by-name": {"x": {"url": "a", "uri": "a"}}}, "store.by-name.x.url: unknown key, did you mean 'uri'?"),
    ({"by-name": {5: {"uri": "a"}}}, "store.by-name[5]: expected a string as key"),
    ({"by-name": []}, "store.by-name: expected a mapping, got []"),
    ({"tags": "abc"}, 'store.tags: expected a list of str, got "abc"'),
    ({"tags": ["a", 5]}, "store.tags[1]: expected str, got 5"),
    ({"numbers": ["5"]}, 'store.numbers[0]: expected int, got "5"'),
    ({"log": 5}, "store.log: expected Path or null, got 5"),
    ({"owner": "x"}, 'store.owner: expected UUID or null, got "x"'),
    ({"mode": "slow"}, 'store.mode: expected Mode, got "slow"'),
    ({"code": "bbbb"}, 'store.code: expected str of length <= 3 and matching ^a+$, got "bbbb"'),
    ({"steps": 3}, "store.steps: must be even, got 3"),
    ({"steps": "2"}, 'store.steps: expected int, got "2"'),
]


@pytest.mark.parametrize(("change", "line"), ONE_FAULT, ids=[line for _, line in ONE_FAULT])
def test_a_fault_is_one_line_that_names_its_path(change: dict[str, Any], line: str) -> None:
    (problem,) = problems({"path": "db", **change})
    assert problem.startswith(line)
    assert "\n" not in problem


def test_a_missing_key_is_named() -> None:
    assert problems({}) == ["store.path: missing, expected str"]


@pytest.mark.parametrize("raw", [None, [], "path", 5, [("path", "db")]])
def test_what_is_no_mapping_is_refused(raw: object) -> None:
    (problem,) = problems(raw, path="stores[3]")
    assert problem.startswith("stores[3]: expected a mapping, got ")


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        check(Config, {"maxsize": "1G", "readonly": 1, "tag": [], "event-history": [{"match": 1}]})
    paths = {problem.partition(":")[0] for problem in caught.value.problems}
    event = "store.event-history[0]"
    assert paths == {"store.tag", "store.path", "store.maxsize", "store.readonly", f"{event}.uri", f"{event}.match"}
    assert len(caught.value.problems) == 6
    assert all(problem in str(caught.value) for problem in caught.value.problems)


@dataclasses.dataclass
class Range:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low lies above high")


def test_what_the_dataclass_finds_wrong_with_the_whole_is_a_fault() -> None:
    assert problems({"low": 2, "high": 1}, Range) == ["store: low lies above high"]
    assert problems({"low": 2}, Range) == ["store.high: missing, expected int"]


@dataclasses.dataclass
class Unresolvable:
    field: Nowhere  # type: ignore[name-defined]  # noqa: F821


@dataclasses.dataclass
class Uncheckable:
    field: Sized


class Sized:
    pass


@pytest.mark.parametrize("config", [Unresolvable, Uncheckable])
def test_a_dataclass_that_cannot_be_used_is_the_plugins_fault(config: type[Any]) -> None:
    with pytest.raises(PluginError) as caught:
        check(config, {"field": 1})
    assert caught.value.step == "configure"


def test_without_pydantic_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(MissingDependency, match=r"pip install zlmdb\[plugins\]") as caught:
        check(Config, {"path": "db"})
    assert caught.value.extra == "plugins"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["path", "maxsize", "readonly", "ratio", "tags", "event-history", "by-name", "default_event"])


@given(st.dictionaries(KEYS, JSON, max_size=4) | JSON)
def test_whatever_is_configured_gives_an_instance_or_faults_and_coerces_nothing(raw: Any) -> None:
    faults: tuple[str, ...] = ()
    try:
        config = check(Config, raw)
    except ConfigError as error:
        config, faults = None, error.problems
    assert all(fault.startswith("store") for fault in faults)
    if config is None:
        assert faults
        return
    assert type(config.maxsize) is int
    assert type(config.readonly) is bool
    assert config.path == raw["path"]
    assert list(config.tags) == raw.get("tags", [])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 10**400])
@pytest.mark.parametrize(
    ("key", "wrap"),
    [
        ("plain", lambda number: number),
        ("bounded", lambda number: number),
        ("several", lambda number: [1.5, number]),
        ("nested", lambda number: {"a": [number, 1]}),
        ("either", lambda number: number),
    ],
)
def test_numbers_that_are_not_finite_are_refused(key: str, wrap: Any, number: float) -> None:
    with pytest.raises(ConfigError) as caught:
        check(Numbers, {key: wrap(number)})
    (problem,) = caught.value.problems
    assert problem.startswith(f"store.{key}")
    assert "expected a finite number" in problem


def test_a_field_may_ask_for_infinity_and_models_keep_their_own_rules() -> None:
    assert check(Numbers, {"unbounded": float("inf")}).unbounded == float("inf")
    assert check(Numbers, {"plain": 3, "bounded": 0.5, "either": "NaN"}) == Numbers(3.0, 0.5, either="NaN")
    assert check(WithModel, {"model": {"rate": 1.5}}).model == Model(rate=1.5)
