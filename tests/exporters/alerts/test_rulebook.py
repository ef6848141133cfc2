import os

from exporters.alerts.rulebook import Rulebook, facts_of
from policies.compiled import Budget, CompiledPolicies, Window, to_json
from policies.conditions import Condition, Match
from tests.fakes.records import CALLER, call


def budget(name="search", **more):
    fields = {
        "name": name,
        "policy": f"budget:{name}",
        "unit": "USD",
        "limit": 5 * 10**9,
        "window": Window(shape="month"),
    }
    return Budget(**fields | more)


def book(tmp_path, *budgets):
    file = tmp_path / "policies.json"
    file.write_bytes(to_json(CompiledPolicies(budgets=budgets)))
    made = Rulebook(file)
    made.refresh()
    return made


def test_a_rule_is_found_for_a_call_with_its_scope_and_counter(tmp_path):
    made = book(tmp_path, budget(per=("team",), overrides={"team=search": 7}))
    bound = made.bound(call(), "budget:search")
    assert (bound.scope, bound.limit) == ("team=search", 7)
    demand = made.demand(bound, call().started_at_ns)
    assert demand.counter.startswith("budget:search|team=search@2026-11-01")


def test_a_rule_that_is_not_for_the_call_or_not_there_is_none(tmp_path):
    made = book(tmp_path, budget(match=Match(conditions=(Condition(field="team", values=("ads",)),))))
    assert made.bound(call(), "budget:search") is None
    assert made.bound(call(), "budget:other") is None


def test_a_file_that_changes_is_read_again_and_one_that_is_broken_changes_nothing(tmp_path):
    made, file = book(tmp_path, budget("a")), tmp_path / "policies.json"
    assert list(made.budgets) == ["budget:a"]
    file.write_bytes(b"{")
    os.utime(file, ns=(1, 1))
    made.refresh()
    assert list(made.budgets) == ["budget:a"]
    file.write_bytes(to_json(CompiledPolicies(budgets=(budget("b"),))))
    os.utime(file, ns=(2, 2))
    made.refresh()
    assert list(made.budgets) == ["budget:b"]


def test_without_a_file_there_are_no_rules(tmp_path):
    made = Rulebook(tmp_path / "policies.json")
    made.refresh()
    assert made.budgets == {}
    assert made.bound(call(), "budget:a") is None


def test_the_facts_of_a_record_are_what_rules_look_at():
    facts = facts_of(call(streaming=True))
    assert (facts.provider, facts.operation, facts.dialect) == ("openai", "chat", "openai.chat")
    assert (facts.request.model, facts.request.streaming, facts.caller) == ("gpt-4.1-mini", True, CALLER)
