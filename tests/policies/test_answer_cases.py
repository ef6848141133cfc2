"""An answer in a case has the outcome that the same answer would have on the way."""

from policies.answer_cases import AnswerSection, Asker, try_answer
from policies.routes_compiled import OutcomeRule, RetryRule, Route, RouteTarget, Routing
from proxy.providers import find_provider

ROUTE = Route(name="r", targets=(RouteTarget(id="m", provider="m"),), retry=RetryRule(fall_back_on=("context_length",)))


def asker(**more):
    fields = {"provider": "m", "kind": "minimax", "model": "x", "dialect": "openai.chat", "streaming": False}
    return Asker(**fields | {"judge": find_provider("minimax").judge} | more)


def tried(route=ROUTE, rules=(), of=None, **answer):
    return try_answer(AnswerSection(**answer), of or asker(), Routing(outcomes=rules), route)


def test_an_error_is_judged_by_its_provider():
    found = tried(status=429, body='{"error": {"message": "slow down"}}')

    assert (found.outcome.outcome, found.retries, found.falls_back) == ("rate_limit", True, True)


def test_a_rule_of_the_operators_comes_first():
    rule = OutcomeRule(name="slow", duration_over_ms=1000, outcome="timeout")

    assert tried(rules=(rule,), status=429, duration="2s").outcome.rule == "rule:slow"
    assert tried(rules=(rule,), status=429, duration="500ms").outcome.rule != "rule:slow"


def test_a_stream_that_lacks_its_end_is_truncated():
    body = 'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'

    found = tried(of=asker(streaming=True), body=body)

    assert (found.outcome.outcome, found.falls_back) == ("stream_truncated", True)
    assert tried(of=asker(streaming=True), body=body, content_sent=True).falls_back is False


def test_the_route_says_what_else_falls_back():
    rule = OutcomeRule(name="long", statuses=((400, 400),), outcome="context_length")

    assert tried(rules=(rule,), status=400).falls_back is True
    assert tried(route=None, rules=(rule,), status=400).falls_back is False


def test_no_answer_at_all_has_an_outcome():
    assert tried(status=0, way="connect").outcome.outcome == "connect_error"
    assert tried(status=500, of=asker(dialect="unheard.of")).outcome.outcome == "server_error"
