"""What each provider and model really delivers: the table of a marketing page, measured.

What: latency, speed, uptime, list and effective price of each provider and model.

Config: the variables team, project, key, provider, model.

Example: `/d/taximeter-providers?from=now-7d`

Source: table `attempts_by_minute`; `attempts` for list prices. `taximeter report providers` also knows context sizes.
"""

from grafana.model import Column, Dashboard, Panel, falling, rising
from grafana.pieces import CALL_VARIABLES, CHOSEN, PROVIDER_FAULTS

_FROM = f"FROM attempts_by_minute WHERE $__timeFilter(minute) AND {CHOSEN}"
_MINUTE = "toUInt32(intDiv(toUnixTimestamp(minute), 60))"
_UP = f"groupBitmapIf({_MINUTE}, error_class NOT IN ({PROVIDER_FAULTS})) / greatest(groupBitmap({_MINUTE}), 1)"
_LINE = "arrayFirst(line -> line.part = '{part}', price_lines)"


def _a_million(part: str) -> str:
    """The list price of a part per million, of the last attempt that has one."""
    line = _LINE.format(part=part)
    return f"argMaxIf(toFloat64({line}.rate) * 1000000 / nullIf({line}.per, 0), started_at, {line}.per > 0)"


PROVIDERS = Dashboard(
    uid="taximeter-providers",
    title="Taximeter / Provider comparison",
    description="Latency, speed, uptime and prices of providers and models, as they were measured here.",
    variables=CALL_VARIABLES,
    since="now-7d",
    refresh="5m",
    panels=(
        Panel(
            title="Measured", kind="table", width=24, height=11,
            description="Uptime: minutes with an attempt that did not fail by the provider's fault, of the minutes "
            "with "
            "any. Latency and time to first token are of what ended well.",
            sql="SELECT provider AS \"Provider\", model AS \"Model\", sum(attempts) AS \"Requests\", "
            "sumIf(attempts, outcome = 'ok') / greatest(sumIf(attempts, outcome != 'cancelled'), 1) AS \"Success\", "
            f"{_UP} AS \"Uptime\", "
            "ifNotFinite(quantilesTDigestMergeIf(0.5)(duration, outcome = 'ok')[1], NULL) AS \"Latency p50\", "
            "ifNotFinite(quantilesTDigestMergeIf(0.95)(duration, outcome = 'ok')[1], NULL) AS \"Latency p95\", "
            "ifNotFinite(quantilesTDigestMergeIf(0.5)(ttft, outcome = 'ok')[1], NULL) AS \"First token p50\", "
            "ifNotFinite(quantilesTDigestMerge(0.5)(speed)[1], NULL) AS \"Speed p50\" "
            f"{_FROM} AND model != '' GROUP BY provider, model ORDER BY \"Requests\" DESC LIMIT 100",
            columns={
                "Success": Column(unit="percentunit", thresholds=falling(0.95, 0.98)),
                "Uptime": Column(unit="percentunit", thresholds=falling(0.99, 0.999)),
                "Latency p50": Column(unit="ms"),
                "Latency p95": Column(unit="ms"),
                "First token p50": Column(unit="ms"),
                "Speed p50": Column(unit="suffix: tok/s"),
            },
        ),
        Panel(
            title="Prices per million tokens", kind="table", width=24, height=10,
            description="List price of the last attempt, and what was really paid per million tokens, input and output "
            "together: metered money over tokens, so caches and tiers are in it. Largest prompt: what the model has "
            "taken "
            "here; context sizes are in `taximeter report providers`.",
            sql="SELECT provider AS \"Provider\", model AS \"Model\", currency AS \"Currency\", "
            f"{_a_million('input')} AS \"List in\", {_a_million('output')} AS \"List out\", "
            "toFloat64(sumIf(cost, billing = 'metered' AND isNotNull(input_tokens) AND isNotNull(output_tokens))) * "
            "1000000 "
            "/ nullIf(sumIf(input_tokens + output_tokens, billing = 'metered' AND isNotNull(cost)), 0) AS "
            "\"Effective\", "
            "max(input_tokens) AS \"Largest prompt\" "
            f"FROM attempts WHERE $__timeFilter(started_at) AND {CHOSEN} AND currency != '' AND model != '' "
            "GROUP BY provider, model, currency ORDER BY provider, model, currency LIMIT 100",
            columns={"Largest prompt": Column(unit="short")},
        ),
        Panel(
            title="Latency p95 by model", unit="ms",
            description="Duration of attempts that ended well.",
            sql="SELECT $__timeInterval(minute) AS time, model, quantilesTDigestMerge(0.95)(duration)[1] AS \"p95\" "
            f"{_FROM} AND outcome = 'ok' GROUP BY time, model ORDER BY time",
        ),
        Panel(
            title="Failures by the provider's fault", unit="percentunit", thresholds=rising(0.02, 0.1),
            description="Share of the attempts at a provider.",
            sql=f"SELECT $__timeInterval(minute) AS time, provider, sumIf(attempts, error_class IN "
            f"({PROVIDER_FAULTS})) "
            f"/ greatest(sum(attempts), 1) AS \"Failed\" {_FROM} GROUP BY time, provider ORDER BY time",
        ),
    ),
)  # fmt: skip
