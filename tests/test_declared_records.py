# SPDX-License-Identifier: MIT
"""Instances of declared classes in untyped JSON and CBOR tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import cbor2
import pytest

from zlmdb.codecs import declare_record, value_codec
from zlmdb.errors import DecodeError, WrongType

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
    assert value_codec("Json").encode(User(1, "a")) == value_codec("Json").encode(
        {"__table__": uuid, "__record__": fields}
    )


def test_a_record_of_an_undeclared_class_says_which_is_missing() -> None:
    missing = "550e8400-e29b-41d4-a716-44665544ffff"
    for stored in (
        (value_codec("Cbor"), cbor2.dumps([cbor2.CBORTag(27, [missing, {}])])),
        (value_codec("Json"), value_codec("Json").encode({"__table__": missing, "__record__": {}})),
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
        value_codec("Json").decode(value_codec("Json").encode({"__table__": uuid, "__record__": {}}))


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
