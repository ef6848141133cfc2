"""How the targets of routes are, for Prometheus. PURE.

Targets are named in the policy files: there are as many of them as somebody wrote down.
"""

from collections.abc import Sequence

import msgspec
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporters.prometheus.labels import plain

MAX_TARGETS = 200
"""Further ones are left out."""


class TargetLevel(msgspec.Struct, frozen=True, kw_only=True):
    """One target."""

    target: str
    """Its id."""
    state: str
    """`closed`, `open`, `half_open`, `slow_start`, `draining`, `rate_limited`."""
    calls: int
    """In the breaker's window."""
    failures: int


def target_families(targets: Sequence[TargetLevel]) -> list[Metric]:
    """Metrics of these targets; none where there are none."""
    if not targets:
        return []
    said = "1 for the state of a target: closed gets calls, open and draining none, the others some."
    state = GaugeMetricFamily("taximeter_target_state", said, labels=["target", "state"])
    calls = GaugeMetricFamily("taximeter_target_calls", "Tries in the breaker's window.", labels=["target"])
    failures = GaugeMetricFamily("taximeter_target_failures", "Failed ones among them.", labels=["target"])
    for one in targets[:MAX_TARGETS]:
        name = plain(one.target)
        state.add_metric([name, plain(one.state)], 1)
        calls.add_metric([name], one.calls)
        failures.add_metric([name], one.failures)
    return [state, calls, failures]
