"""Whether the books are complete: journal, sinks, losses, and the store's own check.

What: depth and age of the journal, lag of each sink, losses (0, always), doubled rows (0, always), processes.

Config: the variable instance.

Example: `/d/taximeter-pipeline`

Source: table `health`, whose figures are those of /metrics (docs/metrics.md); `calls` for the check of ids.
"""

from grafana.model import Column, Dashboard, Panel, rising
from grafana.pieces import CHOSEN_INSTANCE, INSTANCE

_FROM = f"FROM health WHERE $__timeFilter(at) AND {CHOSEN_INSTANCE}"
_ANY = rising(1, 1)


def _over_time(metric: str, label: str = "instance") -> str:
    by = label if label == "instance" else f"labels['{label}'] AS {label}"
    return (
        f"SELECT $__timeInterval(at) AS time, {by}, max(value) AS \"Value\" {_FROM} AND metric = '{metric}' "
        f"GROUP BY time, {label} ORDER BY time"
    )


def _rise(metric: str) -> str:
    """How much a counter has risen in the time shown, over all its labels; restarts begin at nothing."""
    return (
        f'SELECT sum(risen) AS "Value" FROM (SELECT instance, labels, max(value) - min(value) AS risen {_FROM} '
        f"AND metric = '{metric}' GROUP BY instance, labels)"
    )


PIPELINE = Dashboard(
    uid="taximeter-pipeline",
    title="Taximeter / Pipeline health",
    description="Journal, sinks, losses and the self-check of the store.",
    variables=(INSTANCE,),
    panels=(
        Panel(
            title="Losses", kind="stat", width=6, height=4, thresholds=_ANY,
            description="What was not recorded or not understood, in the time shown. 0, always.",
            sql=_rise("taximeter_losses_total"),
        ),
        Panel(
            title="Calls twice in the store", kind="stat", width=6, height=4, thresholds=_ANY,
            description="Rows of `calls` beyond one for each id, in the time shown. 0, always.",
            sql="SELECT count() - uniqExact(call_id) AS \"Doubled\" FROM calls WHERE $__timeFilter(started_at)",
        ),
        Panel(
            title="Findings of the self-check", kind="stat", width=6, height=4, thresholds=_ANY,
            description="Doubled rows and drifted days of roll-ups that the nightly check knows of. 0, always.",
            sql="SELECT sum(last) AS \"Found\" FROM (SELECT argMax(value, at) AS last "
            f"{_FROM} AND metric IN ('taximeter_self_check_doubled_rows', 'taximeter_self_check_drifted_days') "
            "GROUP BY instance, metric, labels)",
        ),
        Panel(
            title="Newest figure", kind="stat", unit="s", width=6, height=4, thresholds=rising(60, 300),
            description="How old the newest figure of this page is, at the end of the time shown.",
            sql=f"SELECT dateDiff('second', max(at), $__toTime) AS \"Age\" {_FROM}",
        ),
        Panel(
            title="Journal depth", description="Sealed segments that not every sink has.",
            sql=_over_time("taximeter_journal_segments"), thresholds=rising(100, 1000),
        ),
        Panel(
            title="Journal size", unit="bytes", description="Bytes of those segments.",
            sql=_over_time("taximeter_journal_bytes"),
        ),
        Panel(
            title="Lag of sinks", unit="s", description="How long the oldest segment waits that a sink does not have.",
            sql=_over_time("taximeter_sink_lag_seconds", "sink"), thresholds=rising(30, 120),
        ),
        Panel(
            title="Losses by reason", description="Counted since the data folder exists.",
            sql=_over_time("taximeter_losses_total", "reason"),
        ),
        Panel(
            title="Processes", kind="table",
            description="Whether each process serves, how often it died, its memory.",
            sql="SELECT instance AS \"Instance\", labels['process'] AS \"Process\", "
            "argMaxIf(value, at, metric = 'taximeter_process_up') AS \"Up\", "
            "argMaxIf(value, at, metric = 'taximeter_process_restarts_total') AS \"Deaths\", "
            "argMaxIf(value, at, metric = 'taximeter_process_resident_memory_bytes') AS \"Memory\" "
            f"{_FROM} AND metric LIKE 'taximeter_process_%' GROUP BY instance, labels['process'] ORDER BY 1, 2",
            columns={"Memory": Column(unit="bytes")},
        ),
        Panel(
            title="Disk free", unit="bytes", description="On the disk of the data folder.",
            sql=_over_time("taximeter_disk_free_bytes"),
        ),
        Panel(
            title="What the doctor says", kind="table", width=24,
            description="1 where `taximeter doctor` says that something is wrong.",
            sql="SELECT instance AS \"Instance\", labels['about'] AS \"About\", argMax(value, at) AS \"Wrong\" "
            f"{_FROM} AND metric = 'taximeter_finding_bad' GROUP BY instance, labels['about'] ORDER BY \"Wrong\" DESC",
            columns={"Wrong": Column(thresholds=_ANY)},
        ),
    ),
)  # fmt: skip
