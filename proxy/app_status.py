"""The wiring of the status: what a process knows of the whole, from the recorder's own memory or from the disk."""

import contextlib
import time
from typing import Literal

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from exporters.clickhouse.client import connect
from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import instances, list_segments
from exporters.ledger.watching import Watched
from exporters.recorder.state import losses_on_disk
from exporters.recorder.status import RecorderStatus
from exporters.schema.errors import SchemaError
from exporters.schema.migrate import form_of
from exporters.schema.migrations import load_migrations
from exporters.schema.ttl import retention_changes, table_ttls
from policies.wording import amount_text
from proxy.admin.status import JournalStatus, LedgerCheck, SelfCheck, SinkState, Status, StoreStatus, fetch, gather
from proxy.runstate import read_state
from proxy.settings import Settings

_TROUBLE_S = 60.0
_FRESH_LOSS_S = 3600.0
_STORE_PATIENCE_S = 5


def status_of(settings: Settings) -> Status:
    """How everything is doing, from the recorder if one runs, else from the disk. Blocks for some seconds at most."""
    told = fetch(settings.admin) if read_state(settings) else None
    status = told or told_status(settings, _journal_on_disk(settings), told_by="disk")
    return msgspec.structs.replace(status, store=_with_kept(settings, status.store))


def recorder_status(settings: Settings, known: RecorderStatus, drift: Watched | None) -> Status:
    """How everything is doing, as the running recorder knows it; blocks as `told_status` does."""
    journal, check = journal_as_told(known), checked(known)
    return told_status(settings, journal, told_by="recorder", self_check=check, ledger=ledger_check(drift))


def told_status(
    settings: Settings,
    journal: JournalStatus,
    *,
    told_by: Literal["recorder", "disk"],
    self_check: SelfCheck | None = None,
    ledger: LedgerCheck | None = None,
) -> Status:
    """How everything is doing, with what is known of the journal; blocks while the store is asked."""
    wanted = max(migration.version for migration in load_migrations())
    found = gather(settings, journal, wanted, told_by=told_by, self_check=self_check)
    return msgspec.structs.replace(found, ledger=ledger)


def journal_as_told(known: RecorderStatus) -> JournalStatus:
    """The journal as the recorder knows it."""
    return JournalStatus(
        segments=known.journal_segments,
        bytes=known.journal_bytes,
        lag_s=known.journal_oldest_s,
        losses=dict(known.losses),
        fresh_losses=tuple(r for r, at_ns in dict(known.losses_at_ns).items() if _ago_s(at_ns) < _FRESH_LOSS_S),
        phase=known.phase,
        look_age_s=_ago_s(known.looked_at_ns) if known.looked_at_ns else None,
        trouble=known.last_error if known.last_error_ns and _ago_s(known.last_error_ns) < _TROUBLE_S else "",
        quarantined=dict(known.quarantine),
        sinks={
            name: SinkState(
                reachable=sink.reachable,
                lag_s=sink.lag_s,
                failures=sink.failures,
                last_error=sink.last_error,
                counts=dict(sink.counts),
                trouble=sink.trouble,
            )
            for name, sink in known.sinks.items()
        },
    )


def checked(known: RecorderStatus) -> SelfCheck:
    """What the nightly self-check found last."""
    check = known.self_check
    return SelfCheck(
        ran_at_s=None if check.ran_at_ns is None else check.ran_at_ns / 1e9,
        ok=check.ok,
        days=check.days,
        doubled_calls=check.doubled_calls,
        doubled_attempts=check.doubled_attempts,
        drifted_days=check.drifted_days,
        findings=tuple(check.findings),
        error=check.last_error,
    )


def ledger_check(found: Watched | None) -> LedgerCheck | None:
    """What the last comparison has found, for the status."""
    if found is None:
        return None
    return LedgerCheck(
        compared_at_s=found.at_ns / 1e9,
        counters=found.counters,
        drifting=tuple(
            f"{line.counter}: {amount_text(line.ledger, line.unit)} and {amount_text(line.store, line.unit)}"
            for line in found.drifting[:20]
        ),
        behind=found.behind,
        error=found.error,
    )


def _with_kept(settings: Settings, known: StoreStatus) -> StoreStatus:
    """With how long the rows are kept; as it was where the store does not say."""
    store = settings.store
    if known.reachable and known.schema_version is not None:
        with contextlib.suppress(ClickHouseError, SchemaError):
            form = form_of(store.cluster, store.database, load_migrations())
            with contextlib.closing(
                connect(store, database=store.database, answer_timeout_s=_STORE_PATIENCE_S)
            ) as client:
                ttls = table_ttls(client, form)
                return msgspec.structs.replace(
                    known,
                    kept={name: ttl.said() for name, ttl in ttls.items() if ttl.expression},
                    kept_to_be=tuple(change.said for change in retention_changes(client, form, store.retention)),
                )
    return known


def _ago_s(at_ns: int) -> float:
    return max(0.0, (time.time_ns() - at_ns) / 1e9)


def _journal_on_disk(settings: Settings) -> JournalStatus:
    folder = settings.journal_dir
    found = [segment.path for name in instances(folder) for segment in list_segments(folder, name).sealed.values()]
    sizes = [path.stat() for path in found if path.exists()]
    return JournalStatus(
        segments=len(sizes),
        bytes=sum(stat.st_size for stat in sizes),
        lag_s=max([0.0, *(time.time() - stat.st_mtime for stat in sizes)]),
        losses=losses_on_disk(settings.run_dir / "recorder.sqlite"),
        quarantined=Quarantine(folder).counts(),
    )
