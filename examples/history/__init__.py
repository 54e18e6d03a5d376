# SPDX-License-Identifier: MIT
"""A day of events: kept in an event history, read as columns, and plotted."""
