"""Sections of a file become rules, or problems at their lines."""

from decimal import Decimal

import pytest

from policies.compile import Rules, check_providers, matches_of
from policies.compiled import Threshold, Window
from policies.conditions import Condition, Hours
from policies.schema import PolicyFile
from proxy.config.check import checked
from proxy.config.problems import Report
from proxy.config.source import read_yaml


def read(text):
    report = Report("p.yaml")
    raw = read_yaml("version: 1\n" + text, report)
    return Rules(checked(raw, report, PolicyFile), report), report


def budget(text, defaults=""):
    rules, report = read(f"{defaults}budgets:\n  b: {{{text}}}\n")
    assert report.problems == []
    return rules.budgets[0]


def limit(text, defaults=""):
    rules, report = read(f"{defaults}limits:\n  b: {{{text}}}\n")
    assert report.problems == []
    return rules.limits[0]


def whats(text):
    return [problem.what for problem in read(text)[1].problems]


def test_what_a_rule_does_not_say_its_file_says():
    defaults = (
        "defaults: {zone: Europe/Berlin, week_start: sunday, enforce: soft, refuse_with: 402, unbounded: 1 USD, "
        "unknown_price: allow, assume_max_output_tokens: 9, other_currency: ignore, when_ledger_unavailable: allow}\n"
    )
    rule = budget("limit: 5 USD, window: week", defaults)

    assert rule.window == Window(shape="week", zone="Europe/Berlin", week_start=6)
    assert (rule.enforce, rule.status, rule.unbounded, rule.unknown_price) == ("soft", 402, 10**9, 0)
    assert (rule.assume_output_tokens, rule.other_currency, rule.when_unavailable) == (9, "ignore", "allow")


def test_what_a_rule_says_wins():
    rule = budget(
        "limit: 5 USD, window: week, week_start: mon, zone: UTC, enforce: hard, unbounded: deny",
        "defaults: {zone: Europe/Berlin, enforce: soft, unbounded: allow}\n",
    )

    assert (rule.window.zone, rule.window.week_start, rule.enforce, rule.unbounded) == ("UTC", 0, "hard", None)


def test_an_amount_by_default_is_no_word_for_rules_in_another_unit():
    assert budget("limit: 5 calls, window: day", "defaults: {unbounded: 1 USD}\n").unbounded is None


def test_a_pace_is_hard_where_budgets_are_soft():
    assert limit("limit: 5 calls, every: minute", "defaults: {enforce: soft}\n").enforce == "hard"


def test_conditions_are_whole_values_and_globs():
    rule = budget(
        "limit: 5 USD, window: day, match: {team: [a, 'b*'], model: {not: GPT-5}, streaming: true, tags: {env: prod}, "
        "time: {hours: '09:00-18:00', weekdays: mon-fri, outside: true}}"
    )

    assert rule.match.conditions == (
        Condition(field="team", values=("a",), globs=("b*",)),
        Condition(field="model", values=("gpt-5",), negated=True),
        Condition(field="streaming", values=("true",)),
        Condition(field="tag", tag="env", values=("prod",)),
    )
    assert rule.match.hours == (Hours(zone="UTC", weekdays=(0, 1, 2, 3, 4), spans=((540, 1080),), negated=True),)


def test_scopes_that_are_named_have_limits_of_their_own():
    one = budget("limit: 5 USD, window: day, per: team, named: {a/b: 7 USD}")
    two = budget("limit: 5 USD, window: day, per: [team, model], named: {a/GPT-5: 7 USD}")

    assert one.overrides == {"team=a/b": 7 * 10**9}
    assert two.overrides == {"team=a|model=gpt-5": 7 * 10**9}


def test_grace_carry_over_rates_and_thresholds_are_resolved():
    rule = budget(
        "limit: 5 USD, window: month, grace: 10%, carry_over: {most: 1 USD, since: 1970-01-02}, "
        "rates: {CNY: {rate: '0.14', as_of: 2026-11-01}}, mode: shadow, "
        "thresholds: [{at: '90%', do: [downgrade], model: m}, {at: '80%', do: [alert, header]}]"
    )

    assert (rule.grace, rule.carry_most, rule.carry_since_ns) == (5 * 10**8, 10**9, 86_400 * 10**9)
    assert (rule.exchange, rule.shadow) == ({"CNY": Decimal("0.14")}, True)
    assert rule.thresholds == (
        Threshold(at=8000, acts=("alert", "header")),
        Threshold(at=9000, acts=("downgrade",), model="m"),
    )


