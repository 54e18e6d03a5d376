# SPDX-License-Identifier: MIT
"""From the router's objects to records, and from records to what the router's callers get.

The objects are duck-typed as autobahn has them: session details, publish messages, and sessions, whose
attributes may begin with an underscore.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from zlmdb.errors import WrongType, WrongValue
from zlmdb_eventhistory import Event
from zlmdb_realmstore._session import Session
from zlmdb_realmstore._storable import storable_text

_LARGEST_PUBLICATION: Final = 2**53  # of WAMP
_LARGEST_SESSION: Final = 2**64 - 1  # that the tables hold
_KEY_OVERHEAD: Final = 12  # bytes that the index by topic adds: slot, end of the string, sequence
_IDS: Final = ("session_id", "_session_id", "session")
_TEXTS: Final = ("enc_algo", "enc_key", "enc_serializer")
_FLAGS: Final = ("acknowledge", "retain", "exclude_me")
_RECEIVERS: Final = (
    "exclude",
    "exclude_authid",
    "exclude_authrole",
    "eligible",
    "eligible_authid",
    "eligible_authrole",
)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a publisher is told: the publication's id, and when it was published in ns since 1970 UTC."""

    publication: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who publishes, for applications that have no session objects."""

    session_id: int | None = None
    authid: str | None = None
    authrole: str | None = None
    realm: str | None = None


class Leaving(NamedTuple):
    """A session that left; ``oid`` is None if this process did not see it join."""

    session_id: int | None
    oid: UUID | None
    left_at: int
    reason: str | None = None
    message: str | None = None


def new_publication_id() -> int:
    """Return a random id from 1 to 2**53, as WAMP has them."""
    return secrets.randbelow(2**53) + 1


def check_topic(topic: object) -> None:
    """Raise `WrongType` for what is not a topic."""
    if not isinstance(topic, str) or not topic:
        raise WrongType("not a topic", got=topic, expected="a str that is not empty")


def check_keys(topic: str, publication: object, max_key_size: int) -> None:
    """Refuse now what the indexes of the file would refuse, which is too late for who was acknowledged."""
    if type(publication) is not int or not 0 < publication <= _LARGEST_PUBLICATION:
        raise WrongType("not a publication id", got=publication, expected=f"an int from 1 to {_LARGEST_PUBLICATION}")
    try:
        raw = topic.encode()
    except UnicodeEncodeError as error:
        raise WrongValue("the topic has no UTF-8 form", got=topic, expected="a str without lone surrogates") from error
    limit = max_key_size - _KEY_OVERHEAD
    if len(raw) + raw.count(0) > limit:
        expected = f"at most {limit} bytes in UTF-8, where a NUL counts twice"
        raise WrongValue("the topic is too long", got=topic, expected=expected)


def check_time(name: str, value: object) -> None:
    """Raise `WrongType` for what is not a time, nor None: callers of a router send anything."""
    if value is not None and type(value) is not int:
        raise WrongType("not a time", where=name, got=value, expected="nanoseconds as an int, or None")


def session_id_of(session: Any) -> int | None:
    """Return the WAMP id of a session, None if it has none (any more); raises `WrongValue` if no table can hold it."""
    found = _attribute(session, *_IDS)
    return _session_id(found) if type(found) is int else None


def _session_id(found: object) -> int:
    if type(found) is not int:
        raise WrongType("not a session id", got=found, expected="an int")
    if not 0 <= found <= _LARGEST_SESSION:
        raise WrongValue("not a session id", got=found, expected=f"an int from 0 to {_LARGEST_SESSION}")
    return found


def session_record(session: Any, details: Any, joined_at: int) -> Session:
    """Return the record of a session that joins; raises `WrongValue` for one without an id."""
    session_id = session_id_of(details) or session_id_of(session)
    if session_id is None:
        raise WrongValue("a session joins without an id", got=details, expected="an int as details.session")
    return Session(
        oid=uuid4(),
        session=session_id,
        joined_at=joined_at,
        realm=_attribute(details, "realm") or _attribute(session, "realm", "_realm") or "",
        authid=_attribute(details, "authid"),
        authrole=_attribute(details, "authrole"),
        authmethod=_attribute(details, "authmethod"),
        authprovider=_attribute(details, "authprovider"),
        authextra=_mapping(_attribute(details, "authextra")),
        transport=_mapping(_attribute(details, "transport")),
    )


def leaving_session(session: Any, details: Any, record: Session | None, left_at: int) -> Leaving:
    """Return what close details say of a session that leaves; ``record`` is the one of its joining."""
    reason, message = _attribute(details, "reason"), _attribute(details, "message")
    oid = record.oid if record else None
    return Leaving(session_id_of(session), oid, left_at, storable_text(reason), storable_text(message))


def session_details(record: Session) -> dict[str, Any]:
    """Return a session as the dictionary form of SessionDetails (FORMAT.md section 7.1)."""
    return {
        "realm": record.realm,
        "session": record.session,
        "authid": record.authid,
        "authrole": record.authrole,
        "authmethod": record.authmethod,
        "authprovider": record.authprovider,
        "authextra": record.authextra,
        "serializer": (record.transport or {}).get("serializer"),
        "transport": record.transport,
        "resumed": None,
        "resumable": None,
        "resume_token": None,
    }


def published_event(session: Any, publication: int, publish: Any, time_ns: int) -> tuple[Event, int]:
    """Return the event of a publish message and its size, as `own_event` does."""
    options: dict[str, Any] = {name: _attribute(publish, name) for name in (*_TEXTS, *_FLAGS)}
    options.update({name: _listed(_attribute(publish, name)) for name in _RECEIVERS})
    return Event(
        publication=publication,
        topic=publish.topic,
        time_ns=time_ns,
        **publisher_fields(session),
        **_content(_attribute(publish, "args"), _attribute(publish, "kwargs"), _attribute(publish, "payload")),
        **options,
    ).weighed()


def own_event(
    topic: str, content: tuple[Any, Any, Any], publisher: Any, publication: int, time_ns: int
) -> tuple[Event, int]:
    """Return the event of (args, kwargs, payload), copied in depth, and about how many bytes it has in the file.

    Raises `EncodeError` for what cannot be stored.
    """
    fields = {**_own_publisher(publisher), **_content(*content)}
    return Event(publication=publication, topic=topic, time_ns=time_ns, **fields).weighed()


def _own_publisher(publisher: Any) -> dict[str, Any]:
    if type(publisher) is int:
        return {"publisher": _session_id(publisher)}
    if publisher is not None and not any(hasattr(publisher, name) for name in (*_IDS, "authid", "_authid")):
        raise WrongType("not a publisher", got=publisher, expected="a session, its id, a Publisher or None")
    if (found := _attribute(publisher, *_IDS)) is not None:
        _session_id(found)
    return publisher_fields(publisher)


def publisher_fields(session: Any) -> dict[str, Any]:
    """Return what an event says of the session that published it."""
    if session is None:
        return {}
    return {
        "publisher": session_id_of(session),
        "publisher_authid": _attribute(session, "authid", "_authid"),
        "publisher_authrole": _attribute(session, "authrole", "_authrole"),
        "realm": _attribute(session, "realm", "_realm"),
    }


def event_dict(event: Event) -> dict[str, Any]:
    """Return an event as ``wamp.subscription.get_events`` gives it (FORMAT.md section 7.3)."""
    found: dict[str, Any] = {
        "time_ns": event.time_ns,
        "realm": event.realm,
        "session_id": event.publisher,
        "authid": event.publisher_authid,
        "authrole": event.publisher_authrole,
        "publication": event.publication,
        "topic": event.topic,
        "args": event.args,
        "kwargs": event.kwargs,
    }
    if event.payload is not None:
        found.update(payload=event.payload, **{name: getattr(event, name) for name in _TEXTS})
    return found


def _content(args: Any, kwargs: Any, payload: Any) -> dict[str, Any]:
    if args is not None and not isinstance(args, (list, tuple)):
        raise WrongType("not positional arguments", got=args, expected="a list or a tuple")
    if kwargs is not None and not (isinstance(kwargs, Mapping) and all(isinstance(name, str) for name in kwargs)):
        raise WrongType("not keyword arguments", got=kwargs, expected="a mapping of str to anything")
    if payload is not None and not isinstance(payload, (bytes, bytearray, memoryview)):
        raise WrongType("not a payload", got=payload, expected="bytes")
    return {
        "args": None if args is None else list(args),
        "kwargs": None if kwargs is None else dict(kwargs),
        "payload": None if payload is None else bytes(payload),
    }


def _attribute(source: Any, *names: str) -> Any:
    """Return the first of these attributes that is there and not None."""
    return next((found for name in names if (found := getattr(source, name, None)) is not None), None)


def _mapping(value: Any) -> dict[str, Any] | None:
    if callable(marshal := getattr(value, "marshal", None)):
        value = marshal()
    return dict(value) if isinstance(value, Mapping) else None


def _listed(value: Any) -> list[Any] | None:
    if value is None:
        return None
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
