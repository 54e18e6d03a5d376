# SPDX-License-Identifier: MIT
"""Keys, sets and type arguments in the fields of records stored as JSON and CBOR."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, Optional, TypeVar
from uuid import UUID

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec_samples import U, V
from zlmdb.codecs import value_codec
from zlmdb.errors import DecodeError, EncodeError, TableDeclaration, WrongType, WrongValue

FORMATS = ("Json", "Cbor")
T = TypeVar("T")
S = TypeVar("S")


class Number(enum.Enum):
    ONE = 1
    TWO = 2


class Level(enum.IntEnum):
    LOW = 1


class Name(enum.Enum):
    A = "a"
    B = "b"


class Mixed(enum.Enum):
    TEXT = "1"
    NUMBER = 1
    PAIR = (1, "a")


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2


class Email(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: Decimal


@dataclass(frozen=True)
class Inner:
    uuid: UUID
    point: tuple[int, str]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    many: tuple[Inner, ...] = ()
    names: frozenset[tuple[int, str]] = frozenset()
    notes: list[int] = field(default_factory=list, hash=False)
    by_name: dict[str, list[int]] = field(default_factory=dict, hash=False)
    raw: Any = None


@dataclass(frozen=True)
class Hooked:
    a: tuple[int, ...]

    def marshal(self) -> dict[str, list[int]]:
        return {"A": list(self.a)}

    @staticmethod
    def parse(data: dict[str, list[int]]) -> Hooked:
        assert isinstance(data["A"], list)
        return Hooked(tuple(data["A"]))


INNER, OTHER = Inner(U, (1, "a")), Inner(V, (2, "b"))

KEYS: list[tuple[Any, list[Any]]] = [
    (int, [0, -1, 2**70]),
    (bool, [True, False]),
    (float, [0.5, -1e300, 3]),
    (str, ["", "1", "null", "true"]),
    (Email, [Email("a@b")]),
    (Number, list(Number)),
    (Level, list(Level)),
    (Name, list(Name)),
    (Mixed, list(Mixed)),
    (Right, [Right.READ, Right.READ | Right.WRITE]),
    (UUID, [U, V]),
    (bytes, [b"", b"\0\xff"]),
    (dt.date, [dt.date(2020, 2, 29)]),
    (dt.timedelta, [dt.timedelta(-1, 5, 7)]),
    (np.int16, [np.int16(-5)]),
    (tuple[int, UUID], [(1, U), (2, V)]),
    (tuple[tuple[int, ...], str], [((1, 2), "a"), ((), "")]),
    (tuple, [(1, "a"), ()]),
    (Point, [Point(1, Decimal("2.50"))]),
    (frozenset[int], [frozenset({1, 2}), frozenset()]),
    (frozenset[tuple[int, int]], [frozenset({(1, 2)})]),
    (Inner, [INNER, OTHER]),
    (Outer, [Outer(INNER, (OTHER,), frozenset({(1, "a")}), [1, 2], {"k": [1]}), Outer(OTHER)]),
    (Hooked, [Hooked((1, 2))]),
    (int | None, [1, None]),
    (int | float | bool, [1.5, 2]),
    (Literal[1, 2], [1, 2]),
    (Literal["1", "2"], ["1", "2"]),
]


def back_from(name: str, record: Any, value: Any) -> Any:
    codec = value_codec(name, record=record)
    return codec.decode(codec.encode(value))


@pytest.mark.parametrize(("annotation", "keys"), KEYS, ids=lambda part: getattr(part, "__name__", None))
@pytest.mark.parametrize("name", FORMATS)
def test_keys_come_back_equal_and_of_their_type(name: str, annotation: Any, keys: list[Any]) -> None:
    value = {key: number for number, key in enumerate(keys)}
    back = back_from(name, dict[annotation, int], value)
    assert back == value
    assert [type(key) for key in back] == [type(key) for key in value]


@pytest.mark.parametrize(("annotation", "keys"), KEYS, ids=lambda part: getattr(part, "__name__", None))
@pytest.mark.parametrize("name", FORMATS)
def test_members_of_sets_come_back_equal_and_of_their_type(name: str, annotation: Any, keys: list[Any]) -> None:
    for kind in (set, frozenset):
        back = back_from(name, kind[annotation], kind(keys))
        assert type(back) is kind
        assert back == kind(keys)
        assert sorted(type(key).__name__ for key in back) == sorted(type(key).__name__ for key in keys)


@given(
    st.dictionaries(st.integers() | st.booleans(), st.text()),
    st.dictionaries(st.floats(allow_nan=False, allow_infinity=False), st.text()),
    st.dictionaries(st.tuples(st.integers(), st.text()), st.text()),
    st.sets(st.tuples(st.tuples(st.integers()), st.binary())),
)
def test_any_keys_come_back(ints: Any, floats: Any, tuples: Any, members: Any) -> None:
    @dataclass
    class Keyed:
        ints: dict[int, str]
        floats: dict[float, str]
        tuples: dict[tuple[int, str], str]
        members: set[tuple[tuple[int], bytes]]

    value = Keyed(ints, floats, tuples, members)
    for name in FORMATS:
        back = back_from(name, Keyed, value)
        assert back == value
        assert [type(key) for key in back.ints] == [type(key) for key in ints]


def test_keys_that_are_no_text_are_stored_as_their_json() -> None:
    def stored(annotation: Any, key: Any) -> bytes:
        return value_codec("Json", record=dict[annotation, int]).encode({key: 0})

    assert stored(int, 5) == b'{"5":0}'
    assert stored(bool, True) == b'{"true":0}'
    assert stored(Number, Number.TWO) == b'{"2":0}'
    assert stored(Name, Name.A) == b'{"a":0}'
    assert stored(tuple[int, str], (1, "é")) == '{"[1,\\"é\\"]":0}'.encode()


@pytest.mark.parametrize("annotation", [int | str, str | None, Number | str, UUID | int, Literal[1, "1"], int | Any])
def test_keys_that_json_cannot_tell_apart_are_refused(annotation: Any) -> None:
    @dataclass
    class Keyed:
        a: dict[annotation, int]

    Keyed.__annotations__["a"] = dict[annotation, int]
    with pytest.raises(TableDeclaration, match="told apart") as caught:
        value_codec("Json", record=Keyed)
    assert caught.value.where == "field a of Keyed"


@pytest.mark.parametrize(
    ("annotation", "key", "error"),
    [(int, "1", WrongType), (bool, 1, WrongType), (float, "1.5", WrongType), (int, None, WrongType),
     (float, float("nan"), WrongValue), (Number, 1, WrongType), (Outer, Outer(INNER, raw=b""), WrongType)],
)  # fmt: skip
def test_keys_that_could_not_be_read_are_refused(annotation: Any, key: Any, error: type[EncodeError]) -> None:
    with pytest.raises(error) as caught:
        value_codec("Json", record=dict[annotation, int]).encode({key: 0})
    assert caught.value.expected


@pytest.mark.parametrize("annotation", [int, bool, float, Number, tuple[int, int], Inner])
@pytest.mark.parametrize("text", ["", "x", "[", '"a"', "{}", "[1]"])
def test_stored_keys_of_another_form_are_a_decode_error(annotation: Any, text: str) -> None:
    with pytest.raises(DecodeError):
        value_codec("Json", record=dict[annotation, int]).decode(value_codec("Json").encode({text: 0}))


def test_a_member_that_cannot_be_hashed_as_plain_data_says_so() -> None:
    @dataclass(frozen=True)
    class Loose:
        a: Any = field(hash=False)

    for record in (set[Loose], dict[Loose, int]):
        value: Any = {Loose([1])} if record == set[Loose] else {Loose([1]): 1}
        with pytest.raises(WrongType, match="cannot be hashed"):
            value_codec("Cbor", record=record).encode(value)


# --- type arguments ------------------------------------------------------------------------------------


@dataclass
class Box(Generic[T]):
    content: T
    more: list[T] = field(default_factory=list)
    maybe: T | None = None


@dataclass
class Pair(Box[T], Generic[S, T]):
    second: dict[str, S] = field(default_factory=dict)


@dataclass
class Fixed(Pair[UUID, tuple[int, int]]):
    pass


@dataclass
class Same(Box[tuple[int, int]], Generic[T]):
    own: T | None = None


@dataclass
class Tree(Generic[T]):
    value: T
    left: Tree[T] | None = None


@attrs.define
class AttrsBox(Generic[T]):
    content: T


class Both(NamedTuple, Generic[T]):
    first: T


GENERICS: list[tuple[Any, Any]] = [
    (Box[tuple[int, int]], Box((1, 2), [(3, 4)], (5, 6))),
    (Box[Inner], Box(INNER, [OTHER], INNER)),
    (Box[Box[Inner]], Box(Box(INNER))),
    (Pair[UUID, tuple[int, int]], Pair((1, 2), [(3, 4)], None, {"k": U})),
    (Fixed, Fixed((1, 2), [(3, 4)], None, {"k": U})),
    (Same[UUID], Same((1, 2), [(3, 4)], None, U)),
    (Tree[tuple[int, int]], Tree((1, 2), Tree((3, 4)))),
    (AttrsBox[Inner], AttrsBox(INNER)),
    (Both[tuple[int, int]], Both((1, 2))),
    (list[Box[Inner]], [Box(INNER), Box(OTHER)]),
]


@pytest.mark.parametrize(("record", "value"), GENERICS, ids=lambda part: str(part)[:30])
@pytest.mark.parametrize("name", FORMATS)
def test_type_arguments_are_put_in_place_of_their_variables(name: str, record: Any, value: Any) -> None:
    assert back_from(name, record, value) == value

    @dataclass
    class Holder:
        held: record
        same: Optional[record] = None  # noqa: UP045

    Holder.__annotations__ |= {"held": record, "same": record}
    assert back_from(name, Holder, Holder(value, value)) == Holder(value, value)


def test_one_generic_class_with_several_arguments_keeps_them_apart() -> None:
    @dataclass
    class Holder:
        a: Box[Inner]
        b: Box[tuple[int, int]]
        c: Box[UUID]

    value = Holder(Box(INNER), Box((1, 2)), Box(U))
    for name in FORMATS:
        assert back_from(name, Holder, value) == value


def test_none_is_no_record_of_a_generic_class() -> None:
    with pytest.raises(WrongType):
        value_codec("Cbor", record=Box[int]).encode(None)
