import pytest

from tests.bench.figures import (
    Bar,
    added_ratio,
    delay_difference_ms,
    failures,
    first_bars,
    held_pieces,
    idle_mib,
    kib_per_stream,
    spread,
    throughput_ratio,
)


def figures(**changes):
    return {
        "calls_per_s": 1000.0,
        "latency_us": {"p50": 100.0, "p99": 300.0},
        "piece_delay_us": {"p50": 50.0},
        "held": 0,
        "failed": {"connect": 0, "status": 0},
        "rss_peak_kib": 50_000,
        "idle_kib": 40_000,
    } | changes


DIRECT = figures()
NGINX = figures(calls_per_s=800.0, latency_us={"p50": 200.0, "p99": 500.0}, piece_delay_us={"p50": 90.0})
OURS = figures(calls_per_s=200.0, latency_us={"p50": 400.0, "p99": 900.0}, piece_delay_us={"p50": 190.0})
ROUND = {"direct": DIRECT, "nginx": NGINX, "taximeter": OURS}


def test_ratios_are_taken_inside_a_round():
    assert throughput_ratio(ROUND) == 0.25
    assert added_ratio("p50")(ROUND) == 3.0
    assert added_ratio("p99")(ROUND) == 3.0
    assert delay_difference_ms(ROUND) == pytest.approx(0.1)
    assert kib_per_stream(1000)(ROUND) == 10.0
    assert idle_mib(ROUND) == 40_000 / 1024


@pytest.mark.parametrize("figure", [throughput_ratio, added_ratio("p50"), delay_difference_ms])
def test_without_nginx_there_is_nothing_to_compare_with(figure):
    assert figure({"direct": DIRECT, "taximeter": OURS}) is None


def test_a_floor_that_adds_nothing_is_no_measure():
    assert added_ratio("p50")(ROUND | {"nginx": DIRECT}) is None


def test_what_a_stall_of_the_machine_holds_back_was_not_held_by_us():
    rounds = [{"direct": figures(held=2), "nginx": figures(held=3), "taximeter": figures(held=ours)} for ours in (5, 1)]
    assert [held_pieces(one) for one in rounds] == [2, 0]
    assert held_pieces({"taximeter": figures(held=1)}) == 1


def test_every_kind_of_failure_counts():
    assert failures({"taximeter": figures(failed={"connect": 1, "status": 2})}) == 3


def test_the_median_over_the_rounds_is_held_against_the_bar():
    rounds = [ROUND | {"taximeter": figures(calls_per_s=value)} for value in (80.0, 400.0, 160.0)]
    at_least = Bar("small", "x", throughput_ratio, 0.2, at_least=True)
    found, good = at_least.judge(rounds)
    assert (found.least, found.median, found.most) == (0.1, 0.2, 0.5)
    assert good
    assert not Bar("small", "x", throughput_ratio, 0.21, at_least=True).judge(rounds)[1]
    assert not Bar("small", "x", throughput_ratio, 0.19, at_least=False).judge(rounds)[1]


def test_rounds_without_the_figure_are_left_out():
    assert spread([None, 3.0, None, 1.0]).median == 2.0
    assert spread([None]) is None
    assert first_bars(1000)[0].judge([{"direct": DIRECT}]) is None
