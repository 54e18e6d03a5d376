# SPDX-License-Identifier: MIT
r"""The text format of LMDB's ``mdb_dump`` and ``mdb_load`` (their manual pages; Berkeley DB's before them).

A header of ``name=value`` lines up to ``HEADER=END``; then key and data on lines of their own behind a space,
in hex (``format=bytevalue``) or as text with ``\xx`` escapes (``format=print``); then ``DATA=END``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from zlmdb.errors import ConfigError
from zlmdb.storage import Transaction, scan

_ESCAPE: Final = re.compile(rb"\\(\\|[0-9a-fA-F]{2})?")
_OURS: Final = {"VERSION": "3", "type": "btree"}
_NEXT: Final = "make it anew with zlmdb dump --raw, or mdb_dump"


def lines(txn: Transaction, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a dump of all records; ``facts`` are those of `Database.stats`."""
    yield "VERSION=3\nformat=bytevalue\ntype=btree\n"
    yield f"mapsize={facts['map_size']}\nmaxreaders={facts['max_readers']}\ndb_pagesize={facts['psize']}\nHEADER=END\n"
    for keys, datas in scan(txn, b"\0", None):
        for key, data in zip(keys, datas, strict=True):
            yield f" {key.hex()}\n {data.hex()}\n"
    yield "DATA=END\n"


def records(source: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and data of a dump; raise `ConfigError` for what is none, is cut short or is not of one database."""
    numbered = enumerate(source, 1)
    decode = _decoder(_header(numbered))
    key: bytes | None = None
    for number, line in numbered:
        text = line.rstrip(b"\r\n")
        if text == b"DATA=END" and key is None:
            _check_end(numbered)
            return
        if not text.startswith(b" "):
            raise _broken(number, "a line is no part of a dump", text)
        try:
            value = decode(text[1:])
        except ValueError as exc:
            raise _broken(number, "a line cannot be decoded", text) from exc
        if key is not None:
            yield key, value
            key = None
        elif value:
            key = value
        else:
            raise _broken(number, "a key is empty", text)
    raise ConfigError("the dump is cut short", expected="DATA=END as its last line", next_step=_NEXT)


def _header(numbered: Iterator[tuple[int, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in numbered:
        name, equals, value = line.rstrip(b"\r\n").decode("utf-8", "replace").partition("=")
        if not equals or number > 100:
            raise _broken(number, "this is no dump of LMDB", line[:40])
        if (name, value) == ("HEADER", "END"):
            return _checked(found)
        found[name] = value
    raise ConfigError("this is no dump of LMDB", expected="a header that ends in HEADER=END", next_step=_NEXT)


def _checked(header: dict[str, str]) -> dict[str, str]:
    odd = {name: value for name, value in header.items() if _OURS.get(name, value) != value}
    odd |= {
        name: value for name, value in header.items() if name == "database" or (name.startswith("dup") and value != "0")
    }
    if odd or header.get("format") not in {"bytevalue", "print"}:
        raise ConfigError(
            "this dump cannot be loaded",
            where="its header",
            got=odd or header.get("format"),
            expected="version 3, format bytevalue or print, of the unnamed database, without duplicates",
            next_step="dump it with mdb_dump and without -a and -s",
        )
    return header


def _decoder(header: dict[str, str]) -> Any:
    return _from_hex if header["format"] == "bytevalue" else _from_text


def _from_hex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode("ascii"))


def _from_text(text: bytes) -> bytes:
    def plain(escape: re.Match[bytes]) -> bytes:
        if escape[1] is None:
            raise ValueError("a lone backslash")
        return b"\\" if escape[1] == b"\\" else bytes.fromhex(escape[1].decode("ascii"))

    return _ESCAPE.sub(plain, text)


def _check_end(numbered: Iterator[tuple[int, bytes]]) -> None:
    for number, line in numbered:
        if line.strip():
            raise _broken(number, "more follows the dump, perhaps a second database", line[:40])


def _broken(number: int, what: str, got: bytes) -> ConfigError:
    return ConfigError(what, where=f"line {number}", got=got, expected="what mdb_dump prints", next_step=_NEXT)
