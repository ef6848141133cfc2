"""Compiled policies travel as JSON and come back as they were."""

from decimal import Decimal

import msgspec
import pytest

from policies.compiled import FORMAT, Budget, CompiledPolicies, Window, from_json, to_json

BUDGET = Budget(
    name="search",
    policy="budget:search",
    unit="USD",
    limit=5 * 10**9,
    window=Window(shape="month", zone="Europe/Berlin"),
    exchange={"CNY": Decimal("0.14")},
)


def test_what_is_sent_to_a_worker_is_what_it_has():
    policies = CompiledPolicies(generation=3, hash="abc", budgets=(BUDGET,))

    assert from_json(to_json(policies)) == policies


def test_another_format_is_refused():
    with pytest.raises(msgspec.ValidationError, match="format"):
        from_json(to_json(CompiledPolicies(format=FORMAT + 1)))
