from hypothesis import given
from hypothesis import strategies as st

from proxy.sandbox.controls import Controls
from proxy.sandbox.reply import Tool, Wish, compose
from proxy.sandbox.words import MARKER, Draw

PLAIN = Controls()
WEATHER = Tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
CLOCK = Tool("get_time", {"type": "object"})

wishes = st.builds(
    Wish,
    max_tokens=st.none() | st.integers(-3, 80),
    stops=st.lists(st.sampled_from(["e", " the", ".", "[", "zzz", ""]), max_size=2).map(tuple),
    tools=st.just((WEATHER, CLOCK)),
    calls=st.integers(0, 3),
    introduces_calls=st.booleans(),
    reasons=st.booleans(),
    schema=st.none() | st.just({"type": "object", "properties": {"a": {"type": "string"}}}),
)


@given(wishes, st.builds(Controls, tokens=st.none() | st.integers(0, 90)), st.integers())
def test_an_answer_is_never_longer_than_its_limit(wish, controls, key):
    reply = compose(wish, controls, Draw(key))
    if wish.max_tokens is not None:
        assert reply.output_tokens <= max(0, wish.max_tokens)
    assert reply == compose(wish, controls, Draw(key))


def test_a_text_has_the_length_that_was_asked_for_and_stops_by_itself():
    reply = compose(Wish(), Controls(tokens=30), Draw("key"))
    assert (len(reply.text), reply.finish, reply.output_tokens) == (30, "stop", 30)
    assert "".join(reply.text).startswith(f"{MARKER} simulated answer:")


def test_a_limit_cuts_the_text_and_says_length():
    reply = compose(Wish(max_tokens=5), Controls(tokens=30), Draw("key"))
    assert (len(reply.text), reply.finish) == (5, "length")


def test_a_limit_is_used_up_by_reasoning_first():
    reply = compose(Wish(max_tokens=10, reasons=True), Controls(tokens=30, reasoning=50), Draw("key"))
    assert (len(reply.reasoning), len(reply.text), reply.finish) == (10, 0, "length")


def test_the_first_stop_sequence_ends_the_text_before_itself():
    full = "".join(compose(Wish(), Controls(tokens=60), Draw("key")).text)
    reply = compose(Wish(stops=("zzz", ".", " simulated answer")), Controls(tokens=60), Draw("key"))
    assert ("".join(reply.text), reply.finish, reply.stop) == (MARKER, "stop_sequence", " simulated answer")
    later = compose(Wish(stops=(".",)), Controls(tokens=60), Draw("key"))
    assert "".join(later.text) == full[: full.index(".")]


def test_a_stop_sequence_inside_the_marker_does_not_silence_it():
    assert compose(Wish(stops=("[", "sand")), PLAIN, Draw("key")).text[0] == MARKER


def test_calls_have_arguments_that_their_schema_accepts_and_take_turns_over_the_tools():
    reply = compose(Wish(tools=(WEATHER, CLOCK), calls=3), PLAIN, Draw("key"))
    assert [call.name for call in reply.calls] == ["get_weather", "get_time", "get_weather"]
    assert list(reply.calls[0].arguments) == ["city"]
    assert (reply.text, reply.finish) == ((), "tool")


def test_calls_that_do_not_fit_the_limit_are_left_out():
    reply = compose(Wish(tools=(WEATHER,), calls=1, max_tokens=3), PLAIN, Draw("key"))
    assert (reply.calls, reply.finish) == ((), "length")


def test_a_schema_makes_the_text_json():
    reply = compose(Wish(schema={"type": "object", "properties": {"a": {"const": 1}}}), PLAIN, Draw("key"))
    assert "".join(reply.text) == '{"a":1}'
