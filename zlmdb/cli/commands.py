# SPDX-License-Identifier: MIT
"""The command ``zlmdb`` and its subcommands."""

from __future__ import annotations

import click

import zlmdb as package
from zlmdb.cli.checking import check
from zlmdb.cli.copies import backup, compact, convert
from zlmdb.cli.dumping import dump, load
from zlmdb.cli.facts import info, readers, stats, version
from zlmdb.cli.plugins import plugins

EXIT_CODES = """\b
Exit codes: 0 done; 1 an error, or a check found something wrong;
2 wrong usage; 3 the extra zlmdb[cli] is not installed; 130 interrupted.
"""


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, message="zlmdb %(version)s")
def zlmdb() -> None:
    """Look at zlmdb databases, check, copy and compact them, and list plugins.

    PATH is the directory of a database. Commands that only read open it read-only, and it may be in use.
    """


for _command in (backup, check, compact, convert, dump, info, load, plugins, readers, stats, version):
    zlmdb.add_command(_command)
