# SPDX-License-Identifier: MIT
"""The environments of this process: each file opened once, counted, shared by all handles, never across a fork."""

from __future__ import annotations

import os
import threading
from dataclasses import fields
from pathlib import Path

from zlmdb.errors import OptionsConflict, TransactionsRunning
from zlmdb.storage.environment import Environment, forked_error
from zlmdb.storage.formats import data_file
from zlmdb.storage.named import check_kind, refuse_named
from zlmdb.storage.opening import Options, file_identity, sync_directory, with_format

_registry: dict[tuple[int, int], Environment] = {}
_registry_lock = threading.RLock()
_forked_keys: set[tuple[int, int]] = set()


def open_environment(path: str, options: Options) -> Environment:
    """Open the environment in directory ``path``, or share the one this process has open already.

    Raises `OptionsConflict` if it is open with other ``readonly``, ``lib_version``, ``sync``, ``writemap`` or
    ``lock``, `TransactionsRunning` if its map must grow and cannot, `DatabaseMissing`, `NotADatabase`,
    `FormatMismatch`, `AccessDenied`, `DiskFull`, `SamePidError` and other `DatabaseError`.
    """
    with _registry_lock:
        environment = _open_here(path)
        if environment is not None:
            check_kind(environment, options)
            _check_agreement(environment, options)
            environment.grow(options.maxsize)  # the largest maxsize wins
            environment.add_handle()
            return environment
        is_new = file_identity(data_file(path)) is None
        environment = Environment(path, with_format(path, options))
        refuse_named(environment)
        if is_new:
            sync_directory(path)
            sync_directory(Path(path).parent)
        _registry[environment.key] = environment
        return environment


def open_for_reading(path: str) -> Environment:
    """Share the environment if this process has it open, with whatever options; else open it read-only."""
    with _registry_lock:
        environment = _open_here(path)
        if environment is None:
            return open_environment(path, Options(readonly=True))
        environment.add_handle()
        return environment


def close_handle(environment: Environment) -> None:
    """Give back one handle; the last one closes the environment.

    Raises `TransactionsRunning` if transactions of other threads still run after five seconds.
    """
    with _registry_lock:
        if not environment.drop_handle():
            return
        _registry.pop(environment.key, None)
        try:
            environment.close()
        except TransactionsRunning:
            environment.add_handle()  # it stays open, and what is given back is to be given back again
            _registry[environment.key] = environment
            raise


def _open_here(path: str) -> Environment | None:
    key = file_identity(data_file(path))
    if key in _forked_keys:
        raise forked_error(path)
    return None if key is None else _registry.get(key)


def _check_agreement(environment: Environment, options: Options) -> None:
    present = environment.options
    for field in fields(Options):
        asked, has = getattr(options, field.name), getattr(present, field.name)
        if field.name in {"maxsize", "create"} or (field.name == "lib_version" and asked is None):
            continue
        if asked != has:
            raise OptionsConflict(
                f"the database is open in this process with another {field.name}",
                where=environment.path,
                got=asked,
                expected=repr(has),
                next_step="use the same options, or close the other handle first",
            )


def _after_fork_in_child() -> None:
    global _registry_lock
    _registry_lock = threading.RLock()  # another thread of the parent may have held it
    for environment in _registry.values():
        _forked_keys.add(environment.key)
        environment.forked()
    _registry.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
