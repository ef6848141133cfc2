"""What is held of a call under way stays ahead of what it has used, and no further ahead than it has to be."""

from hypothesis import given
from hypothesis import strategies as st

from policies.steps import END_AT, EXTEND_AT, Step

SIZES = st.integers(1, 10**9)
USED = st.integers(0, 10**12)


@given(SIZES, USED)
def test_so_many_steps_are_held_that_no_more_than_the_stated_share_is_used(each, used):
    steps = Step("tokens", each, 5, cut=True).needed(used)

    assert used * 100 <= steps * each * EXTEND_AT
    assert steps == 1 or used * 100 > (steps - 1) * each * EXTEND_AT


@given(SIZES, USED, st.integers(1, 1000))
def test_a_hold_is_used_up_a_little_before_its_end(each, used, held):
    step = Step("bytes", each, 5, cut=True)

    assert step.is_used_up(used, held) == (used >= held * each * END_AT / 100)
    assert not step.is_used_up(0, held)
