# SPDX-License-Identifier: MIT
"""What the adapters of web frameworks share: cookies of twisted.web's requests."""

from __future__ import annotations

from typing import Any

from zlmdb_cookiestore._header import parse


def sent_value(request: Any, name: str) -> str | None:
    """Return the value of the cookie ``name`` that a request came with, if it could be one of ours."""
    headers = request.requestHeaders.getRawHeaders(b"cookie", [])
    return parse(b"; ".join(headers), name)


def send_cookie(request: Any, header: str) -> None:
    """Have a response set a cookie, in place of what it would set under the same name otherwise."""
    cookie = header.encode("ascii")
    name = cookie.partition(b"=")[0] + b"="
    request.cookies[:] = [*(each for each in request.cookies if not each.startswith(name)), cookie]
