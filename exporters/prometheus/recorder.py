"""How the recorder is doing, as metrics: the journal, the sinks, and what was lost."""

from typing import get_args, get_type_hints

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from exporters.prometheus.labels import plain
from exporters.prometheus.tables import CounterTable
from exporters.recorder.status import RecorderStatus, SelfCheckStatus, SinkStatus
from proxy.core.losses import RECORD_LOSSES

PHASES: tuple[str, ...] = get_args(get_type_hints(RecorderStatus)["phase"])


def recorder_families(status: RecorderStatus) -> list[Metric]:
    """Everything that the recorder knows of itself; to be called on its loop."""
    phase = GaugeMetricFamily("taximeter_recorder_phase", "1 for what the recorder is doing now.", labels=["phase"])
    for name in PHASES:
        phase.add_metric([name], float(name == status.phase))
    quarantined = GaugeMetricFamily(
        "taximeter_quarantined_lines", "Lines of the journal that were put aside.", labels=["reason"]
    )
    for reason, count in _by_reason(status.quarantine).items():
        quarantined.add_metric([reason], count)
    return [
        phase,
        *_journal(status),
        _losses(status.losses),
        quarantined,
        CounterMetricFamily(
            "taximeter_interrupted_calls",
            "Calls of dead processes that were closed since this recorder started.",
            value=status.interrupted_calls,
        ),
        *_sinks(status.sinks),
        *_self_check(status.self_check),
    ]


def _journal(status: RecorderStatus) -> list[Metric]:
    figures: dict[str, tuple[str, float]] = {
        "taximeter_journal_look_timestamp_seconds": (
            "When the recorder last looked at the journal, Unix time.",
            status.looked_at_ns / 1e9,
        ),
        "taximeter_journal_instances": ("Processes that have a journal.", status.instances),
        "taximeter_journal_segments": ("Sealed segments that not every sink has.", status.journal_segments),
        "taximeter_journal_bytes": ("Size of those segments.", status.journal_bytes),
        "taximeter_journal_oldest_seconds": ("The largest lag of any sink.", status.journal_oldest_s),
        "taximeter_journal_kept_bytes": ("Size of the shipped segments that are kept.", status.kept_bytes),
        "taximeter_open_calls": ("Calls under way, as far as sealed segments tell.", status.open_calls),
    }
    return [GaugeMetricFamily(name, said, value=figure) for name, (said, figure) in figures.items()]


def _losses(losses: dict[str, int]) -> CounterMetricFamily:
    # A table, for reasons stand in the journal and are bounded like everything that does. Some are told from zero on:
    # the first value of a series that was not there before is no increase to Prometheus.
    table = CounterTable(
        "taximeter_losses", "What was not recorded or not understood, since the data folder exists.", ("reason",)
    )
    for reason, count in (dict.fromkeys(RECORD_LOSSES, 0) | losses).items():
        table.add((plain(reason),), max(0, count))
    return table.family()


def _by_reason(counts: dict[str, int]) -> dict[str, int]:
    """Counts under reasons that can be label values; those that cannot go together."""
    found: dict[str, int] = {}
    for reason, count in counts.items():
        found[plain(reason)] = found.get(plain(reason), 0) + count
    return found


def _sinks(sinks: dict[str, SinkStatus]) -> list[Metric]:
    label = ["sink"]
    up = GaugeMetricFamily("taximeter_sink_up", "Whether the sink took the last batch.", labels=label)
    lag = GaugeMetricFamily(
        "taximeter_sink_lag_seconds", "How long the oldest segment that the sink does not have waits.", labels=label
    )
    waiting = GaugeMetricFamily(
        "taximeter_sink_waiting_segments", "Segments that the sink does not have.", labels=label
    )
    delivered = CounterMetricFamily(
        "taximeter_sink_delivered_segments", "Segments that the sink took since this recorder started.", labels=label
    )
    failures = GaugeMetricFamily("taximeter_sink_failures", "Failed tries in a row, up to now.", labels=label)
    last = GaugeMetricFamily(
        "taximeter_sink_last_delivery_timestamp_seconds", "When the sink last took a batch, Unix time.", labels=label
    )
    counted = CounterMetricFamily(
        "taximeter_sink_counted", "What the sink counted, since the data folder exists.", labels=["sink", "what"]
    )
    for name, sink in sinks.items():
        if sink.reachable is not None:
            up.add_metric([name], float(sink.reachable))
        lag.add_metric([name], sink.lag_s)
        waiting.add_metric([name], sink.waiting_segments)
        delivered.add_metric([name], sink.delivered_segments)
        failures.add_metric([name], sink.failures)
        if sink.last_delivered_ns is not None:
            last.add_metric([name], sink.last_delivered_ns / 1e9)
        for what, count in sink.counts.items():
            counted.add_metric([name, plain(what)], count)
    return [up, lag, waiting, delivered, failures, last, counted]


def _self_check(check: SelfCheckStatus) -> list[Metric]:
    """What the nightly self-check has found; nothing before the first."""
    if check.ran_at_ns is None:
        return []
    doubled = GaugeMetricFamily(
        "taximeter_self_check_doubled_rows", "Rows of the store beyond one for each call or attempt.", labels=["table"]
    )
    doubled.add_metric(["calls"], check.doubled_calls)
    doubled.add_metric(["attempts"], check.doubled_attempts)
    figures: dict[str, tuple[str, float | None]] = {
        "taximeter_self_check_ok": ("Whether every day of the store is as it must be.", check.ok),
        "taximeter_self_check_timestamp_seconds": (
            "When the self-check last came to its end, Unix time.",
            check.ran_at_ns / 1e9,
        ),
        "taximeter_self_check_days": ("Days that the last self-check has looked at.", check.days),
        "taximeter_self_check_drifted_days": (
            "Days of a roll-up whose sums are not those of their rows.",
            check.drifted_days,
        ),
    }
    known = ((name, said, float(figure)) for name, (said, figure) in figures.items() if figure is not None)
    return [doubled, *(GaugeMetricFamily(name, said, value=figure) for name, said, figure in known)]
