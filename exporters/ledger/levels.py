"""From the ledger's books to what Prometheus is told of budgets: one figure a budget, whoever its counters are for."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from exporters.prometheus.levels import BudgetLevel
from policies.compiled import Budget
from policies.demand import scale_of
from policies.ledger.books import Recorded


def budget_levels(recorded: Iterable[Recorded], budgets: Mapping[str, Budget], now_ns: int) -> list[BudgetLevel]:
    """The fullest present counter of each budget: a label for every user would be series without end.

    Args:
        recorded: Counters as the books have them.
        budgets: Those in force, by `budget:NAME`.
        now_ns: Unix time; windows that are over, or to come, are left out.
    """
    families: dict[str, list[Recorded]] = {}
    for one in recorded:
        if one.starts_at_ns <= now_ns and (one.ends_at_ns is None or now_ns < one.ends_at_ns):
            families.setdefault(one.family, []).append(one)
    fullest: dict[str, BudgetLevel] = {}
    for family, counters in families.items():
        budget = budgets.get(family.partition("|")[0])
        if budget is None or counters[0].unit != budget.unit:
            continue
        level = _level(budget, counters)
        if budget.name not in fullest or level.share > fullest[budget.name].share:
            fullest[budget.name] = level
    return list(fullest.values())


def _level(budget: Budget, counters: list[Recorded]) -> BudgetLevel:
    """A rolling window has a counter for each of its buckets, any other window one."""
    scale = scale_of(budget.unit)
    allowed = max(counter.allowed for counter in counters) or budget.limit
    return BudgetLevel(
        budget=budget.name,
        unit=budget.unit,
        limit=Decimal(allowed).scaleb(-scale),
        used=Decimal(sum(counter.spent for counter in counters)).scaleb(-scale),
        held=Decimal(sum(counter.leased for counter in counters)).scaleb(-scale),
    )
