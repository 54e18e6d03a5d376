# SPDX-License-Identifier: MIT
"""Instances of declared classes in untyped JSON and CBOR tables."""

from __future__ import annotations

import json
from collections import UserDict, deque
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zlmdb.codecs import declare_record, value_codec
from zlmdb.errors import DecodeError, WrongType, WrongValue

FORMATS = ("Json", "Cbor")


@dataclass
class User:
    oid: int
    name: str
    tags: list[Any] = field(default_factory=list)
    email: str | None = None


@dataclass(frozen=True)
class Inner:
    uuid: UUID
    point: tuple[int, str]


@dataclass
class Undeclared:
    a: int


class Hooked:
    def __init__(self, a: int) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hooked) and other.a == self.a

    __hash__ = None  # type: ignore[assignment]

    def marshal(self) -> list[int]:
        return [self.a]

    @staticmethod
    def parse(data: list[int]) -> Hooked:
        return Hooked(*data)


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


INNER = Inner(UUID(int=7), (1, "a"))

declare_record(User, "550e8400-e29b-41d4-a716-446655440001")
declare_record(Inner, UUID("550e8400-e29b-41d4-a716-446655440002"))
declare_record(Hooked, UUID("550e8400-e29b-41d4-a716-446655440003"))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "value",
    [User(1, "a", ["x"]), [INNER, {"k": User(2, "b")}], {"deep": [[Hooked(5)]]}, User(3, "c", [])],
)
def test_an_untyped_table_gives_declared_records_back(name: str, value: Any) -> None:
    codec = value_codec(name)
    back = codec.decode(codec.encode(value))
    assert back == value
    assert type(back) is type(value)


def test_a_declared_record_keeps_mutable_fields_mutable() -> None:
    codec = value_codec("Cbor")
    assert codec.decode(codec.encode(User(1, "a", ["x"]))).tags == ["x"]
    nested = codec.decode(codec.encode(User(1, "a", [User(2, "b", ["y"])])))
    assert nested.tags[0].tags == ["y"]


def test_the_stored_form_of_a_declared_record_is_documented() -> None:
    uuid = "550e8400-e29b-41d4-a716-446655440001"
    fields = {"oid": 1, "name": "a", "tags": [], "email": None}
    assert value_codec("Cbor").encode(User(1, "a")) == cbor2.dumps(cbor2.CBORTag(27, [uuid, fields]))
    assert value_codec("Json").encode(User(1, "a")) == as_json({"__table__": uuid, "__record__": fields})


def test_a_record_of_an_undeclared_class_says_which_is_missing() -> None:
    missing = "550e8400-e29b-41d4-a716-44665544ffff"
    for stored in (
        (value_codec("Cbor"), cbor2.dumps([cbor2.CBORTag(27, [missing, {}])])),
        (value_codec("Json"), as_json({"__table__": missing, "__record__": {}})),
    ):
        with pytest.raises(DecodeError, match=missing):
            stored[0].decode(stored[1])


def test_an_instance_of_an_undeclared_class_is_refused_in_an_untyped_table() -> None:
    for name in FORMATS:
        with pytest.raises(WrongType, match="Undeclared"):
            value_codec(name).encode({"a": Undeclared(1)})


def test_errors_of_a_declared_classs_own_hooks_come_out_as_they_are() -> None:
    class Fails:
        def marshal(self) -> Any:
            raise LookupError("mine") from KeyError("cause")

        @staticmethod
        def parse(data: Any) -> Any:
            raise LookupError("mine")

    declare_record(Fails, "550e8400-e29b-41d4-a716-446655440009")
    for name in FORMATS:
        with pytest.raises(LookupError, match="mine") as caught:
            value_codec(name).encode([Fails()])
        assert isinstance(caught.value.__cause__, KeyError)
    uuid = "550e8400-e29b-41d4-a716-446655440009"
    with pytest.raises(LookupError, match="mine"):
        value_codec("Cbor").decode(cbor2.dumps(cbor2.CBORTag(27, [uuid, {}])))
    with pytest.raises(LookupError, match="mine"):
        value_codec("Json").decode(as_json({"__table__": uuid, "__record__": {}}))


def test_the_last_class_declared_under_a_uuid_is_given_back() -> None:
    uuid = "550e8400-e29b-41d4-a716-44665544000a"

    @dataclass
    class First:
        a: int

    @dataclass
    class Second:
        a: int

    declare_record(First, uuid)
    declare_record(Second, uuid)
    codec = value_codec("Cbor")
    assert codec.decode(codec.encode(First(1))) == Second(1)


def test_a_declared_record_inside_a_set_comes_back() -> None:
    codec = value_codec("Cbor")
    assert codec.decode(codec.encode({INNER})) == {INNER}


def test_plain_json_that_only_looks_like_a_record_stays_plain() -> None:
    codec = value_codec("Json")
    for value in ({"__table__": "users", "__record__": 1}, {"__table__": str(UUID(int=1))}):
        assert codec.decode(codec.encode(value)) == value


# --- plain data of the form of records -----------------------------------------------------------------

TEXT = "550e8400-e29b-41d4-a716-446655440001"


class Text(str):
    __slots__ = ()


@dataclass(frozen=True)
class Listed:
    a: int
    b: list[int] = field(hash=False)


