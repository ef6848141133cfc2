"""What others know and Prometheus may be told: how full budgets are, and which configuration is in force. PURE.

A hook: whoever has such figures hands in a snapshot of them; where nobody has, no metric is made.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporters.prometheus.labels import plain

MAX_BUDGETS = 200
"""Further ones are left out, the fullest first: those are what alerts are about."""


class BudgetLevel(msgspec.Struct, frozen=True, kw_only=True):
    """How full one budget is."""

    budget: str
    """Its name in the policy; never a user, session or key."""
    unit: str
    """What it is counted in: a currency code, `tokens`, `calls`."""
    limit: Decimal
    """More than 0."""
    used: Decimal
    """Settled in the present window."""
    held: Decimal
    """Reserved by calls under way."""

    @property
    def share(self) -> float:
        """Used and held, of the limit."""
        return float((self.used + self.held) / self.limit) if self.limit > 0 else float("inf")


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """Which edition of something that can be loaded anew is in force."""

    of: str
    """`config`, `policies` ..."""
    number: int
    """Counts from 1 with every edition that was taken."""
    loaded_at_s: float
    """Unix time."""


def level_families(budgets: Sequence[BudgetLevel], generations: Sequence[Generation]) -> list[Metric]:
    """Metrics of what there is; none where there is nothing."""
    return [*_budgets(budgets), *_generations(generations)]


def _budgets(budgets: Sequence[BudgetLevel]) -> list[Metric]:
    if not budgets:
        return []
    names = ["budget", "unit"]
    limit = GaugeMetricFamily("taximeter_budget_limit", "What may be used in the present window.", labels=names)
    used = GaugeMetricFamily("taximeter_budget_used", "What was used in the present window.", labels=names)
    held = GaugeMetricFamily("taximeter_budget_held", "What calls under way have reserved.", labels=names)
    share = GaugeMetricFamily("taximeter_budget_used_ratio", "Used and held, as a share of the limit.", labels=names)
    fullest = sorted(budgets, key=lambda level: level.share)[-MAX_BUDGETS:]
    # Names that cannot be label values are one label value together: the fullest of them speaks for all.
    told = {(plain(level.budget), plain(level.unit)): level for level in fullest}
    for labels, level in told.items():
        limit.add_metric(labels, float(level.limit))
        used.add_metric(labels, float(level.used))
        held.add_metric(labels, float(level.held))
        share.add_metric(labels, level.share)
    return [limit, used, held, share]


def _generations(generations: Sequence[Generation]) -> list[Metric]:
    if not generations:
        return []
    number = GaugeMetricFamily("taximeter_generation", "Edition that is in force.", labels=["of"])
    loaded = GaugeMetricFamily("taximeter_loaded_timestamp_seconds", "When it was taken, Unix time.", labels=["of"])
    for generation in generations:
        number.add_metric([plain(generation.of)], generation.number)
        loaded.add_metric([plain(generation.of)], generation.loaded_at_s)
    return [number, loaded]
