"""What `taximeter doctor` and `/status` tell: the state of everything, gathered from the data folder and the store.

It reads and asks, it changes nothing, and it works as well when nothing runs. What only the exporters know (the
journal, the sinks, the schema) is handed in by `proxy.app`.
"""

import http.client
import shutil
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from proxy.admin.usage import ProcessUsage, process_usage
from proxy.policy_state import PolicyState, policy_state
from proxy.runlock import children_live
from proxy.runstate import RunState, as_running, read_state
from proxy.settings import Listen, Settings, StoreSettings
from proxy.store_http import StoreError, ask
from proxy.version import own_version, package_versions, platform_line

_STORE_TIMEOUT_S = 5.0
_HELLO = "SELECT version(), toUnixTimestamp64Milli(now64(3))"
_SCHEMA = "SELECT max(version) FROM schema_migrations"


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The store as seen from here."""

    url: str
    embedded: bool
    reachable: bool
    error: str | None = None
    version: str | None = None
    schema_version: int | None = None
    """Number of the newest migration applied to the database; None when it has no schema yet."""
    schema_wanted: int = 0
    """Number of the newest migration that this version brings along."""
    answer_s: float | None = None
    """How long it took to say who it is."""
    clock_ahead_s: float | None = None
    """How far the store's clock is ahead of ours, to within the time that the question took."""
    kept: dict[str, str] | None = None
    """Table -> how long its rows are kept now, in words; tables that keep them for ever are left out. None when nobody
    asked: `doctor` does, `/status` does not."""
    kept_to_be: tuple[str, ...] = ()
    """Changes of that which the configuration asks for and which are not made yet, in words."""


class SinkState(msgspec.Struct, frozen=True, kw_only=True):
    """One place that rows are delivered to."""

    reachable: bool | None
    """Whether it took the last batch; None before the first."""
    lag_s: float
    """How long the oldest segment that it does not have has been waiting."""
    failures: int
    """Failed tries in a row."""
    last_error: str
    counts: dict[str, int]
    """Everything it has counted since the data folder exists."""
    trouble: str = ""
    """What is wrong with what it makes of the batches that it takes; empty where nothing is."""


class JournalStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What has been written and not yet delivered everywhere, and what was lost."""

    segments: int = 0
    bytes: int = 0
    lag_s: float = 0.0
    """Age of the oldest segment that a sink still waits for."""
    losses: dict[str, int] = {}
    """What was not recorded or not understood, by reason, since the data folder exists."""
    fresh_losses: tuple[str, ...] = ()
    """Reasons of which something was lost within the last hour, as far as the running recorder saw it."""
    quarantined: dict[str, int] = {}
    """Lines that were put aside, by reason."""
    phase: str = ""
    """What the recorder is doing: `waiting` for another one to end, `running` ...; empty when none tells."""
    look_age_s: float | None = None
    """How long ago the recorder last looked at the journal; None when it has not, or none tells."""
    trouble: str = ""
    """What went wrong with the journal itself within the last minute."""
    sinks: dict[str, SinkState] = {}
    """Empty when the recorder does not run."""


class JournalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal may take."""

    max_bytes: int
    """What may wait for a sink; 0 is no limit."""
    min_free_bytes: int
    """What is left free of its file system."""
    on_full: Literal["pass", "refuse"]
    """What becomes of calls that there is no room for."""


class SelfCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the nightly self-check of the store has found, over all days that are known."""

    ran_at_s: float | None
    """When it last came to its end, Unix time; None before the first."""
    ok: bool | None
    """None before the first, or when the last one could not be done."""
    days: int
    doubled_calls: int
    doubled_attempts: int
    drifted_days: int
    findings: tuple[str, ...]
    """Every day with something wrong, in words; the first twenty."""
    error: str
    """Why the last one could not be done; empty when it was."""


class LedgerCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What the last comparison of ledger and store has found."""

    compared_at_s: float
    """Unix time; 0 before the first that could be done."""
    counters: int
    drifting: tuple[str, ...]
    """In words, the first twenty."""
    behind: tuple[str, ...] = ()
    """Processes of which the store does not have yet what is booked."""
    error: str = ""
    """Why the last one could not be done; empty when it was."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    version: str
    platform: str
    packages: dict[str, str | None]
    at_s: float
    """Unix time."""
    config_file: str | None
    data_dir: str
    supervisor_pid: int | None
    """None when nothing runs."""
    orphans: bool
    """Whether processes of a former supervisor still end."""
    started_at_s: float | None
    listen: str
    admin: str
    processes: list[dict[str, Any]]
    usage: dict[str, ProcessUsage] = {}
    """Name of a process, `supervisor` too -> what it takes of the machine; empty where that cannot be told."""
    store: StoreStatus
    journal: JournalStatus
    journal_limits: JournalLimits | None = None
    self_check: SelfCheck | None = None
    """None when the recorder does not run."""
    ledger: LedgerCheck | None = None
    """None where there is no budget, before the first comparison, or when the recorder does not run."""
    policies: PolicyState | None = None
    """None where nobody has read policies yet."""
    key_mode: Literal["passthrough", "virtual", "both"] = "both"
    told_by: Literal["recorder", "disk"]
    """The recorder knows how its sinks do; from the disk alone it cannot be told."""
    disk_free_bytes: int | None
    disk_total_bytes: int | None


def fetch(admin: Listen) -> Status | None:
    """The status as the running recorder tells it; None when it does not answer. Blocks for some seconds at most."""
    connection = http.client.HTTPConnection(admin.host, admin.port, timeout=2 * _STORE_TIMEOUT_S)
    try:
        connection.request("GET", "/status")
        return msgspec.json.decode(connection.getresponse().read(), type=Status)
    except (OSError, http.client.HTTPException, msgspec.DecodeError, UnicodeDecodeError):
        return None
    finally:
        connection.close()


def gather(
    settings: Settings,
    journal: JournalStatus,
    schema_wanted: int,
    *,
    told_by: Literal["recorder", "disk"],
    self_check: SelfCheck | None = None,
) -> Status:
    """The status of the data folder that the settings name. Blocks: it asks the store and the disk."""
    state = read_state(settings)
    settings = as_running(settings, state)
    free, total = _disk(settings.data_dir)
    return Status(
        version=own_version(),
        platform=platform_line(),
        packages=package_versions(),
        at_s=time.time(),
        config_file=settings.config_file,
        data_dir=str(settings.data_dir),
        supervisor_pid=state.pid if state else None,
        orphans=state is None and children_live(settings.run_dir),
        started_at_s=state.started_at_s if state else None,
        listen=settings.listen.url,
        admin=settings.admin.url,
        processes=state.processes if state else [],
        usage=_usage(state) if state else {},
        store=look_at_store(settings.store, schema_wanted),
        journal=journal,
        journal_limits=JournalLimits(
            max_bytes=settings.journal_max_bytes,
            min_free_bytes=settings.journal_min_free_bytes,
            on_full=settings.journal_on_full,
        ),
        self_check=self_check,
        policies=policy_state(settings),
        key_mode=settings.key_mode,
        told_by=told_by,
        disk_free_bytes=free,
        disk_total_bytes=total,
    )


def look_at_store(store: StoreSettings, schema_wanted: int) -> StoreStatus:
    """Ask the store who it is, what time it has and how far its schema is. Blocks for some seconds at most."""
    known = StoreStatus(url=store.url, embedded=store.embedded, reachable=False, schema_wanted=schema_wanted)
    before_s = time.time()
    try:
        version, store_ms = _first_row(store, _HELLO, anywhere=True)
    except StoreError as error:
        return msgspec.structs.replace(known, error=str(error))
    took_s = max(0.0, time.time() - before_s)
    try:
        (schema_version,) = _first_row(store, _SCHEMA)
    except StoreError:
        schema_version = None  # no database or no table yet: the recorder makes them at its first start
    return msgspec.structs.replace(
        known,
        reachable=True,
        version=str(version),
        answer_s=round(took_s, 3),
        clock_ahead_s=round(int(store_ms) / 1000 - before_s - took_s / 2, 3),
        schema_version=int(schema_version) if schema_version else None,
    )


def _first_row(store: StoreSettings, sql: str, *, anywhere: bool = False) -> list[Any]:
    with ask(store, sql, answer_format="JSONCompact", anywhere=anywhere, timeout_s=_STORE_TIMEOUT_S) as answer:
        data = answer.read()
    try:
        row: list[Any] = msgspec.json.decode(data)["data"][0]
    except (msgspec.DecodeError, LookupError, TypeError) as error:
        raise StoreError("what answers there is no ClickHouse") from error
    return row


def _usage(state: RunState) -> dict[str, ProcessUsage]:
    pids = {"supervisor": state.pid} | {str(p["name"]): p["pid"] for p in state.processes if p["pid"]}
    found = {name: process_usage(pid) for name, pid in pids.items()}
    return {name: usage for name, usage in found.items() if usage is not None}


def _disk(folder: Path) -> tuple[int | None, int | None]:
    """Free and total bytes of the disk the folder is on, or will be on."""
    nearest = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        usage = shutil.disk_usage(nearest)
    except OSError:
        return None, None
    return usage.free, usage.total
