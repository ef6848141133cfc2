"""What is taken for used where nobody will ever tell."""

import pytest

from proxy.core.presumed import MAX_TEXT_BYTES, estimated_usage, held_usage
from proxy.core.record import Hold
from proxy.core.usage import NO_USAGE


def estimated(**fields):
    values = {"model": "m", "dialect": "openai.chat", "request_bytes": 4001, "max_output_tokens": 50, "origin": "o"}
    return estimated_usage(**values | fields)


def test_a_request_is_four_bytes_to_a_token_and_its_own_limit():
    usage = estimated()
    assert (usage.input_tokens, usage.output_tokens, usage.source, usage.origin) == (1001, 50, "estimated", "o")


@pytest.mark.parametrize(
    "fields", [{"model": ""}, {"dialect": ""}, {"request_bytes": 0}, {"request_bytes": MAX_TEXT_BYTES + 1}]
)
def test_where_the_request_says_too_little_nothing_is_made_up(fields):
    assert estimated(**fields) == NO_USAGE


def test_what_was_held_is_the_bound():
    usage = held_usage(Hold(input_tokens=7, output_tokens=9), "hold")
    assert (usage.input_tokens, usage.output_tokens, usage.origin, usage.complete) == (7, 9, "hold", False)
    assert held_usage(Hold(), "hold") == NO_USAGE
