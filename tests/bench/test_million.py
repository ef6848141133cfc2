"""The whole of `make bench-store`, small: it must not rot between two measurements."""

import json
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.bench.million import QUESTIONS, main
from tests.fakes.synthetic import DAYS, SINCE, synthetic_calls


@pytest.mark.real
@pytest.mark.timeout(120)
def test_a_small_run_loses_and_doubles_nothing_and_writes_every_figure(tmp_path, capsys):
    output = tmp_path / "million.json"
    assert main(["--calls", "3000", "--rounds", "1", "--output", str(output)]) == 0
    document = json.loads(output.read_text())
    rows = document["ingest"]["rows"]
    assert rows["calls"] == rows["different_calls"] == 3000
    assert rows["attempts"] == rows["different_attempts"] > 3000
    assert document["ingest"]["processes"].keys() == {"store", "recorder", "writer"}
    assert document["reports"].keys() == QUESTIONS.keys()
    shown = capsys.readouterr().out
    assert "calls/s" in shown
    assert "memory of the store" in shown


def test_the_same_seed_makes_the_same_month():
    assert list(synthetic_calls(300)) == list(synthetic_calls(300)) != list(synthetic_calls(300, seed=2))


def test_a_synthetic_month_has_everything_that_a_real_one_has():
    calls = list(synthetic_calls(20_000))
    starts = [call.started_at_ns for call in calls]
    assert all(one <= other for one, other in pairwise(starts))
    since_ns = int(SINCE.timestamp()) * 10**9
    assert since_ns <= starts[0] < starts[-1] < since_ns + timedelta(days=DAYS) // timedelta(microseconds=1) * 1000
    assert Counter(call.outcome for call in calls).keys() == {
        "ok", "error", "broken", "cancelled", "interrupted", "refused",
    }  # fmt: skip
    attempts = [attempt for call in calls for attempt in call.attempts]
    assert {len(call.attempts) for call in calls} >= {0, 1, 2, 3}
    assert {attempt.usage.source for attempt in attempts} == {"provider", "estimated", "none"}
    assert {attempt.billing for attempt in attempts} == {"", "subscription"}
    assert any(attempt.provider_cost for attempt in attempts)
    assert any(len({attempt.host for attempt in call.attempts}) == 2 for call in calls)
    assert len({call.call_id for call in calls}) == len(calls)
