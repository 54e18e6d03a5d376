# SPDX-License-Identifier: MIT
"""The records of a management service: 37 tables in slots by area, and foreign keys that hold."""
