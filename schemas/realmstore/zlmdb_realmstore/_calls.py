# SPDX-License-Identifier: MIT
"""Calls that wait for a callee with room: in memory as the router's objects, and in the file as plain data."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from zlmdb.codecs import as_read
from zlmdb.errors import WrongType, WrongValue
from zlmdb_eventhistory import matches
from zlmdb_realmstore._config import CallQueueItem

_MILLISECOND: Final = 1_000_000  # in nanoseconds
_OPTIONS: Final = 2  # the place of the options in a CALL message
_SHORTEST: Final = 4  # parts of it: its number, the request, options, procedure
_KINDS: Final = {"procedure": str, "match": str, "message": list, "caller": dict, "time_ns": int}

ParseCall: TypeAlias = Callable[[list[Any]], Any]
"""Makes a router's call object of the list that its ``marshal()`` gave."""
StoredCall: TypeAlias = dict[str, Any]
"""A waiting call in the file: ``procedure`` and ``match`` of the registration, ``message`` (the WAMP message as a
list), ``caller`` (what an event says of its publisher), ``authorization``, ``time_ns``."""


class QueuedCall(NamedTuple):
    """A call that waits; the parts are the router's own objects, or stand-ins after a restart."""

    session: Any
    call: Any
    registration: Any
    authorization: Any


class DepartedCaller:
    """Stands for the session of a caller that a restart has cut off: it has an identity, and receives nothing."""

    _transport = None

    def __init__(self, caller: dict[str, Any]) -> None:
        self._session_id = caller.get("publisher")
        self._authid = caller.get("publisher_authid")
        self._authrole = caller.get("publisher_authrole")
        self._realm = caller.get("realm")
        self._session_roles: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"DepartedCaller({self._session_id}, {self._authid!r}, {self._authrole!r})"


class _Place(NamedTuple):
    key: int | None  # of the record in the file; None for a call that is in memory only
    call: QueuedCall


class CallQueue:
    """One bounded queue for each registration whose procedure the configuration names. Reactor thread only.

    A queue belongs to the URI and the match policy of its registration, so it survives both the registration and
    the process: ids are drawn anew each time.
    """

    def __init__(self, items: Sequence[CallQueueItem], limit: int) -> None:
        self._items = items
        self._limit = limit  # of items without one
        self._queues: dict[tuple[str, str], deque[_Place]] = {}
        self._last = 0

    def limit(self, registration: Any) -> int:
        """Return how many calls of a registration may wait; 0 if its procedure has no queue."""
        uri = registration.uri
        return max((item.limit or self._limit for item in self._items if matches(uri, item.uri, item.match)), default=0)

    def has_room(self, registration: Any) -> bool:
        """Tell whether one more call of a registration may wait."""
        return len(self._queues.get(_identity(registration), ())) < self.limit(registration)

    def new_key(self) -> int:
        """Return the key of the next record in the file."""
        self._last += 1
        return self._last

    def put(self, key: int | None, call: QueuedCall) -> None:
        """Queue a call, whose record in the file has this key."""
        self._queues.setdefault(_identity(call.registration), deque()).append(_Place(key, call))

    def restore(self, key: int, record: StoredCall, parse: ParseCall) -> None:
        """Queue a call of a former process, in the order of the keys and before others. Raises what ``parse`` does."""
        call = QueuedCall(DepartedCaller(record["caller"]), parse(record["message"]), None, record["authorization"])
        self._queues.setdefault((record["procedure"], record["match"]), deque()).append(_Place(key, call))

    def start_behind(self, key: int) -> None:
        """Give keys from behind this one on."""
        self._last = max(self._last, key)

    def peek(self, registration: Any) -> QueuedCall | None:
        """Return the oldest call for a registration, or None."""
        queue = self._queues.get(_identity(registration))
        return queue[0].call._replace(registration=registration) if queue else None

    def pop(self, registration: Any) -> tuple[int | None, QueuedCall] | None:
        """Remove the oldest call for a registration and return it with the key of its record; or None."""
        queue = self._queues.get(_identity(registration))
        if not queue:
            return None
        key, call = queue.popleft()
        if not queue:
            del self._queues[_identity(registration)]
        return key, call._replace(registration=registration)


def stored_call(call: QueuedCall, caller: dict[str, Any], time_ns: int) -> StoredCall | None:
    """Return a call as the file has it, in a copy; None for one whose message has no plain form.

    Raises `EncodeError` for one that could not be restored.
    """
    marshal = getattr(call.call, "marshal", None)
    if not callable(marshal):
        return None
    procedure, match = _identity(call.registration)
    record: StoredCall = as_read(
        {
            "procedure": procedure,
            "match": match,
            "message": _message(marshal),
            "caller": caller,
            "authorization": call.authorization,
            "time_ns": time_ns,
        }
    )
    check_call(record)
    return record


def _message(marshal: Callable[[], Any]) -> Any:
    try:
        return marshal()
    except Exception as error:  # whatever the router's object finds wrong with itself
        raise WrongValue(f"the call has no plain form: {error}", expected="a WAMP message") from error


def check_call(record: Any) -> None:
    """Raise `WrongType` for what is no call as `stored_call` gives it."""
    if not isinstance(record, dict):
        raise WrongType("not a waiting call", got=record, expected="a dict")
    for name, kind in _KINDS.items():
        if type(record.get(name)) is not kind:
            raise WrongType("not a waiting call", where=name, got=record.get(name), expected=kind.__name__)
    message = record["message"]
    if len(message) < _SHORTEST or not isinstance(message[_OPTIONS], dict):
        raise WrongType("not a CALL message", got=message, expected="[48, request, options, procedure, …]")
    timeout = message[_OPTIONS].get("timeout")
    if timeout is not None and (type(timeout) is not int or timeout < 0):
        raise WrongType("not a timeout of a call", got=timeout, expected="milliseconds as an int from 0 on")


def is_overdue(record: StoredCall, now_ns: int) -> bool:
    """Tell whether the time that the caller gave the call (its option ``timeout``, in milliseconds) is over."""
    timeout = record["message"][_OPTIONS].get("timeout")
    return bool(timeout) and record["time_ns"] + timeout * _MILLISECOND <= now_ns


def _identity(registration: Any) -> tuple[str, str]:
    return registration.uri, getattr(registration, "match", None) or "exact"
