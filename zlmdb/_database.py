# SPDX-License-Identifier: MIT
"""The module under which existing programs import the database, and set the LMDB format of new files.

``DEFAULT_LIB_VERSION`` may be set, here, to "0.9" or "1.0": new files of this process have that format from
then on, if they are not asked for with a ``lib_version`` of their own.
"""

import sys
from types import ModuleType

from zlmdb import _slots_file, lmdb
from zlmdb.orm import Database
from zlmdb.orm.catalogue import Slot
from zlmdb.storage import LibVersion, Transaction, TransactionStats, opening

__all__ = ["KV_TYPE_TO_CLASS", "Database", "Schema", "Slot", "Transaction", "TransactionStats", "lmdb"]

KV_TYPE_TO_CLASS = _slots_file.KV_TYPE_TO_CLASS
Schema = _slots_file.Schema
_LIB_VERSION_TO_MAJOR = opening._MAJOR


class _Module(ModuleType):
    @property
    def DEFAULT_LIB_VERSION(self) -> LibVersion:  # noqa: N802  the published name
        return opening.DEFAULT_LIB_VERSION

    @DEFAULT_LIB_VERSION.setter
    def DEFAULT_LIB_VERSION(self, version: LibVersion) -> None:  # noqa: N802
        opening.Options(lib_version=version)  # refuses what is none
        opening.DEFAULT_LIB_VERSION = version


sys.modules[__name__].__class__ = _Module
