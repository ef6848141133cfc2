import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.prices.match import intersect, matches, rank

GLOBS = st.text("ab*?", max_size=4)
NAMES = ["".join(letters) for length in range(9) for letters in itertools.product("ab", repeat=length)]


@pytest.mark.parametrize(
    ("glob", "name", "covered"),
    [
        ("minimax-m3", "minimax-m3", True),
        ("minimax-m3", "minimax-m3.1-flash", False),
        ("speech-*-hd", "speech-2.8-hd", True),
        ("speech-*-hd", "speech-2.8-hd-preview", False),
        ("speech-*", "speech-", True),
        ("m?", "m3", True),
        ("m?", "m", False),
        ("*", "anything/at:all\n", True),
        ("gpt-4.1", "gpt-4x1", False),
        ("[a-z]+", "a", False),
    ],
)
def test_a_glob_covers_the_whole_name(glob, name, covered):
    assert matches(glob, name) is covered


def test_a_plain_name_is_narrower_than_a_glob_and_more_letters_than_fewer():
    assert rank("m3") > rank("minimax-m3*") > rank("minimax-*") > rank("*")


@given(GLOBS, GLOBS)
def test_two_globs_intersect_if_some_name_is_covered_by_both(one, other):
    shared = any(matches(one, name) and matches(other, name) for name in NAMES)

    # Globs of up to four letters that share a name share one of at most eight: those of both in a row.
    assert intersect(one, other) == shared


@given(GLOBS, GLOBS)
def test_intersection_has_no_sides(one, other):
    assert intersect(one, other) == intersect(other, one)


def test_many_stars_do_not_stop_the_clock():
    assert not matches("*" * 200 + "x", "a" * 256)
