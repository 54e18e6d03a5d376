# SPDX-License-Identifier: MIT
"""The text of a ``.fbs`` file as tokens, each with its place."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NoReturn

from zlmdb.errors import TableDeclaration

_TOKEN: Final = re.compile(
    r"""
    (?P<space> \s+ | //[^\n]* | /\*.*?\*/ )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<number> [+-]? (?: 0[xX][0-9a-fA-F]+ | (?: \d+\.?\d* | \.\d+ ) (?: [eE][+-]?\d+ )? | (?: nan | inf ) \b ) )
  | (?P<string> "(?: [^"\\\n] | \\. )*" )
  | (?P<sign> [{}()\[\]:;,=.] )
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """A piece of text: ``kind`` is name, number, string, sign or end."""

    kind: str
    text: str
    at: int


class Tokens:
    """The tokens of one file, read one after the other."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._at = 0
        self.next = self._scan()
        """The token that `take` gives next."""

    def take(self) -> Token:
        """Return the next token and go on behind it."""
        token = self.next
        self.next = self._scan()
        return token

    def accept(self, text: str) -> bool:
        """Take the next token if it is this name or sign, and tell whether it was."""
        if self.next.text != text or self.next.kind == "string":
            return False
        self.take()
        return True

    def expect(self, text: str, where: str) -> None:
        """Take this sign or name; ``where`` says what it belongs to."""
        if not self.accept(text):
            self.fail(f"a {text!r} is missing", expected=f"{text!r} {where}")

    def name(self, what: str) -> Token:
        """Take a name; ``what`` says of what."""
        return self.kind("name", f"the name of {what}")

    def kind(self, kind: str, expected: str) -> Token:
        """Take a token of this kind."""
        if self.next.kind != kind:
            self.fail(f"not a {kind}", expected=expected)
        return self.take()

    def string(self, expected: str) -> str:
        """Take a string, and return what stands between its quotes."""
        return re.sub(r"\\(.)", r"\1", self.kind("string", expected).text[1:-1])

    def fail(self, what: str, *, expected: str, token: Token | None = None, next_step: str | None = None) -> NoReturn:
        """Raise the error of a token, by default of the next one."""
        token = token or self.next
        line = self._text.count("\n", 0, token.at) + 1
        column = token.at - self._text.rfind("\n", 0, token.at)
        raise TableDeclaration(
            what,
            where=f"{self._file}, line {line}, column {column}",
            got=token.text or "the end of the file",
            expected=expected,
            next_step=next_step,
            line=line,
            column=column,
        )

    def _scan(self) -> Token:
        while self._at < len(self._text):
            start = self._at
            found = _TOKEN.match(self._text, start)
            if found is None:
                rest = self._text[start : start + 20].split("\n")[0]
                self.fail("this is no part of the language", expected="a declaration", token=Token("sign", rest, start))
            self._at = found.end()
            if found.lastgroup != "space":
                return Token(str(found.lastgroup), found.group(), start)
        return Token("end", "", len(self._text))
