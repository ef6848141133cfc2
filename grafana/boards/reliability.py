"""How calls end, what the proxy did about it, and who was slow: the provider or we.

What: outcomes, error classes, retries, fallbacks, failing providers, provider latency against our own overhead.

Config: the variables team, project, key, provider, model.

Example: `/d/taximeter-reliability?var-provider=minimax`

Source: tables `calls_by_minute`, `attempts_by_minute`; `attempts` for fallbacks, `health` for breakers.
"""

from grafana.model import Dashboard, Panel, rising
from grafana.pieces import CALL_VARIABLES, CHOSEN, PROVIDER_FAULTS

_CALLS = f"FROM calls_by_minute WHERE $__timeFilter(minute) AND {CHOSEN}"
_ATTEMPTS = f"FROM attempts_by_minute WHERE $__timeFilter(minute) AND {CHOSEN}"
_AT = "$__timeInterval(minute) AS time"
_OVERHEAD = "quantilesTDigestMerge(0.5, 0.95, 0.99)(overhead)"

RELIABILITY = Dashboard(
    uid="taximeter-reliability",
    title="Taximeter / Reliability",
    description="Outcomes, retries, fallbacks, and provider latency against the proxy's overhead.",
    variables=CALL_VARIABLES,
    panels=(
        Panel(
            title="Outcomes", stacked=True,
            description="Calls by how they ended.",
            sql=f"SELECT {_AT}, outcome, sum(calls) AS \"Calls\" {_CALLS} GROUP BY time, outcome ORDER BY time",
        ),
        Panel(
            title="Errors by class", stacked=True,
            description="Attempts that failed, by what was wrong.",
            sql=f"SELECT {_AT}, error_class, sum(attempts) AS \"Attempts\" {_ATTEMPTS} AND error_class != '' "
            "GROUP BY time, error_class ORDER BY time",
        ),
        Panel(
            title="Retried calls", unit="percentunit", thresholds=rising(0.05, 0.15),
            description="Share of calls that needed more than one attempt.",
            sql=f"SELECT {_AT}, sum(retried) / greatest(sum(calls), 1) AS \"Retried\" {_CALLS} "
            "GROUP BY time ORDER BY time",
        ),
        Panel(
            title="Fallbacks", stacked=True,
            description="Calls that went on at another provider than the one they began with, by both.",
            sql="SELECT $__timeInterval(began) AS time, way, count() AS \"Calls\" FROM ("
            "SELECT call_id, min(started_at) AS began, "
            "concat(argMin(provider, attempt), ' to ', argMax(provider, attempt)) AS way, uniqExact(provider) AS asked "
            f"FROM attempts WHERE $__timeFilter(started_at) AND {CHOSEN} AND call_id IN ("
            "SELECT call_id FROM attempts WHERE $__timeFilter(started_at) AND attempt > 1) GROUP BY call_id) "
            "WHERE asked > 1 GROUP BY time, way ORDER BY time",
        ),
        Panel(
            title="What a breaker sees", unit="percentunit", thresholds=rising(0.2, 0.5),
            description="Share of attempts that failed by the provider's fault: what opens a breaker.",
            sql=f"SELECT {_AT}, provider, sumIf(attempts, error_class IN ({PROVIDER_FAULTS})) "
            f"/ greatest(sum(attempts), 1) AS \"Failed\" {_ATTEMPTS} GROUP BY time, provider ORDER BY time",
        ),
        Panel(
            title="Breakers", stacked=True,
            description="1 while a target of a route gets no call or only some: open, half_open, slow_start, draining, "
            "rate_limited.",
            sql="SELECT $__timeInterval(at) AS time, labels['target'] AS target, labels['state'] AS state, "
            "max(value) AS \"Out\" FROM health WHERE $__timeFilter(at) AND metric = 'taximeter_target_state' "
            "AND labels['state'] != 'closed' GROUP BY time, target, state ORDER BY time",
        ),
        Panel(
            title="Provider latency p95", unit="ms",
            description="Duration of attempts that ended well, by provider.",
            sql=f"SELECT {_AT}, provider, quantilesTDigestMergeIf(0.95)(duration, outcome = 'ok')[1] AS \"p95\" "
            f"{_ATTEMPTS} AND outcome = 'ok' GROUP BY time, provider ORDER BY time",
        ),
        Panel(
            title="Overhead of the proxy", unit="ms", thresholds=rising(5, 20),
            description="Time that the proxy itself added to a call; compare with the provider's.",
            sql=f"SELECT {_AT}, {_OVERHEAD}[1] AS \"p50\", {_OVERHEAD}[2] AS \"p95\", {_OVERHEAD}[3] AS \"p99\" "
            f"{_CALLS} GROUP BY time ORDER BY time",
        ),
        Panel(
            title="Time to first token p95", unit="ms",
            description="Of streams that ended well, by provider.",
            sql=f"SELECT {_AT}, provider, quantilesTDigestMerge(0.95)(ttft)[1] AS \"p95\" "
            f"{_ATTEMPTS} AND outcome = 'ok' AND streaming GROUP BY time, provider HAVING isFinite(p95) ORDER BY time",
        ),
        Panel(
            title="Tokens per second p50", unit="suffix: tok/s",
            description="Output tokens per second: of a stream from its first token on, of a whole answer over all its "
            "time. By provider.",
            sql=f"SELECT {_AT}, provider, quantilesTDigestMerge(0.5)(speed)[1] AS \"Speed p50\" "
            f"{_ATTEMPTS} AND outcome = 'ok' GROUP BY time, provider HAVING isFinite(\"Speed p50\") ORDER BY time",
        ),
    ),
)  # fmt: skip
