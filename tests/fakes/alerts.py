"""Alerts with little to say."""

from typing import Any

from exporters.alerts.alert import Message, Notice, Sighting, Signal
from exporters.alerts.channel import Links

NOW_NS = 1_795_545_000 * 10**9
"""2026-11-24T18:30:00Z."""
HOUR_NS = 3600 * 10**9
LINKS = Links(console="https://taximeter.example.com")


def signal(**more: Any) -> Signal:
    """A budget that has passed a threshold; `more` are fields of it."""
    fields: dict[str, Any] = {
        "kind": "threshold",
        "severity": "warning",
        "title": "budget search (team=search) has passed 80 %",
        "text": "4.05 USD of 5 USD spent.",
        "fields": {"policy": "budget:search", "spent": "4.05", "limit": "5", "unit": "USD"},
    }
    return Signal(**fields | more)


def sighting(key: str = "k", told: list[str] | None = None, **more: Any) -> Sighting:
    """Something seen; whoever asks for its words is noted in `told`."""
    said = more.pop("signal", signal())

    def describe() -> Signal:
        if told is not None:
            told.append(key)
        return said

    fields: dict[str, Any] = {"key": key, "kind": said.kind, "describe": describe}
    return Sighting(**fields | more)


def notice(key: str = "k", **more: Any) -> Notice:
    """What is told of it."""
    said = more.pop("signal", signal())
    fields: dict[str, Any] = {
        "key": key,
        "event": "opened",
        "at_ns": NOW_NS,
        "since_ns": NOW_NS,
        "count": 1,
        "signal": said,
    }
    return Notice(**fields | more)


def message(*notices: Notice, message_id: str = "m-1") -> Message:
    """A message of these; of one where none is given."""
    return Message(message_id=message_id, notices=notices or (notice(),))
