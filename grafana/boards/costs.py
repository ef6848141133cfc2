"""Where the money goes, how fast, and where the month will end.

What: metered money by team, project, key and model; run rate; projection to the month's end; what prompt caches saved.

Config: the variables team, project, key, provider, model.

Example: `/d/taximeter-costs?var-project=helpdesk-bot&from=now-30d`

Source: tables `attempts_by_minute`, `calls_by_minute`; `attempts` for what caches saved.
"""

from grafana.model import Column, Dashboard, Panel
from grafana.pieces import CALL_VARIABLES, CHOSEN, SPENT, spent

_UPTO = "toTimezone($__toTime, 'UTC')"
_MONTH = f"toDateTime(toStartOfMonth({_UPTO}), 'UTC')"
_WEEK_OR_MONTH = spent(f"minute >= least({_MONTH}, {_UPTO} - INTERVAL 7 DAY) AND minute < {_UPTO} AND {CHOSEN}")
_METERED = "billing = 'metered' AND currency != ''"
_A_DAY = f"toFloat64(ifNull(sumIf(cost, minute >= {_UPTO} - INTERVAL 7 DAY), 0)) / 7"
_SO_FAR = f"toFloat64(ifNull(sumIf(cost, minute >= {_MONTH}), 0))"
_LEFT_DAYS = f"dateDiff('second', {_UPTO}, addMonths({_MONTH}, 1)) / 86400"
_RATE = "arrayFirst(line -> line.part = '{part}', price_lines)"
_CACHED, _FRESH = _RATE.format(part="cached_input"), _RATE.format(part="input")

COSTS = Dashboard(
    uid="taximeter-costs",
    title="Taximeter / Cost explorer",
    description="Money by team, project, key and model. Sums are in the currency that is named, never over two.",
    variables=CALL_VARIABLES,
    since="now-30d",
    refresh="5m",
    panels=(
        Panel(
            title="Spent, and where the month will end", kind="table", width=24, height=6,
            description="Metered money of the calendar month (UTC) that the end of the time shown lies in; the pace is "
            "that of the seven days before it. Projected: what is spent, and that pace for the days that are left.",
            sql=f"SELECT currency AS \"Currency\", {_SO_FAR} AS \"This month\", {_A_DAY} AS \"A day\", "
            f"{_SO_FAR} + {_A_DAY} * {_LEFT_DAYS} AS \"Projected month end\" "
            f"FROM {_WEEK_OR_MONTH} WHERE {_METERED} GROUP BY currency ORDER BY currency",
        ),
        Panel(
            title="Run rate",
            description="Metered money per hour, a series for each currency.",
            sql="SELECT $__timeInterval(minute) AS time, currency, "
            "toFloat64(sum(cost)) * 3600 / $__interval_s AS \"An hour\" "
            f"FROM {SPENT} WHERE {_METERED} GROUP BY time, currency ORDER BY time",
        ),
        Panel(
            title="Cost by team", stacked=True,
            description="Metered money by team and currency.",
            sql="SELECT $__timeInterval(minute) AS time, team, currency, toFloat64(sum(cost)) AS \"Cost\" "
            f"FROM {SPENT} WHERE {_METERED} GROUP BY time, team, currency ORDER BY time",
        ),
        Panel(
            title="Team x project x key x model", kind="table", width=24, height=12,
            description="The dearest combinations. Estimated is the part of the cost that may differ from the bill; "
            "billing `subscription` is a list-price equivalent and no money that was spent.",
            sql="SELECT team AS \"Team\", project AS \"Project\", key_id AS \"Key\", model AS \"Model\", "
            "currency AS \"Currency\", billing AS \"Billing\", toFloat64(sum(cost)) AS \"Cost\", "
            "toFloat64(ifNull(sum(estimated_cost), 0)) AS \"Estimated\" "
            f"FROM {SPENT} WHERE currency != '' GROUP BY team, project, key_id, model, currency, billing "
            "ORDER BY \"Cost\" DESC LIMIT 200",
            columns={
                "Team": Column(
                    link="/d/taximeter-costs?var-team=${__value.raw:percentencode}&${__url_time_range}",
                    link_title="Only this team",
                ),
                "Project": Column(
                    link="/d/taximeter-live?var-project=${__value.raw:percentencode}&${__url_time_range}",
                    link_title="Its calls",
                ),
            },
        ),
        Panel(
            title="What prompt caches saved", kind="table",
            description="Cached input tokens at the list price of fresh ones, less what they cost. Read from single "
            "attempts, whose price lines are the arithmetic of the list price.",
            sql="SELECT provider AS \"Provider\", model AS \"Model\", list_cost_currency AS \"Currency\", "
            f"sum(toFloat64({_CACHED}.quantity) * toFloat64({_FRESH}.rate) / nullIf({_FRESH}.per, 0)) "
            f"- toFloat64(sum({_CACHED}.amount)) AS \"Saved\", sum(cached_input_tokens) AS \"Cached tokens\" "
            f"FROM attempts WHERE $__timeFilter(started_at) AND {CHOSEN} AND cached_input_tokens > 0 "
            f"AND {_CACHED}.per > 0 AND {_FRESH}.per > 0 "
            "GROUP BY provider, model, list_cost_currency ORDER BY \"Saved\" DESC LIMIT 50",
        ),
        Panel(
            title="How far the figures can be trusted", kind="table",
            description="Calls, and those of them whose cost is estimated or not known at all.",
            sql="SELECT provider AS \"Provider\", model_requested AS \"Asked for\", sum(calls) AS \"Calls\", "
            "sum(estimated) AS \"Estimated\", sum(unpriced) AS \"Unpriced\" "
            f"FROM calls_by_minute WHERE $__timeFilter(minute) AND {CHOSEN} "
            "GROUP BY provider, model_requested ORDER BY \"Unpriced\" DESC, \"Estimated\" DESC LIMIT 50",
        ),
    ),
)  # fmt: skip
