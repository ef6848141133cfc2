"""What is asked of the store: a question in our words, and the query with bound parameters that it turns into."""

from datetime import date

import msgspec

from exporters.reports.dimensions import Condition, Dimension
from exporters.reports.period import Period

MAX_ROWS = 100_000
"""More rows than this are no report; what is left out is still in the totals and in the row of the others."""

ESTIMATED = "`cost_estimated`"
"""A call whose cost rests on an estimate: of the usage, or by a price that may differ from the bill."""
INTERRUPTED = "`outcome` = 'interrupted'"
"""A call that a crash of ours cut off."""
UNPRICED = "`unpriced_attempts` > 0 OR (isNull(`cost`) AND `billable` AND `outcome` NOT IN ('refused', 'error'))"
"""A call whose cost is not known although it may have cost something: a refused or failed one without usage did not."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One report asked for."""

    period: Period
    by: tuple[Dimension, ...] = ()
    where: tuple[Condition, ...] = ()
    limit: int | None = None
    """At most so many rows (of each currency, where money is grouped); None for all, up to `MAX_ROWS`."""

    unrolled: frozenset[date] | None = None
    """Days (UTC) whose roll-ups in the store are not complete; None where it has no roll-ups."""

    @property
    def row_limit(self) -> int:
        """How many rows are wanted, at most `MAX_ROWS`."""
        return MAX_ROWS if self.limit is None else min(self.limit, MAX_ROWS)


class Query(msgspec.Struct, frozen=True):
    """SQL and the values of its `{name:Type}` parameters."""

    sql: str
    parameters: dict[str, object]


def scope(question: Question) -> Query:
    """The condition (to stand after WHERE) that keeps the rows of the period which pass every filter."""
    conditions = [
        "`started_at` >= fromUnixTimestamp64Nano({since_ns:Int64})",
        "`started_at` < fromUnixTimestamp64Nano({until_ns:Int64})",
    ]
    parameters: dict[str, object] = {"since_ns": question.period.since_ns, "until_ns": question.period.until_ns}
    for number, condition in enumerate(question.where):
        sql, values = condition.sql(f"where{number}")
        conditions.append(sql)
        parameters |= values
    return Query(" AND ".join(conditions), parameters)
