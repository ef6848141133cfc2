"""The rules. Thresholds are to begin with: change them here, or copy a rule in Grafana."""

from grafana.alerts.rule import Rule
from grafana.pieces import FAILED, PROVIDER_FAULTS, spent

_MINUTES = "$__timeFilter(minute)"
_HEALTH = "FROM health WHERE $__timeFilter(at)"
_ENOUGH_CALLS = 20
"""Of fewer calls no share is judged."""
_UPTO = "$__toTime"
_METERED = "billing = 'metered' AND currency != ''"

RULES: tuple[Rule, ...] = (
    Rule(
        uid="taximeter-error-burst", title="Error burst", threshold=0.1, window_s=600, for_="2m", severity="critical",
        dashboard="taximeter-reliability",
        summary="More than a tenth of the calls fail.",
        runbook="See `Errors by class` and `What a breaker sees`. One provider: check its status page, drain it or "
        "let its "
        "route fall back. Class auth or quota_exhausted: the operator's key or credit. All providers: the network.",
        sql=f"SELECT sumIf(calls, {FAILED}) / sum(calls) AS value FROM calls_by_minute WHERE {_MINUTES} "
        f"HAVING sum(calls) >= {_ENOUGH_CALLS}",
    ),
    Rule(
        uid="taximeter-latency", title="Calls are slow", threshold=60_000, window_s=900, for_="5m",
        dashboard="taximeter-reliability",
        summary="The p95 of calls that ended well is above a minute.",
        runbook="Compare `Provider latency p95` with `Overhead of the proxy`: overhead in the milliseconds means "
        "that the "
        "provider is slow, or prompts have grown. Overhead that grows too: see the processes in Pipeline health.",
        sql="SELECT provider, quantilesTDigestMerge(0.95)(duration)[1] AS value FROM calls_by_minute "
        f"WHERE {_MINUTES} AND outcome = 'ok' GROUP BY provider HAVING sum(calls) >= {_ENOUGH_CALLS}",
    ),
    Rule(
        uid="taximeter-first-token", title="Streams begin late", threshold=10_000, window_s=900, for_="5m",
        dashboard="taximeter-reliability",
        summary="The p95 of the time to the first token is above ten seconds.",
        runbook="Look at the provider's time to first token by model. Reasoning models and long prompts take longer; "
        "a jump "
        "without a change of traffic is load at the provider: fall back, or wait.",
        sql="SELECT provider, quantilesTDigestMerge(0.95)(ttft)[1] AS value FROM calls_by_minute "
        f"WHERE {_MINUTES} AND outcome = 'ok' AND streaming GROUP BY provider HAVING sum(calls) >= {_ENOUGH_CALLS}",
    ),
    Rule(
        uid="taximeter-run-rate", title="Spending fast", threshold=100, window_s=3600,
        dashboard="taximeter-costs",
        summary="More than 100 units of a currency were spent within an hour.",
        runbook="The cost explorer says which team, project and key. A loop or a leaked key: revoke it "
        "(`taximeter keys revoke`) or set a budget (docs/policies.md). Wanted: raise the threshold.",
        sql=f"SELECT currency, toFloat64(sum(cost)) AS value FROM {spent(_MINUTES)} "
        f"WHERE {_METERED} GROUP BY currency",
    ),
    Rule(
        uid="taximeter-spend-anomaly", title="Spending unlike other days", threshold=3, window_s=604_800,
        dashboard="taximeter-costs",
        summary="A project spent more than three times of its usual in the last hour.",
        runbook="The value is the last hour over the mean of the active hours of the seven days before. See the "
        "project in "
        "the cost explorer: a new model, longer prompts, retries of a client, or a key in wrong hands.",
        sql="SELECT project, currency, last_hour / usual AS value FROM (SELECT project, currency, "
        f"toFloat64(ifNull(sumIf(cost, minute >= {_UPTO} - INTERVAL 1 HOUR), 0)) AS last_hour, "
        f"toFloat64(ifNull(sumIf(cost, minute < {_UPTO} - INTERVAL 1 HOUR), 0)) "
        f"/ uniqExactIf(toStartOfHour(minute), minute < {_UPTO} - INTERVAL 1 HOUR) AS usual, "
        f"uniqExactIf(toStartOfHour(minute), minute < {_UPTO} - INTERVAL 1 HOUR) AS hours "
        f"FROM {spent(_MINUTES)} WHERE {_METERED} GROUP BY project, currency) "
        "WHERE hours >= 24 AND usual > 0 AND last_hour > 1",
    ),
    Rule(
        uid="taximeter-budget", title="Budget near its end", threshold=0.9, window_s=300,
        dashboard="taximeter-budgets",
        summary="More than nine tenths of a budget are used.",
        runbook="At its end calls are refused, or whatever its policy says. `taximeter budget status NAME` shows who "
        "used it; "
        "raise it for this window with `taximeter budget`, or let it end.",
        sql="SELECT instance, labels['budget'] AS budget, argMax(health.value, at) AS value "
        f"{_HEALTH} AND metric = 'taximeter_budget_used_ratio' GROUP BY instance, budget",
    ),
    Rule(
        uid="taximeter-provider-down", title="Provider down", threshold=0.9, window_s=300, for_="2m",
        severity="critical",
        dashboard="taximeter-providers",
        summary="More than nine of ten attempts at a provider fail by its fault.",
        runbook="Check the provider's status page. With a route the others take over; without one, drain it and "
        "point the apps elsewhere. It comes back by itself.",
        sql=f"SELECT provider, sumIf(attempts, error_class IN ({PROVIDER_FAULTS})) / sum(attempts) AS value "
        f"FROM attempts_by_minute WHERE {_MINUTES} GROUP BY provider HAVING sum(attempts) >= 10",
    ),
    Rule(
        uid="taximeter-journal", title="Journal is growing", threshold=120, window_s=300, for_="5m",
        severity="critical",
        dashboard="taximeter-pipeline",
        summary="A sink is more than two minutes behind: what it does not have waits on the disk.",
        runbook="`taximeter doctor` says which sink and why. Nothing is lost while the disk has room: see `Disk "
        "free` and "
        "journal.max_bytes (docs/journal.md). If this rule is silent and Pipeline health is empty, the store itself "
        "is away.",
        sql="SELECT instance, labels['sink'] AS sink, argMax(health.value, at) AS value "
        f"{_HEALTH} AND metric = 'taximeter_sink_lag_seconds' GROUP BY instance, sink",
    ),
    Rule(
        uid="taximeter-losses", title="Something was lost", threshold=0, window_s=3600, severity="critical",
        dashboard="taximeter-pipeline",
        summary="Records, or parts of them, were lost in the last hour.",
        runbook="The label says why; docs/journal.md has each reason and what to do. `taximeter journal` shows what "
        "was put "
        "aside and how to put it back.",
        sql="SELECT instance, labels['reason'] AS reason, max(health.value) - min(health.value) AS value "
        f"{_HEALTH} AND metric = 'taximeter_losses_total' GROUP BY instance, reason",
    ),
    Rule(
        uid="taximeter-unpriced", title="Models without a price", threshold=0, window_s=3600,
        dashboard="taximeter-costs",
        summary="Attempts used tokens that no price is known for: sums are short of them.",
        runbook="Add a price file for the model (`prices` in the configuration), then `taximeter check`. Calls that "
        "are "
        "recorded already keep what was known then.",
        sql="SELECT provider, model, sum(unpriced) AS value FROM attempts_by_minute "
        f"WHERE {_MINUTES} GROUP BY provider, model",
    ),
    Rule(
        uid="taximeter-drift", title="The books do not agree", threshold=0, window_s=900, severity="critical",
        dashboard="taximeter-pipeline",
        summary="Rows of the store are doubled, or sums of a roll-up or the ledger are not those of the rows.",
        runbook="`taximeter store check` names the days; roll-ups are made anew from their rows by themselves. For the "
        "ledger: docs/budgets.md, comparing and rebuilding it.",
        sql="SELECT instance, metric, abs(argMax(health.value, at)) AS value "
        f"{_HEALTH} AND metric IN ('taximeter_self_check_doubled_rows', 'taximeter_self_check_drifted_days', "
        "'taximeter_budget_drift') GROUP BY instance, metric, labels",
    ),
)  # fmt: skip
