"""Status -> findings: what is good, what is worth a note, what is bad and what to do about it. Pure."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from proxy.admin.status import JournalStatus, Status
from proxy.core.losses import RECORD_LOSSES

State = Literal["good", "note", "bad"]

LAG_BAD_S = 60.0
"""A journal that is shipped within 3 s on a good day, and still waits after a minute, has a sink in trouble."""
LOOK_BAD_S = 30.0
"""The recorder looks at the journal five times a second; a file system that hangs holds it up."""
STORE_SLOW_S = 2.0
"""To say its version a store takes some milliseconds, and some hundreds where it is busy."""
JOURNAL_FULL_SHARE = 0.8
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
        *_policies(status),
        _store(status),
        *_schema(status),
        *_kept(status),
        _journal(status),
        *_room(status),
        *_sinks(status),
        *_self_check(status),
        *_ledger(status),
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
        deaths = f", died {_times(process['deaths'])}, the last time {_death(process)}" if process["deaths"] else ""
        said = f"pid {process['pid'] or '-'}, {process['state']}{deaths}"
        if process["state"] != "ready":
            why = process.get("why") or ""
            said = f"{said}: {why}" if why else said
            yield Finding("bad", process["name"], said, "Its log, on the supervisor's stderr, tells why.")
        elif process["last_exit"] == -signal.SIGKILL:
            yield Finding("note", process["name"], said, "Was it the kernel, for want of memory? See dmesg.")
        elif deaths:
            yield Finding("note", process["name"], said, "Its log, on the supervisor's stderr, tells why.")
        else:
            yield Finding("good", process["name"], said)


def _policies(status: Status) -> Iterator[Finding]:
    """Which policies and keys are in force, and why not those that are there; nothing where nobody has read any."""
    state = status.policies
    if state is None:
        return
    if state.error:
        said = f"not changed, there are mistakes: {'; '.join(state.error.splitlines())}"
        advice = f"Edition {state.generation} stays in force. taximeter policy check says what would be right."
        yield Finding("bad", "policies", said, advice)
    if state.files or state.keys:
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(state.loaded_at_s))
        counts = {"budgets": state.budgets, "limits": state.limits, "keys": state.keys}
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        files = f", from {', '.join(state.files)}" if state.files else ""
        said = f"edition {state.generation} ({state.hash}) since {since}: {told}{files}"
        yield Finding("good", "policies in force" if state.error else "policies", said)
    if state.keys and status.key_mode == "passthrough":
        said = f"{state.keys:,} virtual keys, and none is taken: keys.mode is passthrough"
        yield Finding("note", "keys", said, "Set keys.mode to virtual or both, and restart.")


def _death(process: dict[str, Any]) -> str:
    """How a process ended: by a signal, or with a status."""
    status = process["last_exit"]
    if status is None or status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"


def _store(status: Status) -> Finding:
    store = status.store
    kind = "embedded store" if store.embedded else "ClickHouse"
    if store.reachable and store.answer_s is not None and store.answer_s > STORE_SLOW_S:
        said = f"{kind} {store.version} at {store.url} is slow: it took {store.answer_s:.1f} s to say its version"
        return Finding("bad", "store", said, "Look at its load, disk and memory; rows wait in the journal meanwhile.")
    if store.reachable:
        return Finding("good", "store", f"{kind} {store.version} at {store.url}")
    if store.embedded and status.supervisor_pid is None:
        return Finding("note", "store", "the embedded store runs only while taximeter serve does")
    advice = "Bring it up. Calls go on meanwhile; what is not shipped waits in the journal."
    return Finding("bad", "store", store.error or f"no answer from {store.url}", advice)


def _schema(status: Status) -> Iterator[Finding]:
    store = status.store
    if not store.reachable:
        return
    if store.schema_version == store.schema_wanted:
        yield Finding("good", "schema", f"version {store.schema_version}")
    elif store.schema_version is None:
        yield Finding("note", "schema", "not there yet; the recorder makes it at its first start")
    elif store.schema_version > store.schema_wanted:
        said = f"version {store.schema_version} is newer than this Taximeter, which knows {store.schema_wanted}"
        yield Finding("bad", "schema", said, "Run the Taximeter that made it, or a newer one; nothing is written.")
    else:
        said = f"version {store.schema_version}, wanted {store.schema_wanted}"
        yield Finding("bad", "schema", said, "Restart taximeter serve to bring it up to date.")


def _kept(status: Status) -> Iterator[Finding]:
    """How long rows are kept: what is active, and what is to be."""
    store = status.store
    if store.kept is None:
        return
    ages = ", ".join(f"{table} {said}" for table, said in sorted(store.kept.items()))
    yield Finding("good", "retention", f"rows are kept for ever{f', but: {ages}' if ages else ''}")
    for said in store.kept_to_be:
        advice = "The recorder does it within a minute of its start; if it stays so, its log tells why."
        yield Finding("note", "retention", f"not active yet: {said}", advice)


def _journal(status: Status) -> Finding:
    journal = status.journal
    if journal.phase == "waiting":
        said = f"another recorder works on {status.data_dir}; this one waits for its end"
        return Finding("bad", "journal", said, "End the other one; only one can deliver.")
    if journal.trouble:
        return Finding("bad", "journal", journal.trouble, f"Can {status.data_dir} be read and written?")
    if journal.look_age_s is not None and journal.look_age_s > LOOK_BAD_S:
        said = f"the recorder has not looked at it for {journal.look_age_s:.0f} s"
        return Finding("bad", "journal", said, f"Does the disk under {status.data_dir} answer?")
    said = f"{journal.segments} segments ({journal.bytes:,} bytes) to deliver, {journal.lag_s:.1f} s behind"
    if journal.lag_s <= LAG_BAD_S:
        return Finding("good", "journal", said)
    if status.supervisor_pid is None:
        return Finding("note", "journal", said, "It is delivered when taximeter serve runs.")
    behind = sorted(name for name, sink in journal.sinks.items() if sink.lag_s > LAG_BAD_S)
    if status.told_by == "disk":
        return Finding("bad", "journal", said, "It is delivered when the recorder runs again.")
    return Finding("bad", "journal", said, f"What is wrong with the sink {' and '.join(behind) or 'that is behind'}?")


def _room(status: Status) -> Iterator[Finding]:
    """What the journal may still take; nothing where all is well."""
    limits, waiting_bytes = status.journal_limits, status.journal.bytes
    if limits is None:
        return
    then = "calls are refused with 503" if limits.on_full == "refuse" else "calls go on, and are missing in the records"
    share = waiting_bytes / limits.max_bytes if limits.max_bytes else 0.0
    if share >= 1:
        said = f"it is full, {waiting_bytes:,} bytes wait: {then}"
        yield Finding("bad", "journal room", said, "Bring the sink that is behind back, or raise journal.max_bytes.")
    elif status.disk_free_bytes is not None and status.disk_free_bytes < limits.min_free_bytes:
        said = f"it is full, the disk has only {status.disk_free_bytes / 1e6:,.0f} MB left: {then}"
        yield Finding("bad", "journal room", said, f"Make room on the disk of {status.data_dir}.")
    elif share >= JOURNAL_FULL_SHARE:
        said = f"it is {share:.0%} full; when it is full, {then}"
        yield Finding("bad", "journal room", said, "Bring the sink that is behind back, or raise journal.max_bytes.")


def _sinks(status: Status) -> Iterator[Finding]:
    if status.supervisor_pid is not None and status.told_by == "disk":
        yield Finding("bad", "admin", f"nobody answers at {status.admin}", "Is the recorder alive? See its log.")
    for name, sink in sorted(status.journal.sinks.items()):
        counted = ", ".join(f"{count:,} {what}" for what, count in sorted(sink.counts.items())) or "nothing yet"
        if sink.failures:
            lost = f", {sink.counts['given_up']:,} calls given up" if sink.counts.get("given_up") else ""
            said = f"failed {_times(sink.failures)} in a row, {sink.lag_s:.1f} s behind{lost}: {sink.last_error}"
            advice = "See to what it delivers to. It is tried again; what it does not have waits in the journal."
            yield Finding("bad", f"sink {name}", said, advice)
        elif sink.trouble:
            advice = "It takes calls all the same. What it has to send waits, and is tried again."
            yield Finding("bad", f"sink {name}", sink.trouble, advice)
        else:
            yield Finding("good", f"sink {name}", counted)


def _losses(status: Status) -> Iterator[Finding]:
    journal, quarantined = status.journal, status.journal.quarantined
    if not journal.losses:
        yield Finding("good", "losses", "none")
    for reason in sorted(journal.losses):
        yield _loss(journal, reason)
    if quarantined:
        said = ", ".join(
            f"{count:,} line{'' if count == 1 else 's'} {reason}" for reason, count in sorted(quarantined.items())
        )
        advice = (
            "Look at them with taximeter journal quarantine list, then put them back or give them up; "
            f"they lie in {status.data_dir}/journal/.quarantine."
        )
        yield Finding("bad", "quarantine", said, advice)


def _loss(journal: JournalStatus, reason: str) -> Finding:
    """Bad is a loss of records that has just happened: what was lost long ago cannot be mended."""
    fresh = reason in journal.fresh_losses
    said = f"{journal.losses[reason]:,} {reason}{', some of them within the last hour' if fresh else ''}"
    meaning = RECORD_LOSSES.get(reason)
    if meaning is None:
        return Finding("note", "losses", said)
    return Finding("bad" if fresh else "note", "losses", said, f"{meaning[0].upper()}{meaning[1:]}")


def _self_check(status: Status) -> Iterator[Finding]:
    """What the nightly comparison of the store with itself has found; nothing before the first."""
    check = status.self_check
    if check is None or (check.ok is None and not check.error):
        return
    if check.error:
        yield Finding("note", "self-check", f"could not be done: {check.error}", "It is tried again the next night.")
    elif check.ok:
        yield Finding("good", "self-check", f"{check.days:,} days, nothing doubled and no sum drifted")
    else:
        said = (
            f"{check.doubled_calls:,} calls and {check.doubled_attempts:,} attempts doubled, "
            f"the sums of {check.drifted_days:,} days drifted"
        )
        first = f" First: {check.findings[0]}." if check.findings else ""
        advice = f"taximeter doctor --format json lists the days.{first}"
        yield Finding("bad", "self-check", said, advice)


def _ledger(status: Status) -> Iterator[Finding]:
    """Whether ledger and store agree; nothing where there is no budget, or before the first comparison."""
    ledger = status.ledger
    if ledger is None:
        return
    if ledger.drifting:
        said = f"ledger and store differ: {ledger.drifting[0]}"
        more = f" and {len(ledger.drifting) - 1} more" if len(ledger.drifting) > 1 else ""
        advice = "taximeter ledger compare tells more, taximeter ledger rebuild puts it right."
        yield Finding("bad", "ledger", f"{said}{more}", advice)
    elif ledger.error:
        yield Finding("note", "ledger", f"could not be compared with the store: {ledger.error}", "It is tried again.")
    elif ledger.behind:
        said = f"the store does not have yet what is booked of {', '.join(ledger.behind)}"
        yield Finding("note", "ledger", said, "If it stays so: do they deliver to another store?")
    else:
        yield Finding("good", "ledger", f"{ledger.counters:,} counters, each as the store has it")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _clock(status: Status) -> Finding:
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(status.at_s))
    ahead_s = status.store.clock_ahead_s
    if status.at_s < EARLIEST_CLOCK_S:
        return Finding("bad", "clock", now, "This machine's clock is not set; prices and rows depend on it.")
    if ahead_s is None:
        return Finding("good", "clock", now)
    said = f"{now}, store {ahead_s:+.1f} s"
    if abs(ahead_s) > CLOCK_BAD_S:
        return Finding("bad", "clock", said, "Set both clocks by NTP: rows carry our time, queries use the store's.")
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
