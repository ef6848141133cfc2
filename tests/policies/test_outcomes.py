"""Every attempt has one outcome, and the rule that gave it is known."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.outcome_facts import Seen, Trouble
from policies.outcomes import Classifier, plainly_good
from policies.routes_compiled import JsonMatch, OutcomeRule, Routing, TextMatch
from proxy.core.errors import ErrorSeen
from proxy.core.facts import AnswerHead, ResponseFacts
from proxy.core.usage import Usage
from proxy.dialects.openai_chat import OPENAI_CHAT
from proxy.providers import find_provider
from tests.fakes import wire

KINDS = ("minimax", "openai", "anthropic", "gemini")
CASES = [wire.load(path.parent) for path in sorted(wire.ROOT.glob("*/meta.json"))]
needs_corpus = pytest.mark.skipif(
    not CASES, reason="the corpus of recorded traffic is not on this machine; set TAXIMETER_WIRE"
)
NO_RULES = Classifier()
MINIMAX = find_provider("minimax")


def classify(seen, *rules, kind="minimax"):
    return Classifier(rules).classify(seen, kind, find_provider(kind).judge)


def good(**more):
    return Seen(**{"provider": "minimax", "status": 200, "facts": ResponseFacts(finish_reason="stop")} | more)


def stated(status=200, *, in_stream=False, **error):
    seen = ErrorSeen(status=status, in_stream=in_stream, **error)
    return Seen(provider="minimax", status=status, facts=ResponseFacts(error=seen))


def recorded(case, *, content_sent):
    provider = find_provider(case.meta["provider"])
    route = provider.route(case.meta["request"]["method"], case.meta["request"]["path"].partition("?")[0])
    if route.dialect is None:
        seen = Seen(provider=provider.kind, status=case.status, body=case.body, content_sent=content_sent)
        return NO_RULES.classify(seen, provider.kind, provider.judge)
    kind = case.header("content-type").partition(";")[0].strip().lower()
    reader = route.dialect.reader(AnswerHead(status=case.status, content_type=kind))
    reader.feed(case.body)
    facts = reader.finish(clean=True)
    seen = Seen(
        provider=provider.kind,
        dialect=route.dialect.name,
        status=case.status,
        facts=facts,
        body=case.body,
        saw_content=reader.saw_content,
        content_sent=content_sent,
    )
    return NO_RULES.classify(seen, provider.kind, provider.judge)


@needs_corpus
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_recorded_traffic_has_the_outcome_that_it_should(case):
    streamed = case.header("content-type").startswith("text/event-stream")
    outcome = recorded(case, content_sent=streamed)
    expected = case.expected["error"]
    if expected is None:
        assert (outcome.outcome, outcome.fault) in {("ok", None), ("stream_truncated", "provider")}
        assert (outcome.outcome == "ok") == (case.expected.get("stream_end") != "truncated")
        return
    assert (outcome.outcome, outcome.retry_same, outcome.fallback, outcome.fault) == (
        expected["class"],
        expected["retry_same"],
        expected["fallback"],
        expected["fault"],
    )
    assert outcome.error.error_class == outcome.outcome


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("1008", ("billing", "no", "yes", "account")),
        ("1002", ("rate_limit", "yes", "yes", "provider")),
        ("2056", ("quota_exhausted", "no", "yes", "account")),
        ("1027", ("content_filter", "no", "policy", "content")),
        ("2042", ("permission", "no", "no", "client")),
    ],
)
def test_an_error_inside_a_good_answer_is_judged_by_its_provider(code, expected):
    outcome = classify(stated(code=code))

    assert (outcome.outcome, outcome.retry_same, outcome.fallback, outcome.fault) == expected
    assert (outcome.rule, outcome.word) == ("minimax:stated", "error")


def test_an_error_is_seen_where_no_dialect_knows_the_path():
    body = b'{"base_resp":{"status_code":20132,"status_msg":"invalid voice_id"}}'

    assert classify(Seen(provider="minimax", status=200, body=body)).outcome == "invalid_request"
    assert classify(Seen(provider="minimax", status=200, body=b"\xff\xfb audio")).outcome == "ok"
    assert classify(Seen(provider="minimax", status=200, body=body, dialect="minimax.native")).outcome == "ok"


def test_an_error_in_a_stream_can_be_tried_again_until_content_was_sent():
    held = stated(code="1000", in_stream=True)
    sent = msgspec.structs.replace(held, content_sent=True)

    assert (classify(held).retry_same, classify(held).fallback) == ("yes", "yes")
    assert (classify(sent).retry_same, classify(sent).fallback) == ("no", "no")


@pytest.mark.parametrize(
    ("phase", "timed_out", "status", "outcome", "rule", "word"),
    [
        ("connect", False, 0, "connect_error", "way:connect", "error"),
        ("connect", True, 0, "connect_error", "way:connect", "error"),
        ("request", False, 0, "invalid_request", "way:request", "error"),
        ("first_byte", False, 0, "connect_error", "way:first_byte", "error"),
        ("first_byte", True, 0, "timeout", "way:first_byte", "error"),
        ("head", False, 0, "bad_upstream_body", "way:head", "error"),
        ("idle", True, 200, "timeout", "way:stalled", "broken"),
        ("answer", False, 200, "stream_truncated", "way:answer", "broken"),
        ("answer", True, 200, "timeout", "way:answer", "broken"),
        ("shutdown", False, 200, "unknown", "way:shutdown", "interrupted"),
        ("hedge", False, 200, "unknown", "way:hedge", "cancelled"),
        ("budget", False, 200, "unknown", "way:budget", "interrupted"),
    ],
)
def test_what_fails_on_the_way_has_a_class(phase, timed_out, status, outcome, rule, word):
    seen = Seen(provider="minimax", status=status, trouble=Trouble(phase=phase, timed_out=timed_out))
    found = classify(seen)

    assert (found.outcome, found.rule, found.word) == (outcome, rule, word)


def test_a_stream_that_broke_before_its_content_was_sent_may_be_tried_again():
    broken = good(facts=ResponseFacts(stream_end="truncated"), saw_content=True)
    sent = msgspec.structs.replace(broken, content_sent=True)

    assert (classify(broken).outcome, classify(broken).fallback) == ("stream_truncated", "yes")
    assert (classify(sent).outcome, classify(sent).fallback) == ("stream_truncated", "no")


def test_a_stream_that_ends_well_with_nothing_in_it_is_a_bad_answer():
    empty = good(facts=ResponseFacts(stream_end="done_marker"), saw_content=False)

    assert (classify(empty).outcome, classify(empty).rule) == ("bad_upstream_body", "body:empty")
    assert classify(msgspec.structs.replace(empty, saw_content=None)).outcome == "ok"


@pytest.mark.parametrize(
    "facts",
    [
        ResponseFacts(stream_end="done_marker", finish_reason="stop", finish_class="stop"),
        ResponseFacts(stream_end="message_stop", finish_reason="refusal", finish_class="refusal"),
        ResponseFacts(stream_end="done_marker", usage=Usage(output_tokens=7)),
    ],
)
def test_an_answer_without_a_word_that_says_why_is_no_empty_one(facts):
    assert classify(good(facts=facts, saw_content=False)).outcome == "ok"


def test_a_provider_that_gives_up_says_so_by_its_finish_reason():
    gave_up = good(facts=ResponseFacts(finish_reason="insufficient_system_resource", finish_class="error"))
    wrote_badly = good(facts=ResponseFacts(finish_reason="MALFORMED_FUNCTION_CALL", finish_class="error"))

    assert (classify(gave_up).outcome, classify(gave_up).rule) == ("server_error", "body:finish_reason")
    assert classify(wrote_badly).outcome == "ok"


@pytest.mark.parametrize(
    ("content_type", "body", "rule"),
    [
        ("text/html", b"<html>", "body:not_json"),
        ("application/json", b'{"id":', "body:not_json"),
        ("", b"", "body:empty"),
    ],
)
def test_a_good_status_with_a_body_that_cannot_be_read_is_a_bad_answer(content_type, body, rule):
    reader = OPENAI_CHAT.reader(AnswerHead(status=200, content_type=content_type))
    reader.feed(body)
    outcome = classify(good(facts=reader.finish(clean=True)), kind="openai")

    assert (outcome.outcome, outcome.rule, outcome.fallback) == ("bad_upstream_body", rule, "yes")


def test_an_app_that_left_is_nobodys_fault_but_its_own_and_no_rule_speaks_of_it():
    always = OutcomeRule(name="always", outcome="billing")
    outcome = classify(good(client_left=True), always)

    assert (outcome.outcome, outcome.word, outcome.fault) == ("cancelled_by_client", "cancelled", "client")
    assert outcome.final


# Rules of the operator's.

BALANCE = OutcomeRule(
    name="balance",
    statuses=((200, 200),),
    json=(JsonMatch(path=("base_resp", "status_code"), text=TextMatch(values=("1008",))),),
    outcome="billing",
)
SCHEMA = OutcomeRule(name="schema", schema_asked=True, answer_is_json=False, outcome="bad_upstream_body")


def test_a_rule_reads_the_body_of_a_good_answer():
    seen = good(body=b'{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}')
    outcome = classify(seen, BALANCE)

    assert (outcome.outcome, outcome.rule, outcome.fallback, outcome.fault) == (
        "billing",
        "rule:balance",
        "yes",
        "account",
    )
    assert classify(good(body=b'{"base_resp":{"status_code":0}}'), BALANCE).rule == "ok"


def test_a_rule_sees_that_json_was_asked_for_and_not_given():
    assert classify(good(schema_asked=True, answer_text="Sure! {}"), SCHEMA).outcome == "bad_upstream_body"
    assert classify(good(schema_asked=True, answer_text='{"a":1}'), SCHEMA).outcome == "ok"
    assert classify(good(schema_asked=False, answer_text="Sure!"), SCHEMA).outcome == "ok"
    assert classify(good(schema_asked=True), SCHEMA).outcome == "ok"


def test_the_first_rule_that_holds_decides_and_before_any_built_in_one():
    seen = stated(code="1008")
    first = OutcomeRule(name="first", outcome="overloaded")
    second = OutcomeRule(name="second", outcome="timeout")

    assert classify(seen, first, second).rule == "rule:first"
    assert classify(seen, OutcomeRule(name="fine", outcome="ok")).outcome == "ok"


def test_a_rule_keeps_what_the_provider_said_and_can_say_what_to_do():
    rule = OutcomeRule(name="r", outcome="server_error", retry_same="no", fallback="no", fault="account")
    outcome = classify(stated(code="1008", message="no money"), rule)

    assert (outcome.error.code, outcome.error.message) == ("1008", "no money")
    assert (outcome.retry_same, outcome.fallback, outcome.fault) == ("no", "no", "account")


def test_no_rule_allows_what_is_too_late():
    rule = OutcomeRule(name="r", outcome="server_error", retry_same="yes", fallback="yes")
    outcome = classify(good(content_sent=True), rule)

    assert (outcome.retry_same, outcome.fallback) == ("no", "no")


def test_a_classifier_says_what_its_rules_look_at():
    assert (NO_RULES.reads_bodies, NO_RULES.reads_answer_text, NO_RULES.headers) == (False, False, frozenset())
    assert Classifier([BALANCE]).reads_bodies
    assert Classifier([SCHEMA]).reads_answer_text


@pytest.mark.parametrize(
    ("seen", "billed"),
    [
        (good(facts=ResponseFacts(usage=Usage(input_tokens=3))), True),
        (good(saw_content=True), True),
        (good(), None),
        (stated(429, code="1002"), False),
        (stated(500, code="1000"), False),
        (stated(200, code="1000"), None),
        (Seen(provider="minimax", trouble=Trouble(phase="connect")), False),
        (Seen(provider="minimax", trouble=Trouble(phase="first_byte", timed_out=True)), None),
        (Seen(provider="minimax", trouble=Trouble(phase="first_byte")), None),
        (Seen(provider="minimax", trouble=Trouble(phase="shutdown")), None),
    ],
)
def test_what_was_billed_is_known_where_it_can_be(seen, billed):
    assert classify(seen).billed is billed


def test_rules_survive_the_way_to_a_worker():
    routing = Routing(outcomes=(BALANCE, SCHEMA))

    assert msgspec.json.decode(msgspec.json.encode(routing), type=Routing) == routing


PHASES = ("connect", "request", "first_byte", "head", "idle", "answer", "shutdown", "hedge")


@given(
    st.integers(0, 599),
    st.none() | st.builds(Trouble, phase=st.sampled_from(PHASES), timed_out=st.booleans()),
    st.none() | st.builds(ErrorSeen, status=st.integers(0, 599), code=st.none() | st.text(max_size=5)),
    st.sampled_from([None, "done_marker", "eof", "error", "truncated"]),
    st.booleans(),
    st.binary(max_size=20),
    st.sampled_from(KINDS),
)
def test_everything_has_an_outcome_and_nothing_is_tried_again_after_content(
    status, trouble, error, end, sent, body, kind
):
    seen = Seen(
        provider=kind,
        status=status,
        trouble=trouble,
        facts=ResponseFacts(error=error, stream_end=end),
        content_sent=sent,
        body=body,
    )
    outcome = classify(seen, BALANCE, kind=kind)

    assert (outcome.outcome == "ok") == (outcome.error is None)
    assert not sent or (outcome.retry_same, outcome.fallback) == ("no", "no")
    assert outcome.outcome == "ok" or not sent or outcome.final


@given(
    st.sampled_from([0, 101, 200, 204, 299, 301, 400, 503]),
    st.none() | st.builds(ErrorSeen, status=st.sampled_from([200, 429])),
    st.sampled_from([None, "done_marker", "message_stop", "eof", "error", "truncated"]),
    st.sampled_from([None, "", "stop", "length", "Error", "insufficient_system_resource"]),
    st.sampled_from([None, "", "empty", "not_json", "event_too_long"]),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
)
def test_what_is_good_at_first_sight_is_what_a_longer_look_says(status, error, end, reason, unread, tokens, saw, sent):
    usage = Usage(output_tokens=tokens or None)
    facts = ResponseFacts(error=error, stream_end=end, finish_reason=reason, unread=unread, usage=usage)
    at_once = plainly_good(status, facts, saw_content=saw)
    seen = Seen(provider="p", dialect="openai.chat", status=status, facts=facts, saw_content=saw, content_sent=sent)
    looked = classify(seen)

    assert at_once in {None, looked}
    assert at_once is not None or not (looked.outcome == "ok" and looked.billed and 200 <= status < 300 and not unread)
