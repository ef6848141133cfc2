"""A breaker moves by its table and by nothing else, and standings of several workers are one."""

from itertools import product
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.breaker import (
    NS_PER_MS,
    TRANSITIONS,
    WELL,
    Event,
    Standing,
    State,
    at,
    bearing,
    joined,
    later,
    moved,
    open_ms,
    share,
)
from policies.outcome_facts import Outcome
from policies.routes_compiled import ALL, BreakerRule
from proxy.core.errors import REMEDIES

RULE = BreakerRule(open_ms=1000, open_most_ms=10_000, slow_start_ms=4000, slow_start_share=1000)
NOW_NS = 10**18
STATES, EVENTS = get_args(State), get_args(Event)
standings = st.builds(
    Standing,
    state=st.sampled_from(STATES),
    since_ns=st.integers(0, 5),
    until_ns=st.integers(0, 5),
    trips=st.integers(0, 3),
    ordered_ns=st.integers(0, 3),
    moves=st.integers(0, 3),
)


@pytest.mark.parametrize(("state", "event"), list(product(STATES, EVENTS)))
def test_an_event_that_is_not_in_the_table_changes_nothing(state, event):
    before = Standing(state=state, since_ns=1, until_ns=2, trips=1)
    after = moved(before, event, RULE, NOW_NS)

    if (state, event) in TRANSITIONS:
        assert (after.state, after.since_ns, after.moves) == (TRANSITIONS[state, event], NOW_NS, 1)
    else:
        assert after is before


def test_every_state_can_be_reached_and_left():
    assert set(TRANSITIONS.values()) == set(STATES)
    assert {state for state, _ in TRANSITIONS} == set(STATES)


def test_a_breaker_opens_then_lets_probes_through_then_more_and_more_then_all():
    opened = moved(WELL, "tripped", RULE, NOW_NS)
    until_ns = NOW_NS + 1000 * NS_PER_MS
    assert at(opened, RULE, until_ns - 1) is opened

    half_open = at(opened, RULE, until_ns)
    assert half_open.state == "half_open"
    slow = moved(half_open, "probed_well", RULE, until_ns)
    shares = [share(slow, RULE, until_ns + after_ms * NS_PER_MS) for after_ms in (-1, 0, 1000, 2000, 4000)]
    assert shares == [1000, 1000, 3250, 5500, 10_000]

    closed = at(slow, RULE, slow.until_ns)
    assert (closed.state, closed.trips, share(closed, RULE, slow.until_ns)) == ("closed", 0, ALL)


def test_who_fails_again_at_once_waits_twice_as_long_up_to_a_limit():
    standing = WELL
    waits_ms = []
    for _ in range(6):
        standing = moved(standing, "tripped" if standing.state == "closed" else "probe_failed", RULE, NOW_NS)
        waits_ms.append((standing.until_ns - NOW_NS) // NS_PER_MS)
        standing = at(standing, RULE, standing.until_ns)

    assert waits_ms == [1000, 2000, 4000, 8000, 10_000, 10_000]
    assert open_ms(RULE, 10**9) == 10_000


def test_without_slow_start_a_breaker_closes_at_once():
    rule = BreakerRule(slow_start_ms=0)

    assert moved(Standing(state="half_open"), "probed_well", rule, NOW_NS).state == "closed"
    assert moved(Standing(state="draining"), "restore", rule, NOW_NS).state == "closed"


def test_only_the_closed_and_the_starting_get_calls_by_share():
    assert [share(Standing(state=state), RULE, 0) for state in ("open", "half_open", "draining")] == [0, 0, 0]


@given(standings, standings, standings)
def test_standings_are_joined_in_any_order_and_any_number_of_times(one, two, three):
    whole = joined([one, two, three])

    assert whole == joined([three, two, one, one, three])
    assert later(whole, one) == whole
    assert whole in (WELL, one, two, three)


def test_the_word_of_the_operator_outweighs_what_workers_see():
    drained = moved(WELL, "drain", RULE, NOW_NS)
    busy = WELL
    for _ in range(5):
        busy = at(moved(moved(busy, "tripped", RULE, NOW_NS + 9), "probe_failed", RULE, NOW_NS + 9), RULE, NOW_NS**2)
    assert later(drained, busy) == drained

    restored = moved(drained, "restore", RULE, NOW_NS)
    assert later(restored, drained) == restored


def outcome(name, word="error"):
    if name == "ok":
        return Outcome(outcome="ok", rule="ok")
    return Outcome(outcome=name, rule="r", word=word, fault=REMEDIES[name].fault)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ok", "good"),
        ("server_error", "bad"),
        ("overloaded", "bad"),
        ("timeout", "bad"),
        ("connect_error", "bad"),
        ("stream_truncated", "bad"),
        ("bad_upstream_body", "bad"),
        ("rate_limit", "slowed"),
        ("auth", "none"),
        ("billing", "none"),
        ("invalid_request", "good"),
        ("content_filter", "good"),
    ],
)
def test_only_what_is_the_providers_fault_speaks_against_it(name, said):
    assert bearing(outcome(name)) == said


@pytest.mark.parametrize("word", ["cancelled", "interrupted"])
def test_what_the_provider_did_not_end_says_nothing_of_it(word):
    assert bearing(outcome("unknown", word)) == "none"


def test_an_app_that_broke_off_in_its_own_request_says_nothing_of_the_provider():
    broke_off = msgspec.structs.replace(outcome("invalid_request"), rule="way:request")

    assert bearing(broke_off) == "none"
