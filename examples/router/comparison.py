# SPDX-License-Identifier: MIT
"""Compare what a publisher was told with what the history holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def differences(acknowledged: Iterable[Mapping[str, Any]], history: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each acknowledged event that the history does not hold exactly once, as it was sent.

    Events have ``publication``, ``topic`` and ``kwargs``, whose ``sequence`` tells them apart by content.
    Events of the history that nobody was told of are in order: their answer was lost.
    """
    stored = list(history)
    times = Counter(event["publication"] for event in stored)
    contents = Counter(_content(event) for event in stored)
    by_id = {event["publication"]: event for event in stored}
    found = []
    for event in acknowledged:
        publication = event["publication"]
        if not times[publication]:
            found.append(f"publication {publication} to {event['topic']} is missing")
        elif times[publication] > 1:
            found.append(f"publication {publication} to {event['topic']} is there {times[publication]} times")
        elif _content(event) != _content(by_id[publication]):
            found.append(f"publication {publication} is another than it was: {event} became {by_id[publication]}")
        elif contents[_content(event)] > 1:
            found.append(f"what publication {publication} says is there {contents[_content(event)]} times")
    return found


def _content(event: Mapping[str, Any]) -> str:
    return repr((event["topic"], sorted(event["kwargs"].items())))
