# SPDX-License-Identifier: MIT
"""Market data: instruments, and their trades as time series that a background writer records."""
