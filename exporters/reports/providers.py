"""What each provider and model really delivers: the table of a provider's marketing page, but measured.

What: per provider and model, over the attempts (a call that fell back counts at every provider it tried). An attempt
without an answer is put down to the model that last answered to the same name at that provider. Success rate: attempts
that ended well, of those the app did not cancel. Uptime: minutes with at least one attempt that did not fail by the
provider's fault, of the minutes with any. Latency and time to first token are of what ended well; output tokens per
second are of streams from the first token on, of whole answers over all their time. List price and context size come
from the price list. The effective price is the money of metered attempts over all their tokens, so that caching and
tiers are in it.

Config: none of its own; `--since`, `--until`, `--tz`, `--where`, `--top`.

Example: `taximeter report providers --since 7d --where provider=minimax`

Source: table `attempts` of exporters/schema and its roll-ups; the price lists of proxy.prices.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

from exporters.reports.pieces import DAYS, MINUTES, ROWS, cut
from exporters.reports.question import Query, Question
from exporters.reports.report import EXACT_DIGITS, Cell, Column, Report, Row, ratio
from proxy.core.errors import REMEDIES
from proxy.core.price import Listing

ListPrices = Callable[[str, str, str, str, int], Listing | None]
"""`(provider, kind, host, model, at_ns)` -> list price at that Unix time in nanoseconds; None where none is known."""

_MILLION = 1_000_000
_PROVIDER_FAULTS = [name for name, remedy in REMEDIES.items() if remedy.fault == "provider"]

_COLUMNS = (
    Column(name="provider", type="text"),
    Column(name="model", type="text"),
    Column(name="host", type="text", detail=True),
    Column(name="requests", type="count"),
    Column(name="success_rate", type="ratio"),
    Column(name="uptime", type="ratio"),
    Column(name="latency_p50", type="number", unit="ms"),
    Column(name="latency_p95", type="number", unit="ms"),
    Column(name="ttft_p50", type="number", unit="ms"),
    Column(name="output_speed_p50", type="number", unit="tokens/s"),
    Column(name="context_size", type="count", unit="tokens"),
    Column(name="currency", type="text"),
    Column(name="list_price_in", type="price", unit="per million tokens"),
    Column(name="list_price_out", type="price", unit="per million tokens"),
    Column(name="effective_price", type="price", unit="per million tokens"),
)

_GOOD = "`outcome` = 'ok'"
_UP = "NOT has({provider_faults:Array(String)}, `error_class`)"
_QUANTILES = "quantilesTDigest"
_LEVELS = "(0.5, 0.9, 0.95, 0.99)"
"""Those of the states in the roll-ups: states of other levels are of another type."""
_MINUTE = "toUInt32(intDiv(toUnixTimestamp64Nano(`started_at`), 60000000000))"
_ROLLED_MINUTE = "toUInt32(intDiv(toUnixTimestamp(`minute`), 60))"
_SPEED_MS = "if(`streaming`, `duration_ms` - `ttft_ms`, `duration_ms`)"
_SPEED = f"assumeNotNull(`output_tokens` * 1000 / {_SPEED_MS})"
_HAS_SPEED = f"ifNull({_GOOD} AND `output_tokens` > 0 AND {_SPEED_MS} > 0, 0)"
_BILLED = "isNotNull(`cost`) AND `billing` = 'metered' AND isNotNull(`input_tokens`) AND isNotNull(`output_tokens`)"

_ROWS = {
    "last_at": "max(`started_at`)",
    "kind": "argMax(`kind`, `started_at`)",
    "host": "argMax(`host`, `started_at`)",
    "requests": "count()",
    "judged": "countIf(`outcome` != 'cancelled')",
    "good": f"countIf({_GOOD})",
    "minutes": f"groupBitmapState({_MINUTE})",
    "minutes_up": f"groupBitmapStateIf({_MINUTE}, {_UP})",
    "latency": f"{_QUANTILES}StateIf{_LEVELS}(`duration_ms`, {_GOOD})",
    "ttft": f"{_QUANTILES}StateIf{_LEVELS}(assumeNotNull(`ttft_ms`), {_GOOD} AND isNotNull(`ttft_ms`))",
    "speed": f"{_QUANTILES}StateIf{_LEVELS}({_SPEED}, {_HAS_SPEED})",
    "spent": f"sumMapIf(map(`currency`, assumeNotNull(`cost`)), {_BILLED})",
    "billed_tokens": f"sumMapIf(map(`currency`, assumeNotNull(`input_tokens` + `output_tokens`)), {_BILLED})",
}
"""Measure -> aggregate over single attempts; what is no plain figure stays a state."""
_ROLLED = {
    "last_at": "max(`last_at`)",
    "kind": "argMax(`kind`, `last_at`)",
    "host": "argMax(`host`, `last_at`)",
    "requests": "sum(`attempts`)",
    "judged": "sumIf(`attempts`, `outcome` != 'cancelled')",
    "good": f"sumIf(`attempts`, {_GOOD})",
    "minutes": "",
    "minutes_up": "",
    "latency": f"{_QUANTILES}MergeStateIf{_LEVELS}(`duration`, {_GOOD})",
    "ttft": f"{_QUANTILES}MergeStateIf{_LEVELS}(`ttft`, {_GOOD})",
    "speed": f"{_QUANTILES}MergeState{_LEVELS}(`speed`)",
    "spent": "sumMapIf(map(`currency`, assumeNotNull(`billed_cost`)), isNotNull(`billed_cost`))",
    "billed_tokens": "sumMapIf(map(`currency`, assumeNotNull(`billed_tokens`)), isNotNull(`billed_tokens`))",
}
_AGGREGATES = {
    ROWS.suffix: _ROWS,
    MINUTES.suffix: _ROLLED
    | {
        "minutes": f"groupBitmapState({_ROLLED_MINUTE})",
        "minutes_up": f"groupBitmapStateIf({_ROLLED_MINUTE}, {_UP})",
    },
    DAYS.suffix: _ROLLED
    | {"minutes": "groupBitmapMergeState(`minutes`)", "minutes_up": f"groupBitmapMergeStateIf(`minutes`, {_UP})"},
}
"""The same for the tables of every level."""
_MEASURES = {
    "kind": "argMax(found_kind, found_last_at)",
    "host": "argMax(found_host, found_last_at)",
    "requests": "sum(found_requests)",
    "judged": "sum(found_judged)",
    "good": "sum(found_good)",
    "minutes": "groupBitmapMerge(found_minutes)",
    "minutes_up": "groupBitmapMerge(found_minutes_up)",
    "latency": f"{_QUANTILES}Merge(0.5, 0.95)(found_latency)",
    "ttft": f"{_QUANTILES}Merge(0.5)(found_ttft)[1]",
    "speed": f"{_QUANTILES}Merge(0.5)(found_speed)[1]",
    "spent": "sumMap(found_spent)",
    "billed_tokens": "sumMap(found_billed_tokens)",
}
"""Measure -> aggregate over what the pieces of the period gave."""
_LAST_TO_ANSWER = (
    "argMaxIf(toString(`model`), found_last_at, is_good) OVER (PARTITION BY `provider`, `model_requested`)"
)
_ANSWERING = "if(is_good OR answering = '', toString(`model`), answering)"
"""An app asks for an alias and a dated model answers: what failed under the alias is the model's failure too."""
_NOTES = (
    "Success rate: attempts that ended well, of those the app did not cancel.",
    "Uptime: minutes with an attempt that did not fail by the provider's fault, of the minutes with any attempt.",
    "Latency, time to first token and output speed (of a stream: from its first token on) are of what ended well.",
    "List price: at the end of the period, short prompts, standard tier. Effective price: money of metered attempts",
    "over all their tokens, input and output together. Both per million tokens.",
)


