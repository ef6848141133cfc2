"""What compiled rules and routes have in common: the conditions that say which calls they are for."""

from typing import Literal

import msgspec

Field = Literal[
    "team", "project", "user", "key", "session", "provider", "model", "operation", "dialect", "streaming", "tag"
]
"""What a condition can look at. `tag` has a name beside it."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field has (or, negated, has not) one of these values. Text compares exactly, models without case."""

    field: Field
    tag: str = ""
    """Name of the tag where `field` is `tag`."""
    values: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    """Values with `*` or `?` in them."""
    negated: bool = False


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """Times of the week, on the clocks of a zone."""

    zone: str
    weekdays: tuple[int, ...]
    """Monday is 0; the day on which a span begins."""
    spans: tuple[tuple[int, int], ...]
    """Minutes after midnight, from (included) until (excluded); an end at or below its start is on the next day."""
    negated: bool = False


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every condition has to hold; none means every call."""

    conditions: tuple[Condition, ...] = ()
    hours: tuple[Hours, ...] = ()
