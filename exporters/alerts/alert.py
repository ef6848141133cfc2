"""What an alert is, and what is told of it. PURE.

A *sighting* is one observation (a threshold was passed, a call was refused, a sum has drifted). Its key says of what
it is: sightings of one key are one *alert*, which is told when it opens, again while it lasts, and when it is over. A
*notice* is what is told of an alert once; a *message* is the notices that go to a channel together.
"""

from collections.abc import Callable
from typing import Literal, get_args

import msgspec

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The mildest first."""
Kind = Literal[
    "threshold",
    "exceeded",
    "refused",
    "run_rate",
    "unpriced",
    "journal_full",
    "loss",
    "journal",
    "sink",
    "self_check",
    "drift",
    "test",
]
Event = Literal["opened", "repeated", "resolved"]

ONCE: frozenset[Kind] = frozenset({"threshold", "run_rate"})
"""Told once for each counter, however long they last."""
STANDING: frozenset[Kind] = frozenset({"run_rate", "journal", "sink", "self_check", "drift"})
"""They last for as long as a look finds them; all others are seen in calls, and end when they are seen no more."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert says."""

    kind: Kind
    severity: Severity
    title: str
    """Half a line."""
    text: str
    """A sentence or two: what is the matter, and what to do."""
    fields: dict[str, str] = {}
    """For machines: amounts are exact decimal text with their unit in a field of its own, instants ISO 8601 in UTC."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """Something was seen."""

    key: str
    """Of what it is: kind, counter, threshold, window."""
    kind: Kind
    describe: Callable[[], Signal]
    """Called when it is to be told; it may look up figures."""
    count: int = 1
    """How many calls say so."""
    until_ns: int | None = None
    """When it is over by itself (the end of a window), Unix time; None: nobody knows."""
    quiet_s: float | None = None
    """It is over when it was not seen for so long; None: by that alone it never is."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an alert once."""

    key: str
    event: Event
    at_ns: int
    """Unix time."""
    since_ns: int
    """When the alert opened."""
    count: int
    """Calls that have said so since."""
    signal: Signal


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Notices that go out together; the same, under the same id, for every try."""

    message_id: str
    notices: tuple[Notice, ...]

    @property
    def severity(self) -> Severity:
        """The gravest of what is not over."""
        open_ones = [one.signal.severity for one in self.notices if one.event != "resolved"] or ["info"]
        return max(open_ones, key=rank)


def rank(severity: Severity) -> int:
    """How grave it is."""
    return SEVERITIES.index(severity)
