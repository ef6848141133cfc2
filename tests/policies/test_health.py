"""A target that fails gets no calls, is tried out after a while, and comes back slowly."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policies.breaker import NS_PER_MS
from policies.health import FULL, Health, Snapshot
from policies.routes_compiled import BreakerRule

NOW_NS = 1_795_000_000 * 10**9
RULE = BreakerRule(
    failures_in_row=3,
    calls_least=10,
    error_share=5000,
    window_ms=10_000,
    buckets=10,
    open_ms=1000,
    good_probes=2,
    slow_start_ms=2000,
)


def at_ms(after_ms):
    return NOW_NS + after_ms * NS_PER_MS


def health(worker="w1", rule=RULE):
    return Health(rule, worker)


def feed(target, text, after_ms=0):
    """`g` a good call, `b` a bad one, `s` a slowed one, `n` one that says nothing."""
    names = {"g": "good", "b": "bad", "s": "slowed", "n": "none"}
    for letter in text:
        target.end(names[letter], at_ms(after_ms))


def state(target, after_ms=0):
    target.look(at_ms(after_ms))
    return target.standing.state


def test_failures_in_a_row_open_the_breaker_and_a_good_call_between_them_does_not():
    one, other = health(), health()
    feed(one, "bbb")
    feed(other, "bbgbb")

    assert (state(one), one.look(NOW_NS).refusal) == ("open", "open")
    assert (state(other), other.look(NOW_NS)) == ("closed", FULL)


def test_what_says_nothing_breaks_no_row():
    one = health()
    feed(one, "bnbnb")

    assert state(one) == "open"


def test_a_share_of_failures_opens_the_breaker_once_there_are_enough_calls():
    one = health()
    feed(one, "bgbgbgbgb")
    assert state(one) == "closed"
    feed(one, "gb")
    assert state(one) == "open"


def test_failures_that_are_older_than_the_window_do_not_count():
    one = health(rule=msgspec.structs.replace(RULE, failures_in_row=0))
    feed(one, "bbbbb", after_ms=0)
    assert one.counts(at_ms(9_000)) == (5, 5)
    assert one.counts(at_ms(10_000)) == (0, 0)
    feed(one, "gggggb", after_ms=10_000)

    assert state(one, 10_000) == "closed"


def test_half_open_lets_one_probe_through_at_a_time_and_two_good_ones_bring_the_target_back():
    one = health()
    feed(one, "bbb")
    now_ns = at_ms(1000)
    assert one.look(now_ns) == FULL
    probe = one.begin(now_ns)
    assert one.look(now_ns).refusal == "probing"
    one.end("good", now_ns, probe=probe)
    assert (state(one, 1000), one.look(now_ns)) == ("half_open", FULL)
    one.end("good", now_ns, probe=one.begin(now_ns))
    assert (state(one, 1000), one.look(now_ns).share) == ("slow_start", 1000)

    assert one.look(at_ms(2000)).share == 5500
    assert one.look(at_ms(3000)) == FULL


def test_a_bad_probe_opens_the_breaker_for_longer():
    one = health()
    feed(one, "bbb")
    one.end("bad", at_ms(1000), probe=one.begin(at_ms(1000)))

    assert one.look(at_ms(2999)).refusal == "open"
    assert one.look(at_ms(3000)).refusal == ""


def test_a_call_from_before_decides_nothing_about_a_target_that_is_tried_out():
    one = health()
    feed(one, "bbb")
    feed(one, "bg", after_ms=1000)

    assert state(one, 1000) == "half_open"


def test_a_probe_that_is_never_heard_of_again_makes_room_for_another():
    one = health(rule=msgspec.structs.replace(RULE, probe_ms=500))
    feed(one, "bbb")
    one.begin(at_ms(1000))

    assert one.look(at_ms(1499)).refusal == "probing"
    assert one.look(at_ms(1500)) == FULL


def test_a_probe_that_says_nothing_frees_its_place():
    one = health()
    feed(one, "bbb")
    one.end("none", at_ms(1000), probe=one.begin(at_ms(1000)))

    assert (one.look(at_ms(1000)), state(one, 1000)) == (FULL, "half_open")


def test_what_a_target_was_excluded_for_does_not_count_when_it_is_back():
    one = health(rule=msgspec.structs.replace(RULE, calls_least=2))
    feed(one, "bbb")
    for _ in range(2):
        one.end("good", at_ms(1000), probe=one.begin(at_ms(1000)))
    feed(one, "gggb", after_ms=2500)

    assert state(one, 2500) == "slow_start"


def test_a_rate_limit_passes_the_target_over_for_a_while_and_opens_nothing():
    one = health()
    for _ in range(9):
        one.end("slowed", NOW_NS, retry_after_ms=700)

    assert (state(one), one.look(at_ms(699)).refusal, one.look(at_ms(700)).refusal) == ("closed", "rate_limited", "")


def test_a_rate_limit_that_asks_for_too_much_is_bounded():
    one = health()
    one.end("slowed", NOW_NS, retry_after_ms=10**12)

    assert one.look(at_ms(RULE.rate_limited_most_ms)) == FULL


def test_a_target_is_drained_and_restored_by_hand():
    one = health()
    one.drain(NOW_NS)
    feed(one, "ggbbbb")
    assert (state(one, 10**9), one.look(NOW_NS).refusal) == ("draining", "draining")

    one.restore(NOW_NS)
    assert state(one) == "slow_start"


def test_restoring_what_was_not_drained_does_not_close_its_breaker():
    one = health()
    feed(one, "bbb")
    one.restore(NOW_NS)

    assert state(one) == "open"


def test_workers_tell_each_other_that_a_target_fails():
    one, other = health("w1"), health("w2")
    feed(one, "bbb")
    other.absorb(one.snapshot(NOW_NS))

    assert state(other) == "open"


def test_failures_of_all_workers_count_together_and_each_once():
    one, other = health("w1"), health("w2")
    feed(one, "bgbgbgbg")
    told = one.snapshot(NOW_NS)
    for _ in range(3):
        other.absorb(told)
    feed(other, "g")
    assert (other.counts(NOW_NS), state(other)) == ((9, 4), "closed")

    feed(other, "b")
    assert state(other) == "open"


def test_an_older_word_of_a_worker_does_not_replace_a_newer_one():
    one, other = health("w1"), health("w2")
    first = one.snapshot(NOW_NS)
    feed(one, "gg")
    second = one.snapshot(NOW_NS)
    other.absorb(second)
    other.absorb(first)

    assert other.counts(NOW_NS) == (2, 0)


def test_a_snapshot_is_small_and_survives_the_way_to_another_worker():
    one = health()
    feed(one, "bgb")
    told = one.snapshot(NOW_NS)
    text = msgspec.json.encode(told)

    assert msgspec.json.decode(text, type=Snapshot) == told
    assert len(text) < 200


EVENTS = st.lists(
    st.tuples(
        st.integers(-2_000, 5_000),
        st.sampled_from(["good", "bad", "slowed", "none", "begin", "drain", "restore", "swap"]),
        st.booleans(),
    ),
    max_size=80,
)


@given(EVENTS)
def test_no_order_of_events_and_no_clock_breaks_it(events):
    pair = [health("w1"), health("w2")]
    now_ms, probes = 10_000, []
    for passed_ms, event, second in events:
        now_ms = max(0, now_ms + passed_ms)
        target, now_ns = pair[second], at_ms(now_ms)
        if event == "begin":
            probes.append(target.begin(now_ns))
        elif event in {"drain", "restore"}:
            getattr(target, event)(now_ns)
        elif event == "swap":
            target.absorb(pair[not second].snapshot(now_ns))
        else:
            target.end(event, now_ns, probe=probes.pop() if probes else None)
        look = target.look(now_ns)
        assert 0 <= look.share <= 10_000
        assert (look.share > 0) == (look.refusal == "")
    for one, other in (pair, pair[::-1]):
        one.absorb(other.snapshot(at_ms(now_ms)))
    assert pair[0].standing == pair[1].standing
