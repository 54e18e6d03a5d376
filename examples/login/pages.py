# SPDX-License-Identifier: MIT
"""The one page, in its two forms."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from zlmdb_cookiestore import Cookie

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Login</title>
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="/style.css">
<main>
{body}
</main></html>
"""

STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; background: #f4f4f2; color: #222 }
main { max-width: 26rem; margin: 10vh auto; padding: 2rem; background: #fff; border-radius: .5rem }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input { margin: .2rem 0 1rem; padding: .5rem; border: 1px solid #999; border-radius: .25rem }
button { margin-top: .5rem; padding: .6rem; border: 0; border-radius: .25rem; background: #245; color: #fff }
.problem { color: #a00 }
"""

_FORM = """<form method="post" action="{action}">
<input type="hidden" name="token" value="{token}">
{fields}<button>{button}</button></form>"""

_FIELDS = """<label>Name <input name="name" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
"""


def login(token: str, problem: str = "") -> str:
    """Return the page for somebody who is to log in."""
    said = f'<p class="problem">{escape(problem)}</p>' if problem else ""
    form = _FORM.format(action="/login", token=escape(token), fields=_FIELDS, button="Log in")
    return _PAGE.format(body=f"<h1>Log in</h1>{said}{form}")


def welcome(token: str, name: str, here: Cookie, sessions: list[Cookie], visits: int) -> str:
    """Return the page for somebody who is logged in, with where else that is so."""
    rows = "".join(f"<li>since {_time(each)}{' (here)' if each.oid == here.oid else ''}</li>" for each in sessions)
    buttons = [("/logout", "Log out"), ("/logout-everywhere", "Log out everywhere")]
    forms = "".join(
        _FORM.format(action=action, token=escape(token), fields="", button=text) for action, text in buttons
    )
    body = f"<h1>Hello {escape(name)}</h1><p>Visits: {visits}. You are logged in</p><ul>{rows}</ul>{forms}"
    return _PAGE.format(body=body)


def refusal(text: str) -> str:
    """Return the page for a request that is refused."""
    return _PAGE.format(body=f'<h1>Sorry</h1><p class="problem">{escape(text)}</p><p><a href="/">Begin again</a></p>')


def _time(cookie: Cookie) -> str:
    return f"{datetime.fromtimestamp((cookie.authenticated or 0) // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"
