"""The first look: how many calls, how well, how fast, for how much.

What: golden signals over the roll-ups per minute, by provider and model.

Config: the variables team, project, key, provider, model.

Example: `/d/taximeter-overview?var-team=search&from=now-24h`

Source: tables `calls_by_minute`, `attempts_by_minute`.
"""

from grafana.model import Column, Dashboard, Panel, rising
from grafana.pieces import CALL_VARIABLES, CHOSEN, FAILED, SPENT

_TIME = "$__timeFilter(minute)"
_QUANTILES = "quantilesTDigestMergeIf(0.5, 0.95, 0.99)(duration, outcome = 'ok')"

OVERVIEW = Dashboard(
    uid="taximeter-overview",
    title="Taximeter / Overview",
    description="Calls, errors, latency, tokens and cost of everything that passes the proxy.",
    variables=CALL_VARIABLES,
    panels=(
        Panel(
            title="Calls", kind="stat", width=4, height=4,
            description="Calls of apps in the time shown, refused and interrupted ones too.",
            sql=f"SELECT sum(calls) AS \"Calls\" FROM calls_by_minute WHERE {_TIME} AND {CHOSEN}",
        ),
        Panel(
            title="Failed", kind="stat", unit="percentunit", width=4, height=4, thresholds=rising(0.02, 0.05),
            description="Share of calls that ended in an error, broke off or were interrupted. Refusals and calls that "
            "the app cancelled are not failures.",
            sql=f"SELECT sumIf(calls, {FAILED}) / greatest(sum(calls), 1) AS \"Failed\" FROM calls_by_minute "
            f"WHERE {_TIME} AND {CHOSEN}",
        ),
        Panel(
            title="Latency p95", kind="stat", unit="ms", width=4, height=4, thresholds=rising(20_000, 60_000),
            description="What the slowest twentieth of the calls that ended well took, as the app saw it.",
            sql="SELECT quantilesTDigestMergeIf(0.95)(duration, outcome = 'ok')[1] AS \"p95\" FROM calls_by_minute "
            f"WHERE {_TIME} AND {CHOSEN}",
        ),
        Panel(
            title="Time to first token p50", kind="stat", unit="ms", width=4, height=4, thresholds=rising(2000, 5000),
            description="Median wait until the first token of a stream.",
            sql="SELECT quantilesTDigestMergeIf(0.5)(ttft, outcome = 'ok')[1] AS \"p50\" FROM calls_by_minute "
            f"WHERE {_TIME} AND {CHOSEN}",
        ),
        Panel(
            title="Tokens", kind="stat", width=4, height=4,
            description="Input and output tokens of all attempts, as the providers reported them or as estimated.",
            sql="SELECT sum(input_tokens) AS \"Input\", sum(output_tokens) AS \"Output\" FROM attempts_by_minute "
            f"WHERE {_TIME} AND {CHOSEN}",
        ),
        Panel(
            title="Prompt from cache", kind="stat", unit="percentunit", width=4, height=4,
            description="Share of the input tokens that came from the providers' prompt caches.",
            sql="SELECT sum(cached_input_tokens) / greatest(sum(input_tokens), 1) AS \"From cache\" "
            f"FROM attempts_by_minute WHERE {_TIME} AND {CHOSEN}",
        ),
        Panel(
            title="Calls by outcome", unit="reqps", stacked=True,
            description="Calls per second by how they ended.",
            sql=f"SELECT $__timeInterval(minute) AS time, outcome, sum(calls) / $__interval_s AS \"Calls\" "
            f"FROM calls_by_minute WHERE {_TIME} AND {CHOSEN} GROUP BY time, outcome ORDER BY time",
        ),
        Panel(
            title="Latency", unit="ms",
            description="Quantiles of the duration of calls that ended well, as the app saw it.",
            sql="SELECT $__timeInterval(minute) AS time, "
            f"{_QUANTILES}[1] AS \"p50\", {_QUANTILES}[2] AS \"p95\", {_QUANTILES}[3] AS \"p99\" "
            f"FROM calls_by_minute WHERE {_TIME} AND {CHOSEN} GROUP BY time ORDER BY time",
        ),
        Panel(
            title="Cost", stacked=True,
            description="Metered money, a series for each currency; the value is in that currency.",
            sql="SELECT $__timeInterval(minute) AS time, currency, toFloat64(sum(cost)) AS \"Cost\" "
            f"FROM {SPENT} WHERE currency != '' AND billing = 'metered' GROUP BY time, currency ORDER BY time",
        ),
        Panel(
            title="Tokens over time", stacked=True,
            description="Input and output tokens of all attempts.",
            sql="SELECT $__timeInterval(minute) AS time, sum(input_tokens) AS \"Input\", sum(output_tokens) AS "
            "\"Output\" "
            f"FROM attempts_by_minute WHERE {_TIME} AND {CHOSEN} GROUP BY time ORDER BY time",
        ),
        Panel(
            title="Attempts by provider", unit="reqps",
            description="Tries at each provider per second; a call that fell back counts at each.",
            sql="SELECT $__timeInterval(minute) AS time, provider, sum(attempts) / $__interval_s AS \"Attempts\" "
            f"FROM attempts_by_minute WHERE {_TIME} AND {CHOSEN} GROUP BY time, provider ORDER BY time",
        ),
        Panel(
            title="Models", kind="table",
            description="Attempts, failures, latency and metered cost of each model; one row for each currency.",
            sql="SELECT provider AS \"Provider\", model AS \"Model\", currency AS \"Currency\", "
            "sum(attempts) AS \"Attempts\", sumIf(attempts, outcome NOT IN ('ok', 'cancelled')) / sum(attempts) "
            "AS \"Failed\", quantilesTDigestMergeIf(0.95)(duration, outcome = 'ok')[1] AS \"p95\", "
            "toFloat64(sumIf(cost, billing = 'metered')) AS \"Cost\" "
            f"FROM attempts_by_minute WHERE {_TIME} AND {CHOSEN} GROUP BY provider, model, currency "
            "ORDER BY \"Attempts\" DESC LIMIT 50",
            columns={
                "Provider": Column(
                    link="/d/taximeter-reliability?var-provider=${__value.raw:percentencode}&${__url_time_range}",
                    link_title="Its reliability",
                ),
                "Failed": Column(unit="percentunit", thresholds=rising(0.02, 0.05)),
                "p95": Column(unit="ms"),
            },
        ),
    ),
)  # fmt: skip
