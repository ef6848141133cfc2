"""Sums per minute and day at the target.

They are not copied: its own views make them of the rows as these arrive, so that a second run doubles nothing. A server
that is killed in the middle of an insert may keep its rows without their sums, and the next run finds the rows there:
such days are made anew from the rows. Only where the source has sums of days whose rows it no longer keeps, the sums
themselves are brought.
"""

from collections.abc import Collection, Mapping
from datetime import date

from exporters.moving.end import End
from exporters.moving.result import DayResult
from exporters.moving.tables import Rollup, place
from exporters.schema.rollups import complete, differing, distrust
from exporters.store.remote import literal, name_of

_TRIES = 5
"""A day leaves the list of those to be made anew at a later look than the one that did it."""
_COMPLETING_S = 600.0
_UNROLLED = "unrolled_days"
"""Days whose sums are still being made, where there is such a table."""


def copy_gone_days(
    source: End, target: End, rollup: Rollup, days: Mapping[date, int], since: date | None, until: date | None
) -> list[DayResult]:
    """Bring the sums of days without rows, each day by one insert; then compare. Raises UnavailableError, CopyError.

    Args:
        source: Where the sums are.
        target: Where they go, if it has none of that day.
        rollup: The table of sums.
        days: The days that the source has rows of.
        since: The first day.
        until: The day after the last one.
    """
    results = []
    for day, wanted in _counts(source, rollup).items():
        if day in days or (since and day < since) or (until and day >= until):
            continue
        if not _counts(target, rollup, day).get(day, 0):
            columns = ", ".join(map(name_of, rollup.columns))
            chosen = f"FROM {place(source, rollup.name)} WHERE toDate({rollup.moment}) = '{day}'"
            data = source.native(f"SELECT {columns} {chosen}")
            target.insert(rollup.name, rollup.columns, data, f"copy/{rollup.name}/{day}/{wanted}")
        found = _counts(target, rollup, day).get(day, 0)
        results.append(_result(rollup, day, wanted, found))
    return results


def make_good(target: End, days: Collection[date], *, cluster: str | None = None) -> None:
    """Have the sums of these days made anew where they are not those of their rows. Raises UnavailableError, CopyError.

    Args:
        target: Where the rows are.
        days: The days that were copied.
        cluster: Name of the cluster that the tables are spread over; None: one server.
    """
    with target.explained():
        if wrong := differing(target.client, days):
            distrust(target.client, wrong)
        for _ in range(_TRIES):
            if not complete(target.client, _COMPLETING_S, cluster=cluster):
                return


def check_rolled_up(target: End, rollup: Rollup, days: Mapping[date, int]) -> list[DayResult]:
    """The views of the target have counted every row there once. Raises UnavailableError, CopyError."""
    unfinished = _unrolled(target)
    with target.explained():
        wrong = {
            day for day, found in differing(target.client, days).items() if rollup.name in {one.table for one in found}
        }
    sums = _counts(target, rollup)
    rows = {
        date.fromisoformat(day): int(count)
        for day, count in target.rows(
            f"SELECT toDate(started_at) AS day, toString(count()) FROM {place(target, rollup.base)} GROUP BY day"
        )
    }
    judged = [day for day in days if day in rows and day not in unfinished]
    return [_result(rollup, day, rows[day], sums.get(day, 0), differs=day in wrong) for day in judged]


def _counts(end: End, rollup: Rollup, day: date | None = None) -> dict[date, int]:
    """Day -> how many rows its sums stand for."""
    chosen = f"WHERE toDate({rollup.moment}) = '{day}'" if day else ""
    found = end.rows(
        f"SELECT toDate({rollup.moment}) AS day, toString(sum({name_of(rollup.base)})) "
        f"FROM {place(end, rollup.name)} {chosen} GROUP BY day ORDER BY day"
    )
    return {date.fromisoformat(when): int(count) for when, count in found}


def _unrolled(end: End) -> set[date]:
    sql = f"SELECT count() FROM system.tables WHERE database = {literal(end.database)} AND name = '{_UNROLLED}'"
    if not int(end.rows(sql)[0][0]):
        return set()
    return {date.fromisoformat(day) for (day,) in end.rows(f"SELECT DISTINCT day FROM {place(end, _UNROLLED)}")}


def _result(rollup: Rollup, day: date, wanted: int, found: int, *, differs: bool = False) -> DayResult:
    problems: tuple[str, ...] = ()
    if wanted != found:
        problems = (f"its sums stand for {found} rows and should for {wanted}",)
    elif differs:
        problems = ("its sums are not those of its rows",)
    return DayResult(
        table=rollup.name,
        day=day,
        rows=wanted,
        rows_there=found,
        money={},
        verdict="wrong" if problems else "same",
        problems=problems,
    )
