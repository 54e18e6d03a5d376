# SPDX-License-Identifier: MIT
"""Tokens for forms, which tell a page of ours from a forged one; derived from a cookie's value, and not stored.

A token does not give the value away, so it may stand in a page. It is good as long as the value is.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode

__all__ = ["csrf_token", "is_csrf_token"]


def csrf_token(value: str) -> str:
    """Return the token that belongs to the cookie of this value: 43 characters of ``A-Z a-z 0-9 _ -``."""
    digest = hmac.digest(value.encode("utf-8", "surrogatepass"), b"zlmdb cookie store: csrf", "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def is_csrf_token(value: str, token: object) -> bool:
    """Tell whether ``token``, whatever it is, belongs to the cookie of this value; takes the same time for all."""
    given = token.encode("utf-8", "surrogatepass") if isinstance(token, str) else token
    return isinstance(given, bytes) and hmac.compare_digest(csrf_token(value).encode(), given)
