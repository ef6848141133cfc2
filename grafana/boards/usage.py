"""Thirty days: prompt tokens, completion tokens, requests, uptime.

What: a bar for each day (UTC) of each figure.

Config: the variables team, project, key, provider, model.

Example: `/d/taximeter-usage?from=now-30d`

Source: tables `attempts_by_day`, `calls_by_day`.
"""

from grafana.model import Dashboard, Panel, falling
from grafana.pieces import CALL_VARIABLES, CHOSEN, PROVIDER_FAULTS

_DAYS = f"$__dateFilter(day) AND {CHOSEN}"
_DAY = "toDateTime(day, 'UTC') AS time"


def _tokens(column: str, said: str) -> Panel:
    return Panel(
        title=said, stacked=True,
        description=f"{said} of all attempts of a day (UTC), by model.",
        sql=f"SELECT {_DAY}, model, sum({column}) AS \"Tokens\" FROM attempts_by_day WHERE {_DAYS} AND model != '' "
        "GROUP BY time, model ORDER BY time",
    )  # fmt: skip


USAGE = Dashboard(
    uid="taximeter-usage",
    title="Taximeter / Usage of thirty days",
    description="Tokens, requests and uptime by day.",
    variables=CALL_VARIABLES,
    since="now-30d",
    refresh="30m",
    panels=(
        _tokens("input_tokens", "Prompt tokens"),
        _tokens("output_tokens", "Completion tokens"),
        Panel(
            title="Requests", stacked=True,
            description="Calls of a day (UTC), by how they ended.",
            sql=f"SELECT {_DAY}, outcome, sum(calls) AS \"Calls\" FROM calls_by_day WHERE {_DAYS} "
            "GROUP BY time, outcome ORDER BY time",
        ),
        Panel(
            title="Uptime", unit="percentunit", thresholds=falling(0.99, 0.999),
            description="Minutes of a day with an attempt that did not fail by the provider's fault, of the minutes "
            "with "
            "any attempt; by provider.",
            sql=f"SELECT {_DAY}, provider, groupBitmapMergeIf(minutes, error_class NOT IN ({PROVIDER_FAULTS})) "
            f"/ greatest(groupBitmapMerge(minutes), 1) AS \"Uptime\" FROM attempts_by_day WHERE {_DAYS} "
            "GROUP BY time, provider ORDER BY time",
        ),
    ),
)  # fmt: skip
