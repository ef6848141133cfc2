"""Status -> findings: what is good, what is worth a note, what is bad and what to do about it. Pure."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from proxy.admin.status import Status

State = Literal["good", "note", "bad"]

LAG_BAD_S = 60.0
"""A journal that is shipped within 3 s on a good day, and still waits after a minute, has a sink in trouble."""
CLOCK_BAD_S = 5.0
"""Rows carry our clock and queries use the store's: further apart, `--since` and the dashboards tell lies."""
DISK_BAD_BYTES = 512 * 1024 * 1024
DISK_LOW_SHARE = 0.05
EARLIEST_CLOCK_S = 1_700_000_000.0
"""November 2023: a clock before this software was written has not been set."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `taximeter doctor`."""

    state: State
    about: str
    said: str
    advice: str = ""


def judge(status: Status) -> list[Finding]:
    """Every finding, in the order of the parts of the system."""
    return [
        *_processes(status),
        _store(status),
        *_schema(status),
        _journal(status),
        *_sinks(status),
        *_losses(status),
        _clock(status),
        _disk(status),
        Finding("good", "config", status.config_file or "no file: the defaults"),
        Finding("good", "versions", ", ".join(f"{name} {v or 'not there'}" for name, v in status.packages.items())),
    ]


def _processes(status: Status) -> Iterator[Finding]:
    if status.orphans:
        advice = "They end by themselves once their calls are done; a new start waits for them."
        yield Finding("bad", "processes", f"those of a former start still work on {status.data_dir}", advice)
        return
    if status.supervisor_pid is None:
        yield Finding("note", "processes", f"nothing runs on {status.data_dir}", "Start it with: taximeter serve")
        return
    up_s = max(0.0, status.at_s - (status.started_at_s or status.at_s))
    yield Finding("good", "supervisor", f"pid {status.supervisor_pid}, up for {_duration(up_s)}, {status.data_dir}")
    yield Finding("good", "ports", f"data {status.listen}, admin {status.admin}, store {status.store.url}")
    for process in status.processes:
        deaths = f", died {process['deaths']} times (last status {process['last_exit']})" if process["deaths"] else ""
        said = f"pid {process['pid'] or '-'}, {process['state']}{deaths}"
        if process["state"] != "ready":
            yield Finding("bad", process["name"], said, "Its log, on the supervisor's stderr, tells why.")
        else:
            yield Finding("note" if deaths else "good", process["name"], said)


def _store(status: Status) -> Finding:
    store = status.store
    kind = "embedded store" if store.embedded else "ClickHouse"
    if store.reachable:
        return Finding("good", "store", f"{kind} {store.version} at {store.url}")
    if store.embedded and status.supervisor_pid is None:
        return Finding("note", "store", "the embedded store runs only while taximeter serve does")
    return Finding("bad", "store", store.error or "no answer", "Calls go on; what is not shipped waits in the journal.")


def _schema(status: Status) -> Iterator[Finding]:
    store = status.store
    if not store.reachable:
        return
    if store.schema_version == store.schema_wanted:
        yield Finding("good", "schema", f"version {store.schema_version}")
    elif store.schema_version is None:
        yield Finding("note", "schema", "not there yet; the recorder makes it at its first start")
    else:
        advice = "Restart taximeter serve to bring it up to date; a newer one needs a newer Taximeter."
        yield Finding("bad", "schema", f"version {store.schema_version}, wanted {store.schema_wanted}", advice)


def _journal(status: Status) -> Finding:
    journal = status.journal
    said = f"{journal.segments} segments ({journal.bytes:,} bytes) to deliver, {journal.lag_s:.1f} s behind"
    if journal.lag_s <= LAG_BAD_S:
        return Finding("good", "journal", said)
    if status.supervisor_pid is None:
        return Finding("note", "journal", said, "It is delivered when taximeter serve runs.")
    return Finding("bad", "journal", said, "Is the store taking rows?")


def _sinks(status: Status) -> Iterator[Finding]:
    if status.supervisor_pid is not None and status.told_by == "disk":
        yield Finding("bad", "admin", f"nobody answers at {status.admin}", "Is the recorder alive? See its log.")
    for name, sink in sorted(status.journal.sinks.items()):
        counted = ", ".join(f"{count:,} {what}" for what, count in sorted(sink.counts.items())) or "nothing yet"
        if sink.failures:
            said = f"failed {sink.failures} times in a row, {sink.lag_s:.1f} s behind: {sink.last_error}"
            yield Finding("bad", f"sink {name}", said, "It is tried again; what it does not have waits in the journal.")
        else:
            yield Finding("good", f"sink {name}", counted)


def _losses(status: Status) -> Iterator[Finding]:
    losses, quarantined = status.journal.losses, status.journal.quarantined
    if not losses:
        yield Finding("good", "losses", "none")
    for reason, count in sorted(losses.items()):
        yield Finding("note", "losses", f"{count:,} {reason}")
    if quarantined:
        said = ", ".join(f"{count:,} lines {reason}" for reason, count in sorted(quarantined.items()))
        advice = f"They lie in {status.data_dir}/journal/.quarantine, each file with its reason."
        yield Finding("bad", "quarantine", said, advice)


def _clock(status: Status) -> Finding:
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(status.at_s))
    ahead_s = status.store.clock_ahead_s
    if status.at_s < EARLIEST_CLOCK_S:
        return Finding("bad", "clock", now, "This machine's clock is not set; prices and rows depend on it.")
    if ahead_s is None:
        return Finding("good", "clock", now)
    said = f"{now}, store {ahead_s:+.1f} s"
    if abs(ahead_s) > CLOCK_BAD_S:
        return Finding("bad", "clock", said, "Set both clocks by NTP.")
    return Finding("good", "clock", said)


def _disk(status: Status) -> Finding:
    free, total = status.disk_free_bytes, status.disk_total_bytes
    if free is None or not total:
        return Finding("note", "disk", "its free space cannot be told")
    said = f"{free / 1e9:.1f} GB of {total / 1e9:.1f} GB free"
    if free < DISK_BAD_BYTES:
        return Finding("bad", "disk", said, "Make room: a full disk stops the journal.")
    return Finding("note" if free < total * DISK_LOW_SHARE else "good", "disk", said)


def _duration(seconds: float) -> str:
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{n}{unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if n]
    return " ".join([*parts, f"{rest_s}s"][:2])
