"""Days that cost far more or far less than such days use to.

A day is held against the same weekday of the eight weeks before it: against their median, in units of a median
absolute deviation, which one odd day cannot move. A day is odd from 3.5 of these units on (the deviation taken as a
standard deviation of a normal distribution would be, x 1.4826). The unit is the largest of three: the deviation of
these weekdays; that of all days of the eight weeks from their own weekday's median, in parts of it, as eight days alone
may lie close together by chance; and a twentieth of the median, so that steady days do not make every penny odd. Only
days before are looked at: what is said of a day never changes. With fewer than four such days nothing is said. PURE.

Source: B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers (1993): the modified z-score and its 3.5.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal, localcontext
from statistics import median

import msgspec

from exporters.reports.report import EXACT_DIGITS

WEEKS = 8
LEAST_DAYS = 4
ODD_FROM = Decimal("3.5")
_AS_DEVIATION = Decimal("1.4826")
_LEAST_SPREAD = Decimal("0.05")
_ALL_ODD = Decimal(1000)
"""Where such days never cost anything, and no unit can be had."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A day beside its like."""

    day: date
    cost: Decimal
    usual: Decimal
    """The median of such days."""
    score: Decimal
    """How many units it lies from the median, to one decimal; negative below."""

    @property
    def odd(self) -> bool:
        """Whether it is an anomaly."""
        return abs(self.score) > ODD_FROM


def judge(days: Mapping[date, Decimal], looked_at: Iterable[date]) -> list[Judged]:
    """What can be said of some days, in their order; days of which nothing can be said are left out.

    Args:
        days: Whole days and what each cost, those without any call as 0; of one currency and kind of billing.
        looked_at: Which of them to judge.
    """
    found = []
    for day in sorted(looked_at):
        before = [day - timedelta(weeks=week) for week in range(1, WEEKS + 1)]
        like = [days[one] for one in before if one in days]
        if day in days and len(like) >= LEAST_DAYS:
            found.append(_judged(day, days[day], like, _pooled(days, day)))
    return found


def _pooled(days: Mapping[date, Decimal], day: date) -> Decimal:
    """How far the days of the eight weeks before lie from the median of their weekday, in parts of it."""
    recent = [one for one in (day - timedelta(days=back) for back in range(1, WEEKS * 7 + 1)) if one in days]
    away: list[Decimal] = []
    with localcontext(prec=EXACT_DIGITS):
        for weekday in range(7):
            costs = [days[one] for one in recent if one.weekday() == weekday]
            usual = median(costs) if len(costs) > 1 else Decimal(0)
            away += [abs(cost - usual) / usual for cost in costs] if usual else []
        return _AS_DEVIATION * median(away) if away else Decimal(0)


def _judged(day: date, cost: Decimal, like: list[Decimal], pooled: Decimal) -> Judged:
    with localcontext(prec=EXACT_DIGITS):
        usual = median(like)
        own = _AS_DEVIATION * median([abs(one - usual) for one in like])
        spread = max(own, pooled * usual, _LEAST_SPREAD * usual)
        away = cost - usual
        score = away / spread if spread else _ALL_ODD.copy_sign(away) if away else Decimal(0)
        bounded = max(-_ALL_ODD, min(_ALL_ODD, score))
        return Judged(day=day, cost=cost, usual=usual, score=bounded.quantize(Decimal("0.1")))
