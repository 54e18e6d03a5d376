# SPDX-License-Identifier: MIT
"""The name under which older programs import FlatBuffers: it is the ``flatbuffers`` of PyPI."""

import sys

from zlmdb import flatbuffers

sys.modules[__name__] = flatbuffers
