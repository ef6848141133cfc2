"""Calls are shared out among keys by weight, around those that the provider refuses or slows down."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.keys import LONGEST_S, REFUSED_S, SLOWED_S, UpstreamKey, UpstreamKeys, retry_after_s


def keys(*weights):
    return UpstreamKeys([UpstreamKey(name=f"k{n}", secret=f"s{n}", weight=weight) for n, weight in enumerate(weights)])


def chosen(of, now_s=0.0):
    key = of.choose(now_s)
    return key and key.name


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5))
def test_in_every_round_of_calls_each_key_has_exactly_its_share(weights):
    of = keys(*weights)

    for _ in range(3):
        counts = Counter(chosen(of) for _ in range(sum(weights)))
        assert counts == {f"k{n}": weight for n, weight in enumerate(weights)}


def test_a_heavy_key_does_not_take_its_calls_in_a_row():
    of = keys(2, 1)

    assert [chosen(of) for _ in range(6)] == ["k0", "k1", "k0", "k0", "k1", "k0"]


def test_none_and_one_need_no_choice():
    one = keys(1)
    one.learn(one.all[0], "auth", 0.0)

    assert chosen(keys()) is None
    assert chosen(one) == "k0"
    assert not one.several


@pytest.mark.parametrize(
    ("error", "retry_after", "aside_s"),
    [
        ("auth", None, REFUSED_S),
        ("auth", 1.0, REFUSED_S),
        ("billing", None, REFUSED_S),
        ("quota_exhausted", None, REFUSED_S),
        ("rate_limit", None, SLOWED_S),
        ("rate_limit", 2.0, 2.0),
        ("rate_limit", 10.0**8, LONGEST_S),
        ("server_error", None, 0.0),
        ("permission", None, 0.0),
    ],
)
def test_a_key_is_left_alone_for_as_long_as_its_error_says(error, retry_after, aside_s):
    of = keys(1, 1)

    of.learn(of.all[0], error, 100.0, retry_after)

    if aside_s:
        assert {chosen(of, 100.0 + aside_s - 0.1) for _ in range(4)} == {"k1"}
    assert {chosen(of, 100.0 + aside_s + 0.1) for _ in range(4)} == {"k0", "k1"}


def test_a_later_error_does_not_shorten_the_time():
    of = keys(1, 1)
    of.learn(of.all[0], "auth", 0.0)
    of.learn(of.all[0], "rate_limit", 0.0, 1.0)

    assert of.aside(2.0) == ("k0",)


def test_when_all_are_aside_the_one_that_comes_back_first_is_taken():
    of = keys(1, 1, 1)
    for key, wait_s in zip(of.all, (30.0, 5.0, 20.0), strict=True):
        of.learn(key, "rate_limit", 0.0, wait_s)

    assert {chosen(of, 1.0) for _ in range(3)} == {"k1"}


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (b"Retry-After: 7\r\n", 7.0),
        (b"X: 1\r\nretry-after:12\r\nY: 2\r\n", 12.0),
        (b"retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n", None),
        (b"retry-after: -1\r\n", None),
        (b"retry-after: 99999999999999\r\n", None),
        (b"x-retry-after: 5\r\n", None),
        (b"", None),
    ],
)
def test_how_long_to_wait_is_read_where_it_is_a_number(lines, seconds):
    assert retry_after_s(b"HTTP/1.1 429 Slow\r\n" + lines + b"\r\n") == seconds


def test_what_is_printed_of_a_key_holds_no_key():
    assert "s0" not in repr(keys(1).all[0])
