# SPDX-License-Identifier: MIT
"""The configuration of a cookie store: what is wrong in it is told with its path, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from zlmdb.errors import ConfigError
from zlmdb.plugins import check
from zlmdb_cookiestore import plugin

LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "store.path: missing, expected str"),
        ({"path": "x", "length": 5}, "store.length: expected int >= 6 and <= 64, got 5"),
        ({"path": "x", "max-age": 0}, "store.max-age: expected int > 0 and <= 311040000, got 0"),
        ({"path": "x", "maxsize": 1000}, "store.maxsize: expected int >= 131072 and <= 137438953472 or null, got 1000"),
        ({"path": "x", "cookie-name": "a b"}, "store.cookie-name: expected str matching"),
        ({"path": "x", "same-site": "lax"}, 'store.same-site: expected "Strict", "Lax" or "None" or null, got "lax"'),
        ({"path": "x", "purge_on_start": True}, "store.purge_on_start: unknown key, did you mean 'purge-on-startup'?"),
        ({"path": "x", "readonly": True, "purge-on-startup": True}, "exclude each other"),
        ({"path": "x", "same-site": "None", "secure": False}, "needs secure"),
        ({"path": "x", "cookie-name": "__Host-a", "secure": False}, "needs secure"),
        ({"path": "x", "cookie-name": "__Host-a", "domain": "example.com"}, "takes no domain"),
        ({"path": "x", "cookie-name": "__Host-a", "cookie-path": "/app"}, "takes no domain"),
        ({"path": "x", "length": 21}, "length: values this short can be guessed; got 21; expected at least 22"),
        ({"path": "x", "longest-life": 60}, "shorter than a lifetime; got 60; expected at least max-age, 604800"),
        ({"path": "x", "domain": "a; Secure"}, "store.domain: expected str of length <= 253 and matching"),
        ({"path": "x", "cookie-path": "/\r\nSet-Cookie: a=b"}, "store.cookie-path: expected str matching"),
        (
            {"path": "x", "sweep-interval": 0},
            "store.sweep-interval: expected float >= 0.01 and <= 311040000 or null, got 0",
        ),
        ({"path": "x", "sweep-interval": 1e-300}, "store.sweep-interval: expected float >= 0.01 and"),
        ({"path": "x", "sweep-interval": 1e300}, "store.sweep-interval: expected float >= 0.01 and <= 311040000"),
        ({"path": ""}, 'store.path: expected str of length >= 1, got ""'),
        *(
            ({"path": "x", "domain": domain}, f"store.domain: expected str of length <= 253 and matching ^{LABEL}")
            for domain in ("a..b", ".a", "a.", "a.-b", "a-.b", "a." + 64 * "b", ".".join(["abc"] * 64), "")
        ),
    ],
)
def test_a_faulty_configuration_is_refused_with_its_path(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(plugin.config, options)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "domain", ["a", "example.com", "a-b.example.com", "xn--bcher-kva.example", ".".join(["abc"] * 63)]
)
def test_a_domain_is_made_of_labels(domain: str) -> None:
    assert check(plugin.config, {"path": "x", "domain": domain}).domain == domain
