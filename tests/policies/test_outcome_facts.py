"""The end of an answer is read off what was seen."""

import pytest

from policies.outcome_facts import Seen, Trouble
from proxy.core.errors import ErrorSeen
from proxy.core.facts import ResponseFacts
from proxy.core.usage import Usage


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({"trouble": Trouble(phase="idle", timed_out=True)}, "stalled"),
        ({"trouble": Trouble(phase="answer")}, "broken"),
        ({"trouble": Trouble(phase="connect"), "status": 0}, None),
        ({"facts": ResponseFacts(stream_end="done_marker"), "saw_content": False}, "empty"),
        ({"facts": ResponseFacts(stream_end="done_marker"), "saw_content": True}, "done_marker"),
        ({"facts": ResponseFacts(unread="empty")}, "empty"),
        ({}, None),
    ],
)
def test_the_end_of_an_answer_has_a_name(more, end):
    assert Seen(**{"provider": "minimax", "status": 200} | more).end == end


@pytest.mark.parametrize(
    "more",
    [
        {"status": 500},
        {"status": 0},
        {"saw_content": None},
        {"trouble": Trouble(phase="answer")},
        {"facts": ResponseFacts(stream_end="done_marker", error=ErrorSeen(status=200))},
        {"facts": ResponseFacts(stream_end="done_marker", finish_reason="stop")},
        {"facts": ResponseFacts(stream_end="done_marker", usage=Usage(output_tokens=1))},
        {"facts": ResponseFacts(stream_end="truncated")},
        {"facts": ResponseFacts()},
    ],
)
def test_an_answer_is_empty_only_if_it_ends_well_and_says_nothing_at_all(more):
    empty = {"provider": "minimax", "status": 200, "saw_content": False}
    assert Seen(**empty, facts=ResponseFacts(stream_end="done_marker")).is_empty

    assert not Seen(**{"facts": ResponseFacts(stream_end="done_marker")} | empty | more).is_empty
