"""The measurement of policies, small: it must not rot between two of them."""

import uvloop

from tests.bench import governed
from tests.fakes.redis_server import PROGRAM


def test_calls_with_and_without_policies_are_measured_beside_each_other(monkeypatch):
    monkeypatch.setattr(governed, "APPS", 3)
    monkeypatch.setattr(governed, "ROUNDS", 2)
    found = uvloop.run(governed.measure(2))

    with_redis = [governed.WITH_REDIS] if PROGRAM else []
    assert list(found) == ["no policies", "5 of 50 budgets", "the same, with thresholds", *with_redis]
    assert all(len(batches) == 2 and all(cost.loop > 0 for cost in batches) for batches in found.values())


def test_requests_of_an_app_differ_in_length_and_of_apps_in_caller(monkeypatch):
    monkeypatch.setattr(governed, "APPS", 3)
    sent = governed.requests()

    assert len(set(sent)) == len(sent) == 3 * governed.ROUNDS
    assert all(b"x-taximeter-user: u" in one for one in sent)
