"""The measurement of routes, small: it must not rot between two of them."""

import uvloop

from tests.bench import governed, routed


def test_calls_with_and_without_a_route_are_measured_beside_each_other(monkeypatch):
    monkeypatch.setattr(governed, "APPS", 3)
    monkeypatch.setattr(governed, "ROUNDS", 2)
    found = uvloop.run(routed.measure(2))

    assert list(found) == ["whole", "stream"]
    for costs in found.values():
        assert list(costs) == list(routed.routings())
        assert all(len(batches) == 2 and all(cost.loop > 0 for cost in batches) for batches in costs.values())
