# SPDX-License-Identifier: MIT
"""The page that shows the events in a browser: three files, and what a browser is told never to do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).parent / "page"
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing from elsewhere, no script in the markup, and no text that becomes markup."""


def content(request: Any, name: str) -> bytes:
    """Return a file of the page, with its headers set."""
    path = _HERE / name
    request.setHeader("Content-Type", f"{_TYPES[path.suffix]}; charset=utf-8")
    request.setHeader("Content-Security-Policy", _POLICY)
    request.setHeader("X-Content-Type-Options", "nosniff")
    request.setHeader("Referrer-Policy", "no-referrer")
    request.setHeader("Cache-Control", "no-cache")
    return path.read_bytes()
