# SPDX-License-Identifier: MIT
"""A small web application with logins: sessions in the cookie store, served with Klein."""
