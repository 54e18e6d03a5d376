# SPDX-License-Identifier: MIT
"""The module under which existing programs import the conversion of times; new ones use ``zlmdb.codecs.TIMESTAMP``."""

from zlmdb.codecs import TIMESTAMP

dt_to_bytes = TIMESTAMP.encode
bytes_to_dt = TIMESTAMP.decode
