"""Everything that a rule states has to hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.outcome_facts import Seen
from policies.outcome_rules import Look, holds, reads_as_json, text_holds
from policies.routes_compiled import HeaderMatch, JsonMatch, OutcomeRule, TextMatch
from proxy.core.facts import ResponseFacts

MS = 1_000_000


def rule(**more):
    return OutcomeRule(name="r", outcome="overloaded", **more)


def seen(**more):
    return Seen(**{"provider": "MiniMax", "model": "M3", "status": 200, "body": b'{"a":[{"b":"Busy"}]}'} | more)


@pytest.mark.parametrize(
    ("match", "text", "found"),
    [
        (None, None, True),
        (TextMatch(values=("busy",)), "Busy", True),
        (TextMatch(values=("busy",)), "busy!", False),
        (TextMatch(contains=("usy",)), "Busy!", True),
        (TextMatch(globs=("b*y",)), "BUSY", True),
        (TextMatch(globs=("b*y",)), "busy!", False),
        (TextMatch(), "", True),
        (TextMatch(), None, False),
        (TextMatch(values=("busy",), negated=True), "idle", True),
        (TextMatch(values=("busy",), negated=True), "busy", False),
        (TextMatch(values=("busy",), negated=True), None, True),
    ],
)
def test_a_text_is_as_it_is_wanted(match, text, found):
    assert text_holds(match, text) is found


def place(*path, **text):
    return (JsonMatch(path=path, text=TextMatch(**text)),)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, True),
        ({"statuses": ((500, 599), (200, 200))}, True),
        ({"statuses": ((201, 299),)}, False),
        ({"providers": TextMatch(values=("minimax",))}, True),
        ({"models": TextMatch(globs=("gpt-*",))}, False),
        ({"headers": (HeaderMatch(name="x-busy", text=TextMatch()),)}, True),
        ({"headers": (HeaderMatch(name="x-idle", text=TextMatch()),)}, False),
        ({"json": place("a", 0, "b", values=("busy",))}, True),
        ({"json": place("a", 1, "b", values=("busy",))}, False),
        ({"json": place("a", 1, "b", values=("busy",), negated=True)}, True),
        ({"body": TextMatch(contains=('"busy"',))}, True),
        ({"body": TextMatch(contains=("idle",))}, False),
        ({"finish_reasons": TextMatch(values=("length",))}, True),
        ({"finish_reasons": TextMatch(values=("stop",))}, False),
        ({"stream_ends": ("eof", "truncated")}, True),
        ({"stream_ends": ("stalled",)}, False),
        ({"stream_asked": True}, True),
        ({"schema_asked": True}, False),
        ({"first_byte_over_ms": 9}, True),
        ({"first_byte_over_ms": 10}, False),
        ({"first_content_over_ms": 1}, False),
        ({"duration_over_ms": 19, "statuses": ((200, 200),)}, True),
        ({"duration_over_ms": 19, "statuses": ((500, 500),)}, False),
    ],
)
def test_a_rule_holds_when_all_of_it_does(asked, found):
    facts = ResponseFacts(finish_reason="length", stream_end="eof")
    look = Look(
        seen(facts=facts, headers={"x-busy": "1"}, stream_asked=True, first_byte_ns=10 * MS, duration_ns=20 * MS)
    )

    assert holds(rule(**asked), look) is found


@pytest.mark.parametrize("text", ["{}", " [1]\n", "null", '"x"', "12", "true", "false", "0"])
def test_any_json_value_reads_as_json(text):
    assert reads_as_json(text)


@pytest.mark.parametrize("text", ["", "Sure: {}", "{", "```json\n{}\n```", "NaN,"])
def test_other_text_does_not(text):
    assert not reads_as_json(text)


@given(st.binary(max_size=40), st.text(max_size=10))
def test_no_body_breaks_a_rule(body, wanted):
    look = Look(seen(body=body))
    one = rule(json=place("a", 0, contains=(wanted.lower(),)), body=TextMatch(globs=(f"*{wanted.lower()}*",)))

    assert holds(one, look) in {True, False}
