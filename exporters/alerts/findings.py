"""What the recorder's status says that somebody should hear of: losses, sinks that are behind, a self-check. PURE."""

from collections.abc import Iterator, Mapping

import msgspec

from exporters.alerts.alert import Kind, Severity, Sighting, Signal
from exporters.recorder.status import RecorderStatus
from proxy.core.losses import RECORD_LOSSES

LAG_S = 120.0
"""A sink that fails and is so far behind is told of; a restart of what it delivers to is shorter."""
QUIET_S = 3600.0
"""A loss is over when nothing more was lost for so long."""
FRESH_NS = 60 * 10**9
LOOKED_FOR: tuple[Kind, ...] = ("journal", "sink", "self_check")
"""What a look finds as long as it lasts."""
_SHOWN_CHARS = 300


def standing(status: RecorderStatus, now_ns: int) -> Iterator[Sighting]:
    """What is wrong now; kinds `LOOKED_FOR`."""
    if status.last_error and status.last_error_ns and now_ns - status.last_error_ns < FRESH_NS:
        what = f"{status.last_error[:_SHOWN_CHARS]}. Calls go on; what cannot be recorded is counted."
        yield _found("journal", "journal", "critical", "trouble with the journal", what, {})
    for name, sink in sorted(dict(status.sinks).items()):
        if not sink.failures or sink.lag_s < LAG_S:
            continue
        what = (
            f"{sink.lag_s:.0f} s behind: {sink.last_error[:_SHOWN_CHARS]}. It is tried again; calls wait on the disk."
        )
        fields = {"sink": name, "lag_s": f"{sink.lag_s:.0f}", "failures": str(sink.failures)}
        yield _found(f"sink:{name}", "sink", "critical", f"sink {name} takes nothing", what, fields)
    check = status.self_check
    if check.ok is False:
        what = (
            f"{check.doubled_calls} calls and {check.doubled_attempts} attempts doubled, the sums of "
            f"{check.drifted_days} days drifted. taximeter doctor lists the days."
        )
        fields = {"doubled_calls": str(check.doubled_calls), "drifted_days": str(check.drifted_days)}
        yield _found(
            "self_check", "self_check", "critical", "the self-check of the store found something", what, fields
        )


def losses(before: Mapping[str, int], now: Mapping[str, int]) -> Iterator[Sighting]:
    """The losses of records that have grown between two looks."""
    for reason, means in RECORD_LOSSES.items():
        more = now.get(reason, 0) - before.get(reason, 0)
        if more <= 0:
            continue
        kind: Kind = "journal_full" if reason.startswith("journal_full") else "loss"
        title = "the journal is full, calls go unrecorded" if kind == "journal_full" else f"records are lost: {reason}"
        what = f"{more} more, {now[reason]} in all. {means[0].upper()}{means[1:]}"
        fields = {"reason": reason, "lost": str(more), "lost_in_all": str(now[reason])}
        found = _found(f"loss:{reason}", kind, "critical", title, what, fields)
        yield msgspec.structs.replace(found, quiet_s=QUIET_S)


def _found(key: str, kind: Kind, severity: Severity, title: str, text: str, fields: dict[str, str]) -> Sighting:
    signal = Signal(kind=kind, severity=severity, title=title, text=text, fields=fields)
    return Sighting(key=key, kind=kind, describe=lambda: signal)