def query(question: Question) -> Query:
    """One row per provider and model, the busiest first."""
    parameters: dict[str, object] = {"top": question.row_limit, "provider_faults": _PROVIDER_FAULTS}
    sources = []
    for piece in cut(question):
        where = piece.scope(question)
        parameters |= where.parameters
        found = [f"{aggregate} AS found_{name}" for name, aggregate in _AGGREGATES[piece.level.suffix].items()]
        sources.append(
            f"SELECT `provider`, `model_requested`, `model`, {_GOOD} AS is_good, {', '.join(found)} "
            f"FROM attempts{piece.level.suffix} WHERE {where.sql} "
            "GROUP BY `provider`, `model_requested`, `model`, is_good"
        )
    measures = ", ".join(f"{aggregate} AS total_{name}" for name, aggregate in _MEASURES.items())
    sql = (
        f"SELECT `provider`, {_ANSWERING} AS by_model, {measures} "
        f"FROM (SELECT *, {_LAST_TO_ANSWER} AS answering FROM ({' UNION ALL '.join(sources)})) "
        "GROUP BY `provider`, by_model ORDER BY total_requests DESC, `provider`, by_model LIMIT {top:UInt32}"
    )
    return Query(sql, parameters)


def build(question: Question, rows: Sequence[Sequence[Any]], list_prices: ListPrices) -> Report:
    """The report from the rows of `query`; list prices are those at the end of the period."""
    shown: list[Row] = []
    for provider, model, *measures in rows:
        found = dict(zip(_MEASURES, measures, strict=True))
        listing = list_prices(provider, found["kind"], found["host"], model, question.period.until_ns)
        shown.extend(_rows(provider, model, found, listing))
    return Report(
        name="providers", period=question.period, columns=_COLUMNS, rows=tuple(shown), notes=_NOTES if shown else ()
    )


