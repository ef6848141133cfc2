from types import SimpleNamespace

import msgspec
import pytest

from policies.clamp import with_limit
from policies.facts import CallFacts
from proxy.clamping import Lowered
from proxy.core.facts import RequestFacts
from proxy.core.record import Caller

FACTS = CallFacts(provider="p", operation="chat", request=RequestFacts(model="m"), caller=Caller())
BODY = b'{"max_tokens":900}'


def call(**more):
    fields = {"dialect_name": "openai.chat", "operation": "chat", "content_encoding": b""} | more
    kind = SimpleNamespace(kind=SimpleNamespace(kind="openai"))
    place = SimpleNamespace(shared=SimpleNamespace(content_encoding=fields.pop("content_encoding")))
    return SimpleNamespace(upstream=kind, place=place, **fields)


def test_nothing_is_said_of_a_body_that_is_as_it_came():
    lowered = Lowered(BODY)
    assert (lowered.edited, lowered.changes, lowered.head_lines) == (None, (), b"")


def test_a_lowered_body_says_so_to_the_app_and_to_the_record():
    lowered = Lowered(BODY)
    assert lowered.lower(call(), with_limit(FACTS, 100))
    assert lowered.edited == b'{"max_tokens":100}'
    assert lowered.changes == ("clamped=100",)
    assert lowered.head_lines == b"x-taximeter-clamped: max_tokens=100\r\n"


def test_a_further_budget_lowers_it_further_but_not_for_ever():
    lowered = Lowered(BODY)
    assert [lowered.lower(call(), with_limit(FACTS, tokens)) for tokens in (500, 400, 300, 200, 100)] == [True] * 4 + [
        False
    ]
    assert lowered.changes == ("clamped=200",)


@pytest.mark.parametrize(
    ("body", "facts", "more"),
    [
        (None, with_limit(FACTS, 100), {}),
        (BODY, FACTS, {}),
        (BODY, with_limit(FACTS, 100), {"content_encoding": b"gzip"}),
        (b"[]", with_limit(FACTS, 100), {}),
        (BODY, with_limit(FACTS, 100), {"dialect_name": ""}),
    ],
)
def test_what_cannot_be_lowered_without_doubt_is_not(body, facts, more):
    lowered = Lowered(body)
    assert not lowered.lower(call(**more), facts)
    assert lowered.edited is None


def test_facts_stay_what_they_were_but_for_the_limit():
    assert msgspec.structs.replace(with_limit(FACTS, 5).request, max_output_tokens=None) == FACTS.request
