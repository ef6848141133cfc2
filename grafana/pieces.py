"""Pieces of SQL and variables that several dashboards share. PURE, and all of it constant.

Two rules for every query here: money is grouped by currency, never summed over two of them; and a roll-up is asked
where it has the answer (docs/tables.md).
"""

from grafana.model import Variable
from proxy.core.errors import REMEDIES

TEAM = Variable(
    name="team", label="Team", description="Teams that called.",
    sql="SELECT DISTINCT team FROM calls_by_day WHERE $__dateFilter(day) ORDER BY team",
)  # fmt: skip
PROJECT = Variable(
    name="project", label="Project", description="Projects that called.",
    sql="SELECT DISTINCT project FROM calls_by_day WHERE $__dateFilter(day) ORDER BY project",
)  # fmt: skip
KEY = Variable(
    name="key", label="Key", description="Fingerprints of the keys that were used.",
    sql="SELECT DISTINCT key_id FROM calls_by_day WHERE $__dateFilter(day) ORDER BY key_id",
)  # fmt: skip
PROVIDER = Variable(
    name="provider", label="Provider", description="Providers that were called.",
    sql="SELECT DISTINCT provider FROM attempts_by_day WHERE $__dateFilter(day) ORDER BY provider",
)  # fmt: skip
MODEL = Variable(
    name="model", label="Model", description="Models that answered.",
    sql="SELECT DISTINCT model FROM attempts_by_day WHERE $__dateFilter(day) ORDER BY model",
)  # fmt: skip
INSTANCE = Variable(
    name="instance", label="Instance", description="Data folders that report to this store.",
    sql="SELECT DISTINCT instance FROM health WHERE $__timeFilter(at) ORDER BY instance",
)  # fmt: skip
CALL_VARIABLES = (TEAM, PROJECT, KEY, PROVIDER, MODEL)

CHOSEN = (
    "$__conditionalAll(team IN (${team:sqlstring}), $team)"
    " AND $__conditionalAll(project IN (${project:sqlstring}), $project)"
    " AND $__conditionalAll(key_id IN (${key:sqlstring}), $key)"
    " AND $__conditionalAll(provider IN (${provider:sqlstring}), $provider)"
    " AND $__conditionalAll(model IN (${model:sqlstring}), $model)"
)
"""The rows that the variables let through."""
CHOSEN_INSTANCE = "$__conditionalAll(instance IN (${instance:sqlstring}), $instance)"
PROVIDER_FAULTS = ", ".join(f"'{name}'" for name, remedy in REMEDIES.items() if remedy.fault == "provider")
"""Error classes that are the provider's fault, as SQL."""
FAILED = "outcome IN ('error', 'broken', 'interrupted')"
"""Of a call: it did not end well, and neither a policy nor the app ended it."""

_SPENT_KEYS = "minute, team, project, key_id, provider, model, currency, billing"


def spent(where: str) -> str:
    """Money per minute as a subquery: of attempts, and of calls that were cut off before any was recorded.

    Args:
        where: A condition on `minute` and the keys, e.g. `$__timeFilter(minute)`.
    """
    return (
        f"(SELECT {_SPENT_KEYS}, cost, estimated_cost, list_cost FROM attempts_by_minute WHERE {where}"
        f" UNION ALL SELECT {_SPENT_KEYS}, own_cost AS cost, own_cost AS estimated_cost, NULL AS list_cost"
        f" FROM calls_by_minute WHERE {where} AND own_priced > 0)"
    )


SPENT = spent(f"$__timeFilter(minute) AND {CHOSEN}")
"""In the time that is shown, of what was chosen."""