def _rows(provider: str, model: str, found: Mapping[str, Any], listing: Listing | None) -> list[Row]:
    """The row of a provider and model; one more for each further currency it was paid in."""
    effective = {
        currency: _per_million(amount, found["billed_tokens"].get(currency, 0))
        for currency, amount in sorted(found["spent"].items())
    }
    currency = listing.currency if listing is not None else next(iter(effective), None)
    latency_p50, latency_p95 = found["latency"]
    cells: dict[str, Cell] = {
        "provider": provider,
        "model": model,
        "host": found["host"],
        "requests": found["requests"],
        "success_rate": ratio(found["good"], found["judged"]),
        "uptime": ratio(found["minutes_up"], found["minutes"]),
        "latency_p50": _number(latency_p50),
        "latency_p95": _number(latency_p95),
        "ttft_p50": _number(found["ttft"]),
        "output_speed_p50": _number(found["speed"]),
        "currency": currency,
        "effective_price": effective.pop(currency, None) if currency else None,
    }
    if listing is not None:
        cells |= {
            "context_size": listing.context_tokens,
            "list_price_in": listing.input_per_million,
            "list_price_out": listing.output_per_million,
        }
    further: list[dict[str, Cell]] = [
        {"provider": provider, "model": model, "currency": other, "effective_price": price}
        for other, price in effective.items()
    ]
    return [tuple(row.get(column.name) for column in _COLUMNS) for row in (cells, *further)]


def _per_million(amount: Decimal, tokens: int) -> Decimal | None:
    """Money per million tokens, to six decimals; None without any token."""
    if not tokens:
        return None
    with localcontext(prec=EXACT_DIGITS):
        return (amount * _MILLION / tokens).quantize(Decimal("0.000001"))


def _number(value: float | None) -> Decimal | None:
    """A measured figure with one decimal; None for the quantile of nothing."""
    return None if value is None or not math.isfinite(value) else Decimal(value).quantize(Decimal("0.1"))
