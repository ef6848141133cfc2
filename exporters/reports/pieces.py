"""Cuts the period of a question into whole days, whole minutes and the rest, each for the smallest table that has it.

What is summed over a period is the sum over its pieces, so the answer is the same as from the single rows, whatever
the period: only what lies before the first and after the last whole minute is read row by row. A dimension that a
roll-up does not have, a day of the reader's zone that is none of UTC, and a day whose roll-up is not complete, go down
to the next table. PURE.

Source: exporters/schema, 0003_rollups.sql.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from exporters.reports.dimensions import Dimension
from exporters.reports.period import Period, from_unix_ns
from exporters.reports.question import Query, Question

Span = tuple[int, int]
"""Unix times in nanoseconds: from the first up to, and without, the second."""

_S = 10**9
_MINUTE_NS = 60 * _S
_DAY_NS = 86_400 * _S
_LAST_ROLLED_NS = 2**32 * _S
"""2106: minutes are kept as 32 bits of seconds."""
_OF_MINUTES = frozenset(
    {
        "model",
        "model_requested",
        "team",
        "project",
        "key_id",
        "provider",
        "dialect",
        "operation",
        "outcome",
        "error_class",
        "status",
        "streaming",
        "currency",
        "billing",
        "day",
        "hour",
    }
)
_OF_DAYS = (_OF_MINUTES - {"hour"}) | {"user", "finish_class", "usage_source", "cost_source", "price_id"}


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How fine the rows of a table are."""

    suffix: str
    """Of the table's name, after `calls` or `attempts`."""
    column: str
    """When a row starts."""
    instant: str
    """SQL that makes a value of the column from the bound number `$number`."""
    step_ns: int
    """What the bound number counts."""
    dimensions: frozenset[str] | None = None
    """Names of what the rows are keyed by; None for everything."""


DAYS = Level(suffix="_by_day", column="`day`", instant="toDate({$number:UInt16})", step_ns=_DAY_NS, dimensions=_OF_DAYS)
MINUTES = Level(
    suffix="_by_minute",
    column="`minute`",
    instant="toDateTime({$number:UInt32} * 60, 'UTC')",
    step_ns=_MINUTE_NS,
    dimensions=_OF_MINUTES,
)
ROWS = Level(suffix="", column="`started_at`", instant="fromUnixTimestamp64Nano({$number:Int64})", step_ns=1)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Those parts of a period that one level answers."""

    level: Level
    spans: tuple[Span, ...]

    @property
    def rolled(self) -> bool:
        """Whether its rows are sums already."""
        return self.level is not ROWS

    def expression(self, dimension: Dimension, slot: str) -> tuple[str, dict[str, object]]:
        """A dimension as SQL over the tables of the level, and its parameters."""
        if self.level is DAYS and dimension.name == "day":
            return f"toString({DAYS.column})", {}
        sql, parameters = dimension.sql(slot)
        return sql.replace(ROWS.column, self.level.column), parameters

    def scope(self, question: Question) -> Query:
        """The condition (to stand after WHERE) that keeps the rows of the spans which pass every filter."""
        parameters: dict[str, object] = {}
        spans = []
        for number, (since_ns, until_ns) in enumerate(self.spans):
            names = (f"since{self.level.suffix}{number}", f"until{self.level.suffix}{number}")
            first, end = (self.level.instant.replace("$number", name) for name in names)
            spans.append(f"({self.level.column} >= {first} AND {self.level.column} < {end})")
            parameters |= zip(names, (since_ns // self.level.step_ns, until_ns // self.level.step_ns), strict=True)
        conditions = [f"({' OR '.join(spans)})"]
        for number, condition in enumerate(question.where):
            sql, values = condition.sql(f"where{number}")
            conditions.append(sql)
            parameters |= values
        return Query(" AND ".join(conditions), parameters)


def cut(question: Question) -> tuple[Piece, ...]:
    """The pieces of a question's period, the coarsest first: together all of it, and nothing twice."""
    return _cut(question, (DAYS, MINUTES))


def cut_fine(question: Question) -> tuple[Piece, ...]:
    """The same without whole days, for what is looked at by the minute."""
    return _cut(question, (MINUTES,))


def _cut(question: Question, levels: tuple[Level, ...]) -> tuple[Piece, ...]:
    rest, kept_out = _rolled_part(question)
    pieces = []
    for level in levels:
        if _has(level, question):
            taken, rest = _whole(rest, level.step_ns)
            if taken:
                pieces.append(Piece(level=level, spans=taken))
    rows = tuple(sorted((*rest, *kept_out)))
    if rows:
        pieces.append(Piece(level=ROWS, spans=_joined(rows)))
    return tuple(pieces)


def _rolled_part(question: Question) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """What of the period the roll-ups have at all, and what they have not."""
    since_ns, until_ns = question.period.since_ns, question.period.until_ns
    if question.unrolled is None or until_ns > _LAST_ROLLED_NS:
        return (), ((since_ns, until_ns),)
    missing: list[Span] = []
    for day in sorted(question.unrolled):
        start_ns = (day - datetime(1970, 1, 1, tzinfo=UTC).date()) // timedelta(days=1) * _DAY_NS
        span = (max(since_ns, start_ns), min(until_ns, start_ns + _DAY_NS))
        if span[0] < span[1]:
            missing.append(span)
    edges = [since_ns, *(edge for span in missing for edge in span), until_ns]
    there = tuple((one, other) for one, other in zip(edges[::2], edges[1::2], strict=True) if one < other)
    return there, tuple(missing)


def _has(level: Level, question: Question) -> bool:
    """Whether the question can be answered from rows as coarse as that."""
    names = {dimension.name for dimension in question.by} | {one.dimension.name for one in question.where}
    if level.dimensions is not None and not names <= level.dimensions:
        return False
    return not names & {"day", "hour"} or _keeps_time(level, question.period)


def _keeps_time(level: Level, period: Period) -> bool:
    """Whether no row of the level lies across the start of a day or an hour on the reader's clock, all period long."""
    zone = ZoneInfo(period.tz)
    # Clocks are never changed twice within a day.
    looks = range(period.since_ns, period.until_ns, _DAY_NS)
    instants = (from_unix_ns(at_ns, zone) for at_ns in (*looks, period.until_ns))
    step = timedelta(microseconds=level.step_ns // 1000)
    return all((at.utcoffset() or timedelta()) % step == timedelta() for at in instants)


def _whole(spans: Iterable[Span], step_ns: int) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The whole steps of some spans, and what is left of them."""
    whole: list[Span] = []
    left: list[Span] = []
    for since_ns, until_ns in spans:
        first, end = -(-since_ns // step_ns) * step_ns, until_ns // step_ns * step_ns
        if first < end:
            whole.append((first, end))
            left += ((since_ns, first), (end, until_ns))
        else:
            left.append((since_ns, until_ns))
    return tuple(whole), tuple(span for span in left if span[0] < span[1])


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order, those that touch made one."""
    joined: list[Span] = []
    for since_ns, until_ns in spans:
        if joined and joined[-1][1] == since_ns:
            joined[-1] = (joined[-1][0], until_ns)
        else:
            joined.append((since_ns, until_ns))
    return tuple(joined)
