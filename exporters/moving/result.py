"""What a copy has found in the end, day by day."""

from datetime import date
from decimal import Decimal
from typing import Literal

import msgspec

Verdict = Literal["same", "more", "wrong"]
"""`more`: everything of the source is there once, and there are rows that are not of it. `wrong`: not everything is."""


class DayResult(msgspec.Struct, frozen=True, kw_only=True):
    """One day (UTC) of one table, compared at both ends."""

    table: str
    day: date
    rows: int
    """At the source."""
    rows_there: int
    """At the target, those that are not of this source too."""
    money: dict[str, Decimal]
    """Currency -> cost at the source."""
    verdict: Verdict
    problems: tuple[str, ...] = ()
    """What is wrong, one sentence each."""


class CopyResult(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    at_ns: int
    """The cut: what the source had by then is there. Unix time in nanoseconds."""
    days: tuple[DayResult, ...]
    rollups: tuple[DayResult, ...]
    """Sums at the target against the rows there, or against the sums of the source where its rows are gone."""
    sent_rows: int
    """What this run had to bring; everything else was there."""
    sent_bytes: int
    others: tuple[str, ...]
    """Tables that are not ours and were not copied."""

    @property
    def good(self) -> bool:
        """Whether everything of the source is at the target, once."""
        return not any(day.verdict == "wrong" for day in (*self.days, *self.rollups))
