"""Budgets and policies: what is left, how fast it goes, and who was told no.

What: levels of budgets as the ledger has them, refusals by reason, decisions of policies in shadow.

Config: the variables instance (levels) and team, project (refusals).

Example: `/d/taximeter-budgets`

Source: table `health`, whose figures are those of /metrics; `calls`, `calls_by_minute`.
"""

from grafana.model import Column, Dashboard, Panel, rising
from grafana.pieces import CHOSEN_INSTANCE, INSTANCE, PROJECT, TEAM

_LEVELS = f"FROM health WHERE $__timeFilter(at) AND {CHOSEN_INSTANCE}"
_LAST = "argMaxIf(value, at, metric = 'taximeter_budget_{name}')"
_CALLERS = (
    "$__conditionalAll(team IN (${team:sqlstring}), $team) AND "
    "$__conditionalAll(project IN (${project:sqlstring}), $project)"
)
_REASONS = f"FROM calls ARRAY JOIN reasons AS reason WHERE $__timeFilter(started_at) AND {_CALLERS}"

BUDGETS = Dashboard(
    uid="taximeter-budgets",
    title="Taximeter / Budgets and policies",
    description="Budget levels, refusals, and what policies in shadow would have done.",
    variables=(TEAM, PROJECT, INSTANCE),
    panels=(
        Panel(
            title="Level of each budget", kind="table", width=24, height=8,
            description="The fullest counter of each budget, in its unit, at its last picture (every 15 s).",
            sql="SELECT labels['budget'] AS \"Budget\", labels['unit'] AS \"Unit\", "
            f"{_LAST.format(name='limit')} AS \"Limit\", {_LAST.format(name='used')} AS \"Used\", "
            f"{_LAST.format(name='held')} AS \"Held\", {_LAST.format(name='used_ratio')} AS \"Level\" "
            f"{_LEVELS} AND metric LIKE 'taximeter_budget_%' "
            "GROUP BY \"Budget\", \"Unit\" ORDER BY \"Level\" DESC",
            columns={"Level": Column(unit="percentunit", thresholds=rising(0.8, 1.0))},
        ),
        Panel(
            title="Level over time", unit="percentunit", thresholds=rising(0.8, 1.0),
            description="Used and held, as a share of the limit.",
            sql="SELECT $__timeInterval(at) AS time, labels['budget'] AS budget, max(value) AS \"Level\" "
            f"{_LEVELS} AND metric = 'taximeter_budget_used_ratio' GROUP BY time, budget ORDER BY time",
        ),
        Panel(
            title="Burn",
            description="How much of a budget was used per hour, in its unit; a new window begins at nothing.",
            sql="SELECT $__timeInterval(at) AS time, labels['budget'] AS budget, labels['unit'] AS unit, "
            "greatest(argMax(value, at) - argMin(value, at), 0) * 3600 "
            "/ greatest(dateDiff('second', min(at), max(at)), 15) AS \"An hour\" "
            f"{_LEVELS} AND metric = 'taximeter_budget_used' GROUP BY time, budget, unit ORDER BY time",
        ),
        Panel(
            title="Ledger against store",
            description="By how much the ledger and the rows of calls differ, in the unit of the budget. 0, "
            "always; the "
            "recorder compares every few minutes.",
            thresholds=rising(1e-9, 1e-9),
            sql="SELECT $__timeInterval(at) AS time, labels['budget'] AS budget, labels['unit'] AS unit, "
            "max(abs(value)) AS \"Drift\" "
            f"{_LEVELS} AND metric = 'taximeter_budget_drift' GROUP BY time, budget, unit ORDER BY time",
        ),
        Panel(
            title="Refused calls", unit="short", stacked=True,
            description="Calls that a policy refused, by team.",
            sql="SELECT $__timeInterval(minute) AS time, team, sum(calls) AS \"Refused\" FROM calls_by_minute "
            f"WHERE $__timeFilter(minute) AND {_CALLERS} AND outcome = 'refused' GROUP BY time, team ORDER BY time",
        ),
        Panel(
            title="Why calls were refused", kind="table",
            description="Reasons of refused calls, as the records have them.",
            sql=f"SELECT team AS \"Team\", reason AS \"Reason\", count() AS \"Calls\", max(started_at) AS \"Last\" "
            f"{_REASONS} AND outcome = 'refused' GROUP BY team, reason ORDER BY \"Calls\" DESC LIMIT 100",
        ),
        Panel(
            title="Shadow decisions", kind="table",
            description="What policies in shadow, or that only observe, would have done. None where there are none.",
            sql=f"SELECT team AS \"Team\", project AS \"Project\", reason AS \"Would have\", count() AS \"Calls\" "
            f"{_REASONS} AND (startsWith(reason, 'shadow:') OR endsWith(reason, ':would_deny')) "
            "GROUP BY team, project, reason ORDER BY \"Calls\" DESC LIMIT 100",
        ),
    ),
)  # fmt: skip
