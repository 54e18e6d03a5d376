# SPDX-License-Identifier: MIT
"""What the commands share: how they report errors, open databases to read, and print."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

import click

from zlmdb import Database
from zlmdb.errors import ZlmdbError, shorten
from zlmdb.storage import LibVersion

INTERRUPTED: Final = 130  # as shells have it: 128 and the number of the signal
_TRACEBACK: Final = "zlmdb.traceback"


class Failure(click.ClickException):
    """An error of ours as the command line tells it."""

    def __init__(self, error: ZlmdbError | OSError) -> None:
        super().__init__(str(error))
        self.error = error

    def show(self, file: IO[Any] | None = None) -> None:
        """Print what, where, got, expected and next step, a line each."""
        for line in told(self.error):
            click.echo(line, file=file, err=file is None)


def told(error: BaseException) -> Iterator[str]:
    """Yield the lines that tell an error."""
    if not isinstance(error, ZlmdbError):
        yield f"error: {printable(str(error))}"
        return
    yield f"error: {printable(error.what)}"
    got = shorten(error.got) if error.has_got else None
    facts = {"where": error.where, "got": got, "expected": error.expected, "next": error.next_step}
    yield from (f"  {name}: {printable(fact)}" for name, fact in facts.items() if fact)
    yield from (f"  {printable(note)}" for note in getattr(error, "__notes__", ()))


class Command(click.Command):
    """A command that reports our errors without a traceback, unless ``--traceback`` asks for one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--traceback"], is_flag=True, expose_value=False, callback=_keep, help="Show where errors arise."
            )
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; `KeyboardInterrupt` ends it with exit code 130."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # at the interpreter's exit nobody could tell of a full disk
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # click ends quietly
        except (ZlmdbError, OSError) as error:
            if ctx.meta.get(_TRACEBACK):
                raise
            raise Failure(error) from error
        return result


def _keep(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    ctx.meta[_TRACEBACK] = value


# --- databases ---------------------------------------------------------------------------------------


def _not_empty(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("a path is not empty")
    return value


path_argument = click.argument("path", type=click.Path(), callback=_not_empty)
target_argument = click.argument("target", type=click.Path(), callback=_not_empty)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
no_lock_option = click.option(
    "--no-lock",
    is_flag=True,
    help="Take no locks: for a database on media that cannot be written, and that nobody else uses.",
)
lib_version_type = click.Choice(["0.9", "1.0"])


@contextmanager
def reading(path: str, no_lock: bool = False, lib_version: LibVersion | None = None) -> Iterator[Database]:
    """Open a database read-only."""
    with Database(path, readonly=True, lock=not no_lock, lib_version=lib_version) as db:
        yield db


# --- printing ----------------------------------------------------------------------------------------


def print_json(value: object) -> None:
    """Print an indented JSON document."""
    click.echo(json.dumps(value, indent=2, default=str))


def print_facts(facts: Mapping[str, object]) -> None:
    """Print ``key: value`` lines, sorted."""
    for key in sorted(facts):
        click.echo(f"{key}: {printable(str(facts[key]))}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns under their names, numbers to the right."""
    texts = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    right = [bool(rows) and all(isinstance(row[at], int | None) for row in rows) for at in range(len(columns))]
    for text in texts:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(text, widths, right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _cell(value: object) -> str:
    return "-" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Return ``text`` with control characters and surrogates escaped: it comes from files, and terminals obey."""
    return text if text.isprintable() else ascii(text)[1:-1]


def near(wanted: str, known: Sequence[str]) -> str | None:
    """Return advice that names the known words near to the wanted one, if there are any."""
    found = difflib.get_close_matches(wanted, known)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else None
