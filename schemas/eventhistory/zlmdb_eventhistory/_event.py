# SPDX-License-Identifier: MIT
"""The record of a publication."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any, Final

from zlmdb.codecs import encoded_size, read_back
from zlmdb.errors import DecodeError, WrongValue
from zlmdb_eventhistory._fields import check_fields


@dataclass(kw_only=True)
class Event:
    """A publication. Fields that are None are not stored; what an option is worth then is the router's to say.

    ``args``, ``kwargs`` and ``payload`` are what was published: plain data, or bytes that only the receiver
    understands, described by the three ``enc_`` fields. The other options say who may receive it.
    """

    publication: int
    """The publication's id; no two events of a history have the same."""
    topic: str
    time_ns: int
    """When it was published, in nanoseconds since 1970 UTC."""
    sequence: int = 0
    """The key of the record, from 1 on; given by `EventHistory.append`."""
    clock_ns: int = 0
    """The latest ``time_ns`` of any event up to this one, so that it never runs back; given by `append`."""
    expires_ns: int | None = None
    """When the configured patterns let it go, in nanoseconds since 1970 UTC, if they do; given by `append`."""
    publisher: int | None = None
    """The session that published it."""
    publisher_authid: str | None = None
    publisher_authrole: str | None = None
    realm: str | None = None
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    payload: bytes | None = None
    enc_algo: str | None = None
    enc_key: str | bytes | None = None
    enc_serializer: str | None = None
    acknowledge: bool | None = None
    retain: bool | None = None
    exclude_me: bool | None = None
    exclude: list[int] | None = None
    exclude_authid: list[str] | None = None
    exclude_authrole: list[str] | None = None
    eligible: list[int] | None = None
    eligible_authid: list[str] | None = None
    eligible_authrole: list[str] | None = None

    def placed(self, sequence: int, clock_ns: int, expires_ns: int | None = None) -> Event:
        """Return a copy with its place in the history."""
        return placed(self.marshal(), sequence, clock_ns, expires_ns)

    def storable(self) -> Event:
        """Return a copy as reading will give it; raises `EncodeError` for what cannot be written, or not be read.

        That is more than writing finds; see `zlmdb.codecs.read_back`. Any thread.
        """
        return self.weighed()[0]

    def weighed(self) -> tuple[Event, int]:
        """Return what `storable` does, and about how many bytes the event has in the file; raises as that does."""
        check_fields(fields := self.marshal())
        copy, size = read_back(fields)
        try:
            return Event(**copy), size
        except TypeError as error:
            raise WrongValue(f"this cannot be stored: {error}", got=self, expected="the fields of an event") from error

    def size(self) -> int:
        """Return about how many bytes the event has in the file."""
        return encoded_size(self.marshal())

    def marshal(self) -> dict[str, Any]:
        """Return the fields that are set."""
        return {name: value for name, value in self.__dict__.items() if value is not None}

    @staticmethod
    def parse(data: dict[str, Any]) -> Event:
        """Return the event that `marshal` gave; raises TypeError for fields it does not know, or that are missing.

        Raises `DecodeError` if a field that an index is made of has another type than `append` writes.
        """
        event = object.__new__(Event)  # a third of the time of its __init__
        event.__dict__ = found = {**_DEFAULTS, **data}
        if len(found) != _FIELDS:
            return Event(**data)  # which says what is wrong
        if (
            found["topic"].__class__ is str
            and found["publication"].__class__ is int
            and found["time_ns"].__class__ is int
            and found["sequence"].__class__ is int
            and found["clock_ns"].__class__ is int
        ):
            return event
        raise DecodeError("this is no event", got=data, expected="a str as topic, ints as ids and times")


def placed(fields: dict[str, Any], sequence: int, clock_ns: int, expires_ns: int | None = None) -> Event:
    """Return an event of the fields that are set, with its place in the history; the dictionary becomes its own."""
    fields["sequence"], fields["clock_ns"], fields["expires_ns"] = sequence, clock_ns, expires_ns
    event = object.__new__(Event)  # a tenth of the time of `dataclasses.replace`
    event.__dict__ = fields  # which lacks what is None by default: that is found in the class
    return event


_DEFAULTS: Final = {field.name: field.default for field in fields(Event) if field.default is not MISSING}
_FIELDS: Final = len(fields(Event))