def test_limits_are_paces_or_numbers_of_concurrent_calls():
    pace = limit("limit: 60 calls, every: 1m, burst: 10 calls")
    at_once = limit("limit: 4 concurrent")

    assert (pace.per_ns, pace.burst) == (60 * 10**9, 10)
    assert (at_once.unit, at_once.per_ns) == ("concurrent", 0)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("budgets: {b: {limit: 4 concurrent, window: day}}", "put the rule under limits"),
        ("budgets: {b: {limit: 5 USD}}", "needs a window"),
        ("budgets: {b: {window: day}}", "needs a limit"),
        ("budgets: {'b b': {limit: 5 USD, window: day}}", "must be a name"),
        ("budgets: {b: {limit: 5 USD, window: day, match: {}}}", "holds no condition"),
        ("budgets: {b: {limit: 5 USD, window: day, named: {a: 7 USD}}}", "needs per"),
        ("budgets: {b: {limit: 5 USD, window: day, per: [team, user], named: {a: 7 USD}}}", "must name team/user"),
        ("budgets: {b: {limit: 5 USD, window: day, per: team, named: {a: 7 CNY}}}", "an amount of USD"),
        ("budgets: {b: {limit: 5 USD, window: day, grace: 7 CNY}}", "an amount of USD"),
        ("budgets: {b: {limit: 5 USD, window: day, unbounded: 7 CNY}}", "an amount of USD"),
        ("budgets: {b: {limit: 5 calls, window: day, unknown_price: deny}}", "is about money"),
        ("limits: {b: {limit: 5 calls, every: minute, queue: {most: 5}}}", "is for limits of a provider"),
        (
            "limits: {b: {per: provider, limit: 5 calls, every: minute, enforce: observe, queue: {most: 5}}}",
            "is for enforce: hard",
        ),
        ("limits: {b: {per: provider, limit: 5 calls, every: minute, queue: {wait: 1h}}}", "must be 10m or less"),
        (
            "budgets: {b: {limit: 5 USD, window: total, carry_over: {most: 1 USD, since: 2026-11-01}}}",
            "of the calendar",
        ),
        ("budgets: {b: {limit: 5 USD, window: day, carry_over: {most: 1 USD}}}", "needs most and since"),
        ("budgets: {b: {limit: 5 USD, window: day, carry_over: {most: 1 CNY, since: 2026-11-01}}}", "an amount of USD"),
        ("budgets: {b: {limit: 5 USD, window: day, thresholds: [{at: '80%'}]}}", "needs at and do"),
        ("budgets: {b: {limit: 5 USD, window: day, thresholds: [{at: '80%', do: [downgrade]}]}}", "belong together"),
        ("budgets: {b: {limit: 5 USD, window: day, rates: {USD: {rate: '1', as_of: 2026-11-01}}}}", "a currency other"),
        ("budgets: {b: {limit: 5 USD, window: day, rates: {CNY: {rate: '1'}}}}", "needs rate and as_of"),
        ("limits: {b: {limit: 5 calls}}", "such as every: minute"),
        ("limits: {b: {limit: 0 calls, every: minute}}", "more than 0"),
        ("limits: {b: {limit: 5 calls, every: minute, enforce: soft}}", "hard or observe"),
        ("limits: {b: {limit: 5 concurrent, every: minute}}", "cannot stand beside"),
        ("limits: {b: {limit: 5 calls, every: minute, burst: 5 tokens}}", "an amount of calls"),
        ("keys: {'a b': {}}", "must be a name"),
    ],
)
def test_what_does_not_fit_is_told_once(text, what):
    (found,) = whats(text)

    assert what in found


def test_only_whole_names_of_providers_are_looked_up():
    rules, report = read("limits: {b: {limit: 5 calls, every: minute, match: {provider: [opnai, 'min*']}}}")
    check_providers(matches_of(rules), frozenset({"openai"}), report)

    assert [problem.what for problem in report.problems] == ["no such provider; did you mean openai?"]


def test_a_key_says_what_it_is_good_for():
    rules, report = read("keys: {ci: {models: ['GPT-*'], providers: [OpenAI], expires: 1970-01-02, disabled: true}}")
    key = rules.keys["ci"]

    assert report.problems == []
    assert (key.models, key.providers, key.expires_at_ns, key.disabled) == (
        ("gpt-*",),
        ("openai",),
        86_400 * 10**9,
        True,
    )


def test_a_budget_clamps_down_to_a_minimum():
    assert budget("limit: 5 USD, window: day").clamp_min is None
    assert budget("limit: 5 USD, window: day, clamp: true").clamp_min == 256
    assert budget("limit: 5k tokens, window: day, clamp: true, clamp_min: 16").clamp_min == 16


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("limit: 5 USD, window: day, clamp_min: 16", "belongs to clamp: true"),
        ("limit: 5 USD, window: day, clamp: true, enforce: soft", "is for enforce: hard"),
        ("limit: 5 calls, window: day, clamp: true", "is for money, tokens and output_tokens"),
    ],
)
def test_a_clamp_that_could_do_nothing_is_a_mistake(text, what):
    (said,) = whats(f"budgets:\n  b: {{{text}}}\n")
    assert what in said


@pytest.mark.parametrize(
    ("text", "defaults", "cuts"),
    [
        ("", "", True),
        ("enforce: soft, ", "", False),
        ("enforce: soft, when_reached: cut, ", "", True),
        ("when_reached: finish, ", "", False),
        ("", "defaults: {when_reached: finish}\n", False),
        ("when_reached: cut, ", "defaults: {when_reached: finish}\n", True),
        ("", "defaults: {enforce: soft}\n", False),
    ],
)
def test_a_hard_budget_ends_what_is_under_way_unless_something_else_is_said(text, defaults, cuts):
    assert budget(f"{text}limit: 5 USD, window: day", defaults).cuts == cuts


def test_how_many_bytes_an_amount_stands_for_can_be_stated():
    assert budget("limit: 5 USD, window: day").step_bytes == 1 << 20
    assert budget("limit: 5 USD, window: day", "defaults: {unbounded_bytes: 5000}\n").step_bytes == 5000
    assert budget("limit: 5 USD, window: day, unbounded_bytes: 2000").step_bytes == 2000
    assert whats("budgets:\n  b: {limit: 5 USD, window: day, unbounded_bytes: 10}\n")
