# SPDX-License-Identifier: MIT
"""Records: classes stored as maps of their fields in JSON and CBOR."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

import attrs
import cbor2
import numpy as np
import pytest

from tests.codec_samples import U, V
from zlmdb.codecs import value_codec
from zlmdb.errors import DecodeError, TableDeclaration, WrongType, WrongValue

FORMATS = ("Json", "Cbor")
UTC = dt.UTC


@dataclass
class User:
    oid: int
    name: str
    tags: list[str] = field(default_factory=list)
    email: str | None = None
    total: ClassVar[int] = 0


@dataclass(frozen=True)
class Frozen:
    a: int
    b: str = "b"


@dataclass(slots=True, kw_only=True)
class Slotted:
    a: int
    b: tuple[int, ...] = ()
    computed: int = field(init=False, default=0)


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    a: UUID


@dataclass
class Post:
    a: int
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        self.twice = 2 * self.a


@attrs.define
class Attrs:
    a: int
    _private: str = "p"
    items: list[int] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class FrozenAttrs:
    a: UUID
    b: int = attrs.field(init=False, default=3)


class Color(enum.Enum):
    RED = "red"
    WIDE = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: Decimal


class Email(str):
    __slots__ = ()


@dataclass
class Inner:
    when: dt.datetime
    point: tuple[int, str]


@dataclass
class Rich:
    uuid: UUID
    blob: bytes
    aware: dt.datetime
    naive: dt.datetime
    day: dt.date
    clock: dt.time
    span: dt.timedelta
    price: Decimal
    color: Color
    wide: Color
    level: Level
    pair: tuple[int, UUID]
    many: tuple[UUID, ...]
    bare: tuple  # type: ignore[type-arg]
    ids: set[UUID]
    frozen: frozenset[str]
    inner: Inner
    inners: list[Inner]
    by_name: dict[str, Inner]
    by_number: dict[int, str]
    by_uuid: dict[UUID, bytes]
    maybe: Inner | None
    nothing: UUID | None
    noted: Annotated[UUID, "note"]
    point: Point
    email: Email
    moment: np.datetime64
    small: np.int16
    buffer: bytearray
    anything: Any


INNER = Inner(dt.datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), (1, "a"))
RICH = Rich(
    U, b"\0\xff", dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))),
    dt.datetime(2021, 2, 3, 4, 5), dt.date(2020, 2, 29), dt.time(1, 2, 3, 4), dt.timedelta(-1, 5, 7),  # noqa: DTZ001
    Decimal("1.50"), Color.RED, Color.WIDE, Level.LOW, (1, U), (U, V), (1, "x"), {U, V}, frozenset({"a"}),
    INNER, [INNER, INNER], {"k": INNER}, {5: "five"}, {U: b"x"}, INNER, None, V, Point(1, Decimal("2.5")),
    Email("a@b"), np.datetime64(1700000000123456789, "ns"), np.int16(-5), bytearray(b"xy"), {"plain": [1]},
)  # fmt: skip


@dataclass
class Node:
    name: str
    left: Node | None = None
    others: list[Node] = field(default_factory=list)


@dataclass
class Early:
    later: Later
    laters: list[Later]


EARLY = value_codec("Json", record=Early)  # Later does not exist yet


@dataclass
class Later:
    id: UUID


class Hooked:
    def __init__(self, a: int) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hooked) and other.a == self.a

    __hash__ = None  # type: ignore[assignment]

    def marshal(self) -> dict[str, int]:
        return {"A": self.a}

    @staticmethod
    def parse(data: dict[str, int]) -> Hooked:
        return Hooked(data["A"])


@dataclass
class HookedData:
    a: int

    def marshal(self) -> list[int]:
        return [self.a]

    @classmethod
    def unmarshal(cls, data: list[int]) -> HookedData:
        return cls(*data)


@dataclass
class Holder:
    hooked: Hooked
    maybe: Hooked | None = None


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    content: T


RECORDS = [
    User(1, "a"), User(1, "a", ["x"], "e"), Frozen(1), Slotted(a=1, b=(2, 3)), FrozenSlots(U), Post(4),
    Attrs(1, "q", [2]), FrozenAttrs(a=U), RICH, Node("a", Node("b", None, [Node("c")]), [Node("d")]),
    Hooked(3), HookedData(4), Holder(Hooked(1)), Holder(Hooked(1), Hooked(2)), Box(5),
]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_equal_in_value_and_types(name: str, record: Any) -> None:
    codec = value_codec(name, record=type(record))
    back = codec.decode(codec.encode(record))
    assert back == record
    assert type(back) is type(record)
    for attribute, value in getattr(record, "__dict__", {}).items():
        assert type(getattr(back, attribute)) is type(value), attribute


def test_a_plain_record_is_stored_as_the_map_of_its_fields() -> None:
    assert value_codec("Cbor", record=User).encode(User(1, "a")) == cbor2.dumps(
        {"oid": 1, "name": "a", "tags": [], "email": None}
    )


def test_a_forward_reference_is_resolved_when_it_is_needed() -> None:
    early = Early(Later(U), [Later(V)])
    assert EARLY.decode(EARLY.encode(early)) == early


def test_an_annotation_that_cannot_be_resolved_is_explained() -> None:
    @dataclass
    class Odd:
        a: Missing  # type: ignore[name-defined]  # noqa: F821

    codec = value_codec("Cbor", record=Odd)
    with pytest.raises(TableDeclaration, match="Missing"):
        codec.encode(Odd(1))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cls", [User, Frozen, Slotted, Attrs], ids=lambda cls: cls.__name__)
def test_fields_missing_from_stored_data_get_their_defaults(name: str, cls: type) -> None:
    stored = value_codec(name).encode({"oid": 1, "name": "n"} if cls is User else {"a": 1})
    codec = value_codec(name, record=cls)
    expected = {User: User(1, "n"), Frozen: Frozen(1), Slotted: Slotted(a=1), Attrs: Attrs(1)}[cls]
    assert codec.decode(stored) == expected
    if cls is User:
        assert codec.decode(stored).tags is not codec.decode(stored).tags


@pytest.mark.parametrize("cls", [User, Frozen, Slotted, Attrs, Post], ids=lambda cls: cls.__name__)
def test_unknown_and_missing_fields_are_named(cls: type) -> None:
    codec = value_codec("Cbor", record=cls)
    with pytest.raises(DecodeError, match="'zzz'"):
        codec.decode(cbor2.dumps({"a": 1, "oid": 1, "name": "n", "zzz": 1}))
    with pytest.raises(DecodeError, match="lacks"):
        codec.decode(cbor2.dumps({}))


@pytest.mark.parametrize("stored", [None, 1, [], "text", {1: 2}, {"oid": 1}])
@pytest.mark.parametrize("cls", [User, Rich, Slotted, Attrs], ids=lambda cls: cls.__name__)
def test_stored_data_of_another_form_is_a_decode_error(cls: type, stored: Any) -> None:
    with pytest.raises(DecodeError):
        value_codec("Cbor", record=cls).decode(cbor2.dumps(stored))


def test_a_stored_field_of_another_form_is_a_decode_error_naming_the_field() -> None:
    codec = value_codec("Json", record=FrozenSlots)
    for bad in (b'{"a":"no uuid"}', b'{"a":5}', b'{"a":[]}'):
        with pytest.raises(DecodeError) as caught:
            codec.decode(bad)
        assert caught.value.where == "field a"


def test_a_field_value_of_another_type_is_a_wrong_type_naming_the_field() -> None:
    with pytest.raises(WrongType) as caught:
        value_codec("Json", record=FrozenSlots).encode(FrozenSlots("text"))  # type: ignore[arg-type]
    assert caught.value.where == "field a"


class Admin(User):
    pass


@pytest.mark.parametrize("value", [None, {"oid": 1, "name": "a"}, Admin(1, "a"), Frozen(1)])
def test_only_the_class_itself_is_taken_as_its_record(value: Any) -> None:
    with pytest.raises(WrongType):
        value_codec("Cbor", record=User).encode(value)


def test_extra_attributes_are_not_stored_and_unset_fields_are_refused() -> None:
    user, codec = User(1, "a"), value_codec("Cbor", record=User)
    user.cached = 5  # type: ignore[attr-defined]
    assert codec.decode(codec.encode(user)) == User(1, "a")
    del user.name
    with pytest.raises(WrongValue, match="name"):
        codec.encode(user)


def test_reading_does_not_share_state_between_records() -> None:
    codec = value_codec("Cbor", record=User)
    data = codec.encode(User(1, "a", ["x"]))
    first = codec.decode(data)
    first.tags.append("y")
    assert codec.decode(data).tags == ["x"]


@dataclass
class WithInitVar:
    a: int
    scale: InitVar[int] = 2

    def __post_init__(self, scale: int) -> None:
        self.a = self.a if scale == 2 else 0


@dataclass
class OwnInit:
    a: int

    def __init__(self, a: int) -> None:
        self.a = a
        self.calls = 1


def test_constructors_that_do_more_are_called() -> None:
    assert value_codec("Cbor", record=WithInitVar).decode(cbor2.dumps({"a": 3})).a == 3
    assert value_codec("Cbor", record=OwnInit).decode(cbor2.dumps({"a": 3})).calls == 1


def test_explicit_hooks_win_over_everything() -> None:
    codec = value_codec("Cbor", record=Hooked, marshal=lambda value: value.a, unmarshal=lambda plain: Hooked(plain + 1))
    assert codec.decode(codec.encode(Hooked(1))) == Hooked(2)


class Neither:
    pass


class HalfHooked:
    def marshal(self) -> int:
        return 1


@pytest.mark.parametrize("cls", [Neither, HalfHooked])
def test_a_class_that_cannot_be_stored_is_refused_with_the_three_ways(cls: type) -> None:
    for name in FORMATS:
        with pytest.raises(TableDeclaration, match=r"dataclass.*marshal\(\).*unmarshal="):
            value_codec(name, record=cls)


@dataclass
class Ambiguous:
    a: UUID | str


def test_a_union_that_json_cannot_tell_apart_is_refused_and_cbor_takes_it() -> None:
    with pytest.raises(TableDeclaration) as caught:
        value_codec("Json", record=Ambiguous)
    assert caught.value.where == "field a of Ambiguous"
    codec = value_codec("Cbor", record=Ambiguous)
    for value in (Ambiguous(U), Ambiguous("s")):
        assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("record", [None, Any, dict, list, str, int, dict[str, Any], list[int], object])
@pytest.mark.parametrize("name", FORMATS)
def test_plain_types_mean_plain_data(name: str, record: Any) -> None:
    value = {"a": [1, None]}
    codec = value_codec(name, record=record)
    assert codec.decode(codec.encode(value)) == value
    assert codec.encode(value) == value_codec(name).encode(value)


def test_generic_types_of_records_are_converted() -> None:
    for name in FORMATS:
        codec = value_codec(name, record=dict[str, list[FrozenSlots]])
        value = {"a": [FrozenSlots(U)]}
        assert codec.decode(codec.encode(value)) == value


@dataclass
class NeedsMore:
    a: int
    scale: InitVar[int]

    def __post_init__(self, scale: int) -> None:
        self.a *= scale


class NeedsConnection:
    a: int

    def __init__(self, a: int, connection: object) -> None:
        self.a = a


@pytest.mark.parametrize("cls", [NeedsMore, dataclass(NeedsConnection)], ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("name", FORMATS)
def test_a_class_that_could_be_written_and_not_read_is_refused(name: str, cls: type) -> None:
    with pytest.raises(TableDeclaration, match=r"scale|connection"):
        value_codec(name, record=cls)
    value_codec(name, record=cls, marshal=vars, unmarshal=lambda plain: plain)


@pytest.mark.parametrize("record", ["User", list["User"], dict[str, "User"], "User | None"])
@pytest.mark.parametrize("name", FORMATS)
def test_the_mere_name_of_a_class_is_refused_with_what_to_do(name: str, record: Any) -> None:
    with pytest.raises(TableDeclaration, match="pass the class"):
        value_codec(name, record=record)
