"""The wiring of `taximeter policy replay`: the stored calls of a period, in the order of time, so many at once."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from exporters.reports.errors import ReportError
from exporters.reports.period import Period, parse_period
from exporters.reports.question import Query
from exporters.reports.store import StoreReader
from policies.compiled import CompiledPolicies
from policies.engine import Engine
from policies.facts import CallFacts, Inputs
from policies.replay import Replay, Replayed, StoredCall
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller
from proxy.governing import home_of, known_providers
from proxy.settings import Settings

MOST_ROWS = 50_000
"""Calls that are read at once: some 100 MB."""
_HOUR_NS = 3600 * 10**9
_OWN_KEY = "k_"
"""How the fingerprint of an app's own key begins."""
_COLUMNS = (
    *("toUnixTimestamp64Nano(started_at)", "duration_ms", "provider", "operation", "dialect", "streaming", "billable"),
    *("key_id", "team", "project", "user", "session", "tags", "model_requested", "outcome"),
    *("input_tokens", "output_tokens", "units", "costs"),
)
_BETWEEN = (
    "`started_at` >= fromUnixTimestamp64Nano({since_ns:Int64}) AND "
    "`started_at` < fromUnixTimestamp64Nano({until_ns:Int64})"
)


class ReplayError(Exception):
    """The past cannot be asked; the message is one sentence for the person."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What both sets of policies would have made of the same calls."""

    since: datetime
    until: datetime
    now: Replayed
    """The policies in force."""
    new: Replayed


def period_of(since: str, until: str | None, tz: str) -> Period:
    """The period of these words. Raises ReplayError."""
    try:
        return parse_period(since, until, tz, datetime.now(UTC))
    except ReportError as error:
        raise ReplayError(str(error)) from error


def replay(
    settings: Settings,
    period: Period,
    now: CompiledPolicies,
    new: CompiledPolicies,
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Comparison:
    """Send the calls of a period through two sets of policies. Raises ReplayError.

    Args:
        settings: Of the Taximeter whose store is asked.
        period: Which calls.
        now: The policies in force.
        new: Those that might be.
        progress: Told how many of how many calls are done.
    """
    dialects = {name: known.dialects for name, known in known_providers(settings).items()}
    replays = Replay(Engine(now), dialects), Replay(Engine(new), dialects)
    reader = StoreReader(settings.store)
    try:
        for call in _stored_calls(reader, settings, period, progress):
            for one in replays:
                one.offer(call)
    except ReportError as error:
        raise ReplayError(str(error)) from error
    finally:
        reader.close()
    in_force, wanted = (one.result() for one in replays)
    return Comparison(since=period.since, until=period.until, now=in_force, new=wanted)


def _stored_calls(
    reader: StoreReader, settings: Settings, period: Period, progress: Callable[[int, int], None]
) -> Iterator[StoredCall]:
    currencies = {provider.name: home_of(provider).currency for provider in settings.providers}
    hours = _hours(reader, period)
    total, done = sum(count for _, count in hours), 0
    progress(0, total)
    sql = f"SELECT {', '.join(_COLUMNS)} FROM calls WHERE {_BETWEEN} ORDER BY started_at, call_id"  # noqa: S608 - our own words
    for since_ns, until_ns in slices(hours, period.since_ns, period.until_ns):
        rows = reader.rows(Query(sql, {"since_ns": since_ns, "until_ns": until_ns}))
        for row in rows:
            yield stored_call(row, currencies)
        done += len(rows)
        progress(done, total)


def _hours(reader: StoreReader, period: Period) -> list[tuple[int, int]]:
    """Start of each hour that has calls, Unix time in nanoseconds, and how many."""
    sql = (
        "SELECT toUnixTimestamp(toStartOfHour(started_at)) AS hour, count() FROM calls "  # noqa: S608 - our own words
        f"WHERE {_BETWEEN} GROUP BY hour ORDER BY hour"
    )
    rows = reader.rows(Query(sql, {"since_ns": period.since_ns, "until_ns": period.until_ns}))
    return [(int(hour) * 10**9, int(count)) for hour, count in rows]


def slices(hours: list[tuple[int, int]], since_ns: int, until_ns: int) -> Iterator[tuple[int, int]]:
    """Stretches of time, edge to edge and in order, that hold about `MOST_ROWS` calls each: hours together, or parts.

    Args:
        hours: Start of each hour that has calls, and how many.
        since_ns: Where the first begins.
        until_ns: Where the last ends.
    """
    edge_ns, rows = since_ns, 0
    for start_ns, count in hours:
        if rows and rows + count > MOST_ROWS:
            yield edge_ns, start_ns
            edge_ns, rows = start_ns, 0
        parts = -(-count // MOST_ROWS)
        for number in range(1, parts):
            cut_ns = start_ns + _HOUR_NS * number // parts
            if edge_ns < cut_ns < until_ns:
                yield edge_ns, cut_ns
                edge_ns = cut_ns
        rows += count
    if hours and edge_ns < until_ns:
        yield edge_ns, until_ns


def stored_call(row: tuple[Any, ...], currencies: dict[str, str]) -> StoredCall:
    """A row of `calls` as the simulation takes it; `currencies` are those that providers bill in."""
    at_ns, duration_ms, provider, operation, dialect, streaming, billable, key_id, *rest = row
    team, project, user, session, tags, model, outcome, inputs, outputs, units, costs = rest
    facts = CallFacts(
        provider=provider,
        operation=operation,
        dialect=dialect,
        currency=currencies.get(provider) or next(iter(costs), "USD"),
        billable=billable,
        key="" if key_id.startswith(_OWN_KEY) else key_id,
        # What it used stands for what it might have used: there is no more of its body than that.
        request=RequestFacts(model=model or None, streaming=streaming, max_output_tokens=outputs or 0),
        inputs=Inputs(text_bytes=inputs or 0, units=units),
        caller=Caller(key_id=key_id, team=team, project=project, user=user, session=session, tags=tags),
    )
    return StoredCall(
        at_ns=at_ns,
        duration_ns=int(duration_ms * 10**6),
        facts=facts,
        was_refused=outcome == "refused",
        input_tokens=inputs,
        output_tokens=outputs,
        units=units,
        costs=costs,
    )