@dataclass
class Dynamic:
    a: int
    anything: Any


declare_record(Listed, "550e8400-e29b-41d4-a716-446655440010")
declare_record(Dynamic, "550e8400-e29b-41d4-a716-446655440011")

FALSE_TAGS = [
    cbor2.CBORTag(27, [TEXT, {"a": 1}]),
    cbor2.CBORTag(27, (TEXT, None)),
    cbor2.CBORTag(27, deque([TEXT, 1])),
    cbor2.CBORTag(27, [Text(TEXT), User(1, "a")]),
    cbor2.CBORTag(27, [cbor2.CBORTag(55799, TEXT), 1]),
    cbor2.CBORTag(27, cbor2.CBORTag(28, [TEXT, 1])),
    cbor2.CBORTag(27, cbor2.CBORTag(29, 0)),
    cbor2.CBORTag(27, ["my.Thing", cbor2.CBORTag(27, [TEXT, 1])]),
]
FALSE_OBJECTS = [
    {"__table__": TEXT, "__record__": 1},
    {"__record__": {}, "__table__": str(UUID(int=5))},
    {"__table__": Text(TEXT), "__record__": None},
]
WRAPS = [
    lambda x: x,
    lambda x: [1, (x,)],
    lambda x: {"k": {"l": [x]}},
    lambda x: [User(1, "a"), x],
    lambda x: User(1, "a", [x]),
    lambda x: Dynamic(1, {"k": x}),
    lambda x: [Hooked({"k": [x]})],  # type: ignore[arg-type]
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_plain_data_that_would_be_read_as_a_record_is_refused(wrap: Any) -> None:
    for name, values in (("Cbor", FALSE_TAGS), ("Json", FALSE_OBJECTS)):
        for value in values:
            with pytest.raises(WrongValue) as caught:
                value_codec(name).encode(wrap(value))
            assert caught.value.has_got
            assert caught.value.expected


def test_keys_sets_and_foreign_containers_are_searched_too() -> None:
    tag = cbor2.CBORTag(27, (TEXT, 1))
    for value in ({tag: 1}, {(1, tag)}, frozenset({tag}), UserDict(a=tag), deque([tag]), cbor2.CBORTag(99, [tag])):
        with pytest.raises(WrongValue):
            value_codec("Cbor").encode(value)


def test_dynamic_fields_of_a_typed_table_are_searched_too() -> None:
    for name, value in (("Cbor", FALSE_TAGS[0]), ("Json", FALSE_OBJECTS[0])):
        with pytest.raises(WrongValue):
            value_codec(name, record=Dynamic).encode(Dynamic(1, [value]))
        codec = value_codec(name, record=Dynamic)
        assert codec.decode(codec.encode(Dynamic(1, [User(1, "a")]))) == Dynamic(1, [User(1, "a")])


_leaves = (
    st.none()
    | st.integers()
    | st.sampled_from([TEXT, "__table__", "__record__", "users", "\xd8\x1b"])
    | st.builds(User, st.integers(), st.just("a"))
)


def _documents(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["__table__", "__record__", "k"])
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
    )


_objects = st.fixed_dictionaries({"__table__": st.sampled_from([TEXT, "users"]), "__record__": st.none()})


@given(_documents(_leaves | _objects))
def test_what_json_takes_comes_back(value: Any) -> None:
    codec = value_codec("Json")
    try:
        data = codec.encode(value)
    except WrongValue:
        assert TEXT in repr(value)
    else:
        assert codec.decode(data) == value


_bytes = st.sampled_from([b"\xd8\x1b", b"\xd8\x1b\x82\x78\x24" + TEXT.encode(), b""])
_tags = st.builds(
    cbor2.CBORTag, st.sampled_from([27, 99]), st.tuples(st.sampled_from(["a", TEXT]), st.integers() | st.text())
)


@given(_documents(_leaves | _bytes | _tags))
def test_what_cbor_takes_comes_back(value: Any) -> None:
    codec = value_codec("Cbor")
    try:
        data = codec.encode(value)
    except WrongValue:
        assert f"CBORTag(27, ('{TEXT}'" in repr(value)
    else:
        assert codec.decode(data) == value


def test_a_cycle_in_a_declared_record_is_refused() -> None:
    user = User(1, "a")
    user.tags.append(user.tags)
    for name in FORMATS:
        with pytest.raises(WrongValue):
            value_codec(name).encode([user])


def test_a_declared_record_in_a_set_keeps_the_types_of_its_fields() -> None:
    codec = value_codec("Cbor")
    (back,) = codec.decode(codec.encode({Listed(1, [2, 3])}))
    assert back == Listed(1, [2, 3])


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"a": 1, "b": x}, lambda x: (x, {}), lambda x: {(1,): [x]}])
def test_what_is_nested_too_deeply_to_be_read_again_is_refused(wrap: Any) -> None:
    codec = value_codec("Cbor")
    value: Any = 0
    refused = 0
    for _ in range(450):
        value = wrap(value)
        try:
            data = codec.encode(value)
        except WrongValue:
            refused += 1
        else:
            assert codec.encode(codec.decode(data)) == data
    assert refused > 40
    with pytest.raises(WrongValue, match="nested at most 400 deep"):
        codec.encode(value)
