from decimal import Decimal

from exporters.prometheus.levels import MAX_BUDGETS, BudgetLevel, Generation, level_families


def level(budget="team-search", used="40", held="10", limit="100", unit="USD"):
    return BudgetLevel(budget=budget, unit=unit, limit=Decimal(limit), used=Decimal(used), held=Decimal(held))


def told(budgets=(), generations=()):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in level_families(budgets, generations)
        for sample in family.samples
    }


def test_nothing_known_makes_no_metric():
    assert level_families([], []) == []


def test_a_budget_is_told_with_what_calls_under_way_hold():
    assert told([level()]) == {
        ("taximeter_budget_limit", "team-search", "USD"): 100,
        ("taximeter_budget_used", "team-search", "USD"): 40,
        ("taximeter_budget_held", "team-search", "USD"): 10,
        ("taximeter_budget_used_ratio", "team-search", "USD"): 0.5,
    }


def test_of_too_many_budgets_the_fullest_are_told():
    budgets = [level(f"b-{n}", used=str(n), held="0", limit="1000") for n in range(MAX_BUDGETS + 50)]
    names = {budget for name, budget, _ in told(budgets)}
    assert names == {f"b-{n}" for n in range(50, MAX_BUDGETS + 50)}


def test_names_that_can_be_no_label_are_one_and_the_fullest_speaks_for_them():
    found = told([level("two words", used="90"), level("more words", used="1")])
    assert found["taximeter_budget_used", "other", "USD"] == 90


def test_a_budget_of_nothing_is_full():
    assert level(limit="0").share == float("inf")


def test_a_generation_is_told_with_when_it_was_loaded():
    assert told(generations=[Generation(of="policies", number=3, loaded_at_s=5.5)]) == {
        ("taximeter_generation", "policies"): 3,
        ("taximeter_loaded_timestamp_seconds", "policies"): 5.5,
    }
