import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.demand import Demand, Refused
from policies.limit_headers import duration_text, limit_headers

MINUTE_NS = 60 * 10**9
NOW_NS = 1_795_545_000 * 10**9


def refused(unit="calls", gone=60, **more):
    fields = {
        "counter": "limit:rpm",
        "family": "limit:rpm",
        "policy": "limit:rpm",
        "kind": "rate",
        "unit": unit,
        "amount": 1,
        "limit": 60,
        "stated": 60,
        "per_ns": MINUTE_NS,
    }
    return Refused(demand=Demand(**fields | more), spent=gone, allowed=60)


@pytest.mark.parametrize("dialect", ["openai.chat", "openai.responses", "minimax.native", ""])
def test_openai_s_manner_is_for_all_but_anthropic(dialect):
    assert limit_headers(refused(), dialect, NOW_NS) == (
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1m0s"),
    )


def test_anthropic_s_manner():
    assert limit_headers(refused(), "anthropic.messages", NOW_NS) == (
        ("anthropic-ratelimit-requests-limit", "60"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-11-24T18:31:00Z"),
    )


@pytest.mark.parametrize(
    ("unit", "openai", "anthropic"),
    [
        ("tokens", "tokens", "tokens"),
        ("input_tokens", "tokens", "input-tokens"),
        ("output_tokens", "tokens", "output-tokens"),
    ],
)
def test_tokens_have_names_of_their_own(unit, openai, anthropic):
    assert limit_headers(refused(unit), "openai.chat", NOW_NS)[0][0] == f"x-ratelimit-limit-{openai}"
    assert limit_headers(refused(unit), "anthropic.messages", NOW_NS)[0][0] == f"anthropic-ratelimit-{anthropic}-limit"


def test_a_burst_is_the_limit_and_fills_at_the_stated_pace():
    found = dict(limit_headers(refused(gone=100, limit=120), "openai.chat", NOW_NS))
    assert list(found.values()) == ["120", "20", "1m40s"]


@pytest.mark.parametrize("more", [{"kind": "concurrent", "unit": "concurrent"}, {"kind": "budget"}, {"unit": "USD"}])
def test_what_is_no_pace_of_calls_or_tokens_says_nothing(more):
    assert limit_headers(refused(**more), "openai.chat", NOW_NS) == ()


def test_a_ledger_that_does_not_answer_has_no_figures():
    assert limit_headers(Refused(demand=refused().demand, unavailable=True), "openai.chat", NOW_NS) == ()


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0ms"),
        (1, "1ms"),
        (270 * 10**6, "270ms"),
        (1500 * 10**6, "1.5s"),
        (360 * 10**9, "6m0s"),
        (3600 * 10**9, "1h0m0s"),
        (61_050 * 10**6, "1m1.05s"),
    ],
)
def test_durations_are_written_as_openai_writes_them(ns, text):
    assert duration_text(ns) == text


@given(st.integers(0, 10**17))
def test_a_duration_is_never_shorter_than_it_is(ns):
    hours, minutes, seconds, ms = re.fullmatch(
        r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:(\d+)ms)?", duration_text(ns)
    ).groups(default="0")
    told_ms = int(hours) * 3_600_000 + int(minutes) * 60_000 + round(float(seconds) * 1000) + int(ms)
    assert ns <= told_ms * 10**6 < ns + 10**6


@given(st.integers(-10, 10**9), st.integers(1, 10**9), st.sampled_from(["openai.chat", "anthropic.messages"]))
def test_what_remains_lies_between_nothing_and_the_limit(gone, limit, dialect):
    (_, stated), (_, remaining), _ = limit_headers(refused(gone=gone, limit=limit), dialect, NOW_NS)
    assert 0 <= int(remaining) <= int(stated) == limit
