# SPDX-License-Identifier: MIT
"""The people of a small company: departments, employees, who reports to whom, and what they earn."""
