# SPDX-License-Identifier: MIT
"""A small event router: cookies and events in zlmdb stores, served over HTTP with Klein."""
