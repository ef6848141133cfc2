"""A message in words, for whatever shows text to people. PURE."""

from exporters.alerts.alert import Event, Message, Notice, Severity
from exporters.alerts.channel import command_for
from policies.wording import instant_text

SHOWN = 20
"""Notices that are written out; of more the last line says how many."""
EVENTS: dict[Event, str] = {"opened": "", "repeated": "still: ", "resolved": "over: "}


def headline(message: Message) -> str:
    """One line for all: the gravest, and how many more there are."""
    first = max(message.notices, key=lambda one: (one.event != "resolved", _grave(one)))
    more = len(message.notices) - 1
    said = f"{EVENTS[first.event]}{first.signal.title}"
    return said if not more else f"{said} (and {more} more)"


def when(notice: Notice) -> str:
    """Since when, and how many calls have said so."""
    calls = f", {notice.count} calls" if notice.count > 1 else ""
    if notice.event == "opened":
        return f"{instant_text(notice.at_ns)}{calls}"
    return f"{instant_text(notice.since_ns)} to {instant_text(notice.at_ns)}{calls}"


def severity_of(notice: Notice) -> str:
    """How grave, in a word."""
    return "resolved" if notice.event == "resolved" else notice.signal.severity


def command_of(notice: Notice) -> str:
    """What shows more of it; empty where nothing does."""
    return command_for(notice.signal.fields.get("policy", ""))


def _grave(notice: Notice) -> int:
    order: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
    return order[notice.signal.severity]
