# SPDX-License-Identifier: MIT
"""What a request says, checked, and errors as JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, cast, get_args

from twisted.web.server import Request

from zlmdb.errors import Backpressure, ConfigError, DatabaseClosed, DataError, DiskFull, MapFull
from zlmdb_eventhistory import Match

_TOPIC: Final = re.compile(r"[^\s.#]+(\.[^\s.#]+)*")  # WAMP's loose URIs
_LONGEST_TOPIC: Final = 200  # characters
_DEEPEST: Final = 50  # levels of lists and objects


class Refused(Exception):
    """A request that is answered with an error of this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def status_of(error: BaseException | None) -> int:
    """Return the HTTP status that says whose fault an error of the stores is."""
    if isinstance(error, (Backpressure, DatabaseClosed, MapFull, DiskFull)):
        return 503
    return 400 if isinstance(error, (DataError, ConfigError)) else 500


class LimitedRequest(Request):
    """A request whose body is kept up to a limit; more of it is read and forgotten."""

    max_body = 0
    too_long = False

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep a piece of the body."""
        content: Any = self.content  # open since the headers came
        self.too_long = self.too_long or content.tell() + len(data) > self.max_body
        if not self.too_long:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]


def json_body(request: Any) -> dict[str, Any]:
    """Return the body, a JSON object."""
    if request.too_long:
        raise Refused(413, f"the body is longer than {request.max_body} bytes")
    try:
        body = json.loads(request.content.read(), parse_constant=_no_constant, parse_float=_finite)
        nested = _depth(body)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, f"the body is not JSON: {exc}") from exc
    if nested > _DEEPEST:
        raise Refused(400, f"the body is nested deeper than {_DEEPEST} levels")
    if not isinstance(body, dict):
        raise Refused(400, f"the body is not a JSON object, but {type(body).__name__}")
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is larger than any number that can be answered")
    return number


def _depth(value: object) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


def authid_of(request: Any) -> str:
    """Return the authid of a login, sent as a form or as JSON."""
    if request.args.get(b"authid"):
        authid: object = request.args[b"authid"][0].decode(errors="replace")
    else:
        authid = json_body(request).get("authid")
    if not isinstance(authid, str) or not authid.isprintable() or not 0 < len(authid) <= 100:
        raise Refused(400, "authid: expected 1 to 100 printable characters")
    return authid


def topic_of(value: object) -> str:
    """Return a topic to publish to."""
    if not isinstance(value, str) or len(value) > _LONGEST_TOPIC or not _TOPIC.fullmatch(value):
        raise Refused(400, f"topic: expected words joined by dots, {_LONGEST_TOPIC} characters at most")
    return value


def publication_of(body: dict[str, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    """Return topic, args and kwargs of a publication."""
    unknown = sorted(body.keys() - {"topic", "args", "kwargs"})
    if unknown:
        raise Refused(400, f"unknown keys: {', '.join(unknown)}; expected topic, args and kwargs")
    args, kwargs = body.get("args", []), body.get("kwargs", {})
    if not isinstance(args, list):
        raise Refused(400, "args: expected a list")
    if not isinstance(kwargs, dict):
        raise Refused(400, "kwargs: expected an object")
    return topic_of(body.get("topic")), args, kwargs


def pattern_of(request: Any) -> tuple[str, Match]:
    """Return topic pattern and match policy of a query."""
    match = parameter(request, "match", "exact")
    if match not in get_args(Match):
        raise Refused(400, f"match: expected one of {', '.join(get_args(Match))}, got {match}")
    return parameter(request, "topic", ""), cast("Match", match)


def newest_first(request: Any) -> bool:
    """Tell in which order a query wants the events."""
    order = parameter(request, "order", "oldest")
    if order not in ("oldest", "newest"):
        raise Refused(400, f"order: expected oldest or newest first, got {order}")
    return order == "newest"


def number(request: Any, name: str, default: int, highest: int) -> int:
    """Return a number of a query."""
    text = parameter(request, name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= highest:
        raise Refused(400, f"{name}: expected a number from 1 to {highest}, got {text}")
    return int(text)


def parameter(request: Any, name: str, default: str) -> str:
    """Return a text of a query."""
    values = request.args.get(name.encode())
    try:
        return values[0].decode() if values else default
    except UnicodeDecodeError as exc:
        raise Refused(400, f"{name}: expected UTF-8") from exc
