import gzip
import json
import zlib

import pytest

from proxy.sandbox.errors import openai_failure
from proxy.sandbox.exchange import batches, event, refuse, stream, whole
from proxy.sandbox.words import NOTICE, NOTICE_HEADER
from tests.fakes.sandbox_asks import ask, body_of, events_of

HI = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
EVENTS = [event({"text": "x" * 99, "id": number}) for number in range(6)]


@pytest.mark.parametrize(
    ("path", "model", "flavour"),
    [
        ("/v1/chat/completions", "gpt-4o", "openai"),
        ("/v1/chat/completions", "MiniMax-M3", "minimax"),
        ("/v1/text/chatcompletion_v2", "M2-her", "minimax"),
        ("/minimax-cn/v1/chat/completions", "gpt-4o", "minimax"),
        ("/minimax/anthropic/v1/messages", "anything", "minimax"),
        ("/anthropic/v1/messages", "MiniMax-M3", "minimax"),
        ("/anthropic/v1/messages", "claude-haiku-4-5", "anthropic"),
        ("/v1/messages", "claude-haiku-4-5", "anthropic"),
        ("/chat/completions", "deepseek-chat", "deepseek"),
        ("/openrouter/api/v1/chat/completions", "MiniMax-M3", "openrouter"),
        ("/api/v1/chat/completions", "openai/gpt-4o-mini", "openrouter"),
        ("/llmapi/v1/chat/completions", "MiniMax-M3", "openai"),
        ("/openai/deployments/prod-4o/chat/completions", "", "azure"),
        ("/azure/openai/deployments/prod-4o/chat/completions", "", "azure"),
    ],
)
def test_the_path_says_whose_habits_an_answer_has_and_else_the_model_does(path, model, flavour):
    assert ask(path, {"model": model}).flavour == flavour


def test_the_model_of_an_azure_call_stands_in_the_path():
    assert ask("/openai/deployments/prod-4o/chat/completions", {}).model == "prod-4o"
    assert ask("/openai/deployments", {}).model == ""


def test_what_is_said_does_not_depend_on_how_it_is_delivered():
    asked = [
        ask("/v1/chat/completions", HI),
        ask("/v1/chat/completions", {**HI, "stream": True, "stream_options": {"include_usage": True}}),
        ask("/v1/chat/completions", {**HI, "user": "sandbox:pace_ms=1"}, wishes="ttfb_ms=1"),
        ask("/v1/chat/completions", dict(reversed(HI.items()))),
    ]
    assert len({one.draw.hex(40) for one in asked}) == 1


def test_what_is_said_depends_on_the_seed_and_the_request():
    asked = [ask("/", HI), ask("/", HI, seed=2), ask("/", {**HI, "model": "gpt-5"})]
    assert len({one.draw.hex(40) for one in asked}) == 3


@pytest.mark.parametrize(
    ("headers", "bad"),
    [
        ({"authorization": "Bearer bad"}, True),
        ({"x_api_key": "bad"}, True),
        ({"api_key": "bad"}, True),
        ({"authorization": "Bearer badger"}, False),
        ({}, False),
    ],
)
def test_only_a_key_named_bad_is_refused(headers, bad):
    assert ask("/", HI, **headers).key_is_bad is bad


def test_every_answer_says_that_it_is_simulated():
    one = ask("/", HI)
    for answer in (whole(one, {}, {}), stream(one, {}, EVENTS), refuse(one, {}, openai_failure("429"))):
        assert answer.headers[NOTICE_HEADER] == NOTICE


def test_a_whole_body_is_compact_json_in_order():
    answer = whole(ask("/", HI), {"x-request-id": "r"}, {"b": 1, "a": "é"})
    assert answer.parts == ('{"b":1,"a":"é"}'.encode(),)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "r"


@pytest.mark.parametrize("wish", ["cut", "stall"])
def test_a_body_that_breaks_off_announces_its_whole_length(wish):
    answer = whole(ask("/", HI, wishes=wish), {}, {"text": "x" * 100})
    assert answer.ending == wish
    assert len(answer.parts[0]) == answer.length_bytes // 2


@pytest.mark.parametrize("wish", ["cut", "stall"])
def test_a_stream_that_breaks_off_has_half_of_its_events(wish):
    answer = stream(ask("/", HI, wishes=wish), {}, EVENTS)
    assert (answer.ending, answer.parts) == (wish, tuple(EVENTS[:3]))


def test_a_failure_ends_a_stream_after_half_of_its_events():
    assert stream(ask("/", HI), {}, EVENTS, failure=b"failure").parts == (*EVENTS[:3], b"failure")


@pytest.mark.parametrize("wish", ["cut", "malformed"])
def test_a_fault_stands_at_the_same_place_whatever_closes_the_stream(wish):
    asked = ask("/", HI, wishes=wish)
    faulty = [stream(asked, {}, EVENTS, closing).parts for closing in ([], [b"usage"], [b"usage", b"done"])]
    assert {parts[:4] for parts in faulty} == {faulty[0][:4]}


def test_a_malformed_stream_has_one_bad_event_in_its_middle():
    parts = stream(ask("/", HI, wishes="malformed"), {}, EVENTS).parts
    assert parts[:3] + parts[4:] == tuple(EVENTS)
    assert parts[3].endswith(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(parts[3].removeprefix(b"data: "))


def test_a_malformed_body_stops_early_with_a_length_that_fits():
    answer = whole(ask("/", HI, wishes="malformed"), {}, {"text": "x" * 100})
    with pytest.raises(json.JSONDecodeError):
        body_of(answer)


def test_an_empty_answer_has_no_body():
    assert whole(ask("/", HI, wishes="empty"), {}, {}).length_bytes == 0
    assert stream(ask("/", HI, wishes="empty"), {}, EVENTS).parts == ()
    assert stream(ask("/", HI, wishes="empty,malformed"), {}, EVENTS).parts == ()


def test_gzip_encodes_the_same_bytes_every_time():
    one = ask("/", HI, wishes="gzip")
    answer = whole(one, {}, {"text": "x"})
    assert body_of(answer) == {"text": "x"}
    assert answer == whole(one, {}, {"text": "x"})
    assert events_of(stream(one, {}, EVENTS)) == [{"text": "x" * 99, "id": number} for number in range(6)]


def test_each_event_of_a_gzip_stream_can_be_decoded_when_it_comes():
    answer = stream(ask("/", HI, wishes="gzip"), {}, EVENTS)
    press = zlib.decompressobj(wbits=31)
    assert [press.decompress(part) for part in answer.parts[:6]] == EVENTS
    assert gzip.decompress(b"".join(answer.parts)) == b"".join(EVENTS)


def test_an_error_says_when_to_come_back():
    limited = openai_failure("429")
    assert refuse(ask("/", HI), {}, limited).headers["retry-after"] == "1"
    assert "retry-after" not in refuse(ask("/", HI), {}, openai_failure("400")).headers
    assert "retry-after" not in refuse(ask("/minimax/x", HI), {}, limited).headers
    asked = refuse(ask("/", HI, wishes="retry_after_ms=20"), {}, limited).headers
    assert (asked["retry-after"], asked["retry-after-ms"]) == ("1", "20")


def test_batches_join_tokens():
    assert batches(["a", "b", "c"], 2) == ["ab", "c"]
    assert batches(["a", "b"], 0) == ["a", "b"]
    assert batches([], 1) == []
