import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sandbox.controls import MAX_TOKENS, ControlError, Controls, strip_field, take_controls


def controls_of(body, header=""):
    return take_controls(body, {"x-sandbox": header})[1]


def test_without_wishes_the_defaults_hold_and_the_body_is_kept():
    body = {"model": "gpt-4o", "user": "ana", "metadata": {"user_id": "u-1"}}
    assert take_controls(body, {}) == (body, Controls())


def test_the_header_is_a_list_of_pairs_and_flags():
    wishes = controls_of({}, " ttfb_ms=300, pace_ms=1.5 ,tokens=7, CUT , gzip=0,error=stream:1027")
    assert wishes == Controls(ttfb_ms=300, pace_ms=1.5, tokens=7, cut=True, gzip=False, error="stream:1027")


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        ({"model": "gpt-4o#sandbox:tokens=7"}, {"model": "gpt-4o"}),
        ({"model": "gpt-4o sandbox:tokens=7"}, {"model": "gpt-4o"}),
        ({"user": "sandbox:tokens=7"}, {}),
        ({"user": "ana sandbox:tokens=7"}, {"user": "ana"}),
        ({"safety_identifier": "sandbox:tokens=7"}, {}),
        ({"metadata": {"user_id": "u-1@sandbox:tokens=7"}}, {"metadata": {"user_id": "u-1"}}),
    ],
)
def test_a_field_carries_controls_at_its_end_and_is_read_without_them(body, plain):
    assert take_controls(body, {}) == (plain, Controls(tokens=7))


def test_the_header_wins_over_the_model_and_the_model_over_the_user():
    body = {"model": "m#sandbox:tokens=2,pace_ms=2", "user": "sandbox:tokens=1,pace_ms=1,ttfb_ms=1"}
    wishes = controls_of(body, "tokens=3")
    assert (wishes.tokens, wishes.pace_ms, wishes.ttfb_ms) == (3, 2, 1)


@pytest.mark.parametrize("model", ["mysandbox:tokens=1", "sandbox", "sandbox: tokens=1", "sandbox:tokens=1 more"])
def test_what_only_looks_like_controls_is_a_name(model):
    assert strip_field(model) == (model, None)


@pytest.mark.parametrize("wish", ["colour=red", "tokens", "tokens=x", "tokens=-1", "tokens=1.5", "pace_ms=nan"])
def test_a_wish_nobody_can_fulfil_is_an_error_that_names_it(wish):
    with pytest.raises(ControlError, match=wish.split("=")[0]):
        controls_of({}, wish)


def test_the_longest_answer_is_bounded():
    assert controls_of({}, f"tokens={MAX_TOKENS}").tokens == MAX_TOKENS
    with pytest.raises(ControlError):
        controls_of({}, f"tokens={MAX_TOKENS + 1}")


@given(st.text())
def test_any_header_gives_controls_or_a_control_error(text):
    with contextlib.suppress(ControlError):
        assert isinstance(controls_of({}, text), Controls)


@given(st.dictionaries(st.sampled_from(["model", "user", "metadata"]), st.none() | st.text() | st.integers()))
def test_any_field_may_have_any_type(body):
    try:
        take_controls(body, {})
    except ControlError:
        assert "sandbox:" in str(body).lower()
