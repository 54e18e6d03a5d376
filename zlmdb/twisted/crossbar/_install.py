# SPDX-License-Identifier: MIT
"""Putting our stores into Crossbar's personalities, the classes that say what a node is made of."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from zlmdb.errors import ConfigError, MissingDependency
from zlmdb.twisted.crossbar._cookies import RouterCookieStore
from zlmdb.twisted.crossbar._realm import STORE_TYPE, RouterRealmStore, check_realm_store

# the module in which Crossbar's command looks for the class of each kind of node
_PLACES: Final = {"StandalonePersonality": "crossbar.personality", "EdgePersonality": "crossbar.edge"}


def install(personality: Any = None) -> None:
    """Have the nodes of this process, and their workers, use our stores. To be called before a node is made.

    Without an argument this concerns Crossbar's own personalities, standalone and edge: call it before
    ``crossbar.run()``. It installs the reactor as Crossbar does, so call it before Twisted's is imported. Who has a
    personality class of his own calls ``install(Personality)`` in the module that defines it, which the workers
    import as well.

    Raises:
        MissingDependency: Crossbar is not installed.
        ConfigError: ``personality`` is no personality of Crossbar's.
    """
    installed_crossbar()
    if personality is not None:
        equip(personality)
        return
    _prepare()
    personalities = importlib.import_module("zlmdb.twisted.crossbar.personalities")
    # all first: one of the modules derives its class from that of the other
    found = {place: getattr(personalities, name) for name, place in _PLACES.items()}
    for place, ours in found.items():
        vars(importlib.import_module(place))["Personality"] = ours


def installed_crossbar() -> Any:
    """Return the package ``crossbar``; raise `MissingDependency` if it is not there."""
    try:
        return importlib.import_module("crossbar")
    except ImportError as error:
        raise MissingDependency(
            f"Crossbar.io cannot be imported: {error}", next_step="pip install zlmdb[crossbar]", extra="crossbar"
        ) from error


def equip(personality: Any) -> None:
    """Give a personality class our realm store and its check, and this process our cookie store."""
    if not isinstance(personality, type) or not isinstance(getattr(personality, "REALM_STORES", None), Mapping):
        raise ConfigError("not a personality", got=personality, expected="a class derived from one of Crossbar's")
    known: Any = personality
    known.REALM_STORES = {**known.REALM_STORES, STORE_TYPE: RouterRealmStore}
    known.check_router_realm = staticmethod(_checking(known.check_router_realm))
    # the one place that names the class of the store for the type "database"
    vars(importlib.import_module("crossbar.router.protocol"))["CookieStoreDatabaseBacked"] = RouterCookieStore


def _checking(check_realm: Any) -> Any:
    """Return Crossbar's check of a realm, and of its store behind that."""

    def check_router_realm(personality: Any, realm: Any, *args: Any, **options: Any) -> Any:
        checked = check_realm(personality, realm, *args, **options)
        try:
            check_realm_store(realm, sorted(personality.REALM_STORES))
        except ConfigError as error:
            refused = importlib.import_module("crossbar.common.checkconfig").InvalidConfigException
            raise refused(str(error)) from error
        return checked

    return check_router_realm


def _prepare() -> None:
    """Do what Crossbar does before it imports a personality: it does not complain then about finding it done."""
    if "twisted.internet.reactor" not in sys.modules:
        chosen = os.environ.get("CROSSBAR_REACTOR")
        autobahn = importlib.import_module("autobahn.twisted")
        autobahn.install_reactor(explicit_reactor=chosen, verbose=False, require_optimal_reactor=False)
    # an import that otherwise prints a traceback of no consequence
    getattr(importlib.import_module("crossbar"), "_import_serializers_quietly", lambda: None)()
