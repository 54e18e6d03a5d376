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

from zlmdb.codecs import value_codec
from zlmdb.errors import WrongValue
from zlmdb_eventhistory import Event
from zlmdb_realmstore._session import Session

_CBOR: Final = value_codec("Cbor")
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


def new_publication_id() -> int:
    """Return a random id from 1 to 2**53, as WAMP has them."""
    return secrets.randbelow(2**53) + 1


def session_id_of(session: Any) -> int | None:
    """Return the WAMP id of a session, None if it has none (any more)."""
    found = _attribute(session, "session_id", "_session_id", "session")
    return found if type(found) is int else None


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


def published_event(session: Any, publication: int, publish: Any, time_ns: int) -> Event:
    """Return the event of a publish message."""
    options: dict[str, Any] = {name: _attribute(publish, name) for name in (*_TEXTS, *_FLAGS)}
    options.update({name: _listed(_attribute(publish, name)) for name in _RECEIVERS})
    return Event(
        publication=publication,
        topic=publish.topic,
        time_ns=time_ns,
        **publisher_fields(session),
        **_content(_attribute(publish, "args"), _attribute(publish, "kwargs"), _attribute(publish, "payload")),
        **options,
    )


def own_event(topic: str, content: tuple[Any, Any, Any], publisher: Any, publication: int, time_ns: int) -> Event:
    """Return the event of (args, kwargs, payload), copied in depth; raises `EncodeError` for what cannot be stored."""
    args, kwargs, payload = _CBOR.decode(_CBOR.encode(content))
    fields = {"publisher": publisher} if type(publisher) is int else publisher_fields(publisher)
    return Event(publication=publication, topic=topic, time_ns=time_ns, **fields, **_content(args, kwargs, payload))


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
