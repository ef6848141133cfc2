"""The status in numbers: what `taximeter doctor` tells, for Prometheus. Pure.

`taximeter_finding_bad` is the doctor's own judgement, so that one alert covers everything that it knows.
"""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from proxy.admin.findings import judge
from proxy.admin.status import Status, StoreStatus

_SUPERVISOR = "supervisor"


def status_families(status: Status, *, age_s: float) -> list[Metric]:
    """Metrics of processes, store, disk and findings.

    Args:
        status: as it was last found.
        age_s: how long ago that was.
    """
    return [
        GaugeMetricFamily("taximeter_status_age_seconds", "How old the figures of the status are.", value=age_s),
        _build(status),
        *_processes(status),
        *_store(status.store),
        *_disk(status),
        _findings(status),
    ]


def _build(status: Status) -> Metric:
    family = GaugeMetricFamily("taximeter_build_info", "1; which Taximeter this is.", labels=["version", "platform"])
    family.add_metric([status.version, status.platform], 1)
    return family


def _processes(status: Status) -> list[Metric]:
    label = ["process"]
    up = GaugeMetricFamily("taximeter_process_up", "Whether the process serves.", labels=label)
    restarts = CounterMetricFamily(
        "taximeter_process_restarts", "Deaths of the process since the supervisor started.", labels=label
    )
    started = GaugeMetricFamily(
        "taximeter_process_start_timestamp_seconds", "When the process was started, Unix time.", labels=label
    )
    memory = GaugeMetricFamily("taximeter_process_resident_memory_bytes", "Memory that is resident.", labels=label)
    cpu = CounterMetricFamily("taximeter_process_cpu_seconds", "Processor time of the process.", labels=label)
    files = GaugeMetricFamily("taximeter_process_open_fds", "Open files and sockets of the process.", labels=label)
    if status.supervisor_pid is not None:
        up.add_metric([_SUPERVISOR], 1)
        started.add_metric([_SUPERVISOR], status.started_at_s or 0)
    for process in status.processes:
        name = [str(process["name"])]
        up.add_metric(name, float(process["state"] == "ready"))
        restarts.add_metric(name, int(process["deaths"]))
        started.add_metric(name, float(process.get("started_at") or 0))
    for process_name, usage in status.usage.items():
        memory.add_metric([process_name], usage.rss_bytes)
        cpu.add_metric([process_name], usage.cpu_s)
        if usage.open_fds is not None:
            files.add_metric([process_name], usage.open_fds)
    return [up, restarts, started, memory, cpu, files]


def _store(store: StoreStatus) -> Iterable[Metric]:
    figures: dict[str, tuple[str, float | None]] = {
        "taximeter_store_up": ("Whether the store answers.", store.reachable),
        "taximeter_store_answer_seconds": ("How long the store took to say who it is.", store.answer_s),
        "taximeter_store_clock_ahead_seconds": ("How far its clock is ahead of ours.", store.clock_ahead_s),
        "taximeter_store_schema_version": ("Newest migration of the database.", store.schema_version),
        "taximeter_store_schema_wanted": ("Newest migration that this version brings.", store.schema_wanted),
    }
    return [GaugeMetricFamily(name, said, value=float(v)) for name, (said, v) in figures.items() if v is not None]


def _disk(status: Status) -> Iterable[Metric]:
    figures = {
        "taximeter_disk_free_bytes": ("Free on the disk of the data folder.", status.disk_free_bytes),
        "taximeter_disk_size_bytes": ("Size of that disk.", status.disk_total_bytes),
        "taximeter_journal_max_bytes": (
            "What may wait in the journal; 0 is no limit.",
            status.journal_limits.max_bytes if status.journal_limits else None,
        ),
    }
    return [GaugeMetricFamily(name, said, value=v) for name, (said, v) in figures.items() if v is not None]


def _findings(status: Status) -> Metric:
    family = GaugeMetricFamily(
        "taximeter_finding_bad", "Whether `taximeter doctor` says that something is wrong with it.", labels=["about"]
    )
    bad: dict[str, bool] = {}
    for finding in judge(status):
        bad[finding.about] = bad.get(finding.about, False) or finding.state == "bad"
    for about, is_bad in bad.items():
        family.add_metric([about], float(is_bad))
    return family
