"""A store with a generated month in it, as Grafana would ask it: rows of calls, and pictures of the machine's health."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from clickhouse_connect.driver.client import Client

from exporters.clickhouse.build import attempt_rows, call_row
from exporters.clickhouse.client import INSERT_SETTINGS
from exporters.recorder.ports import PricedCall
from exporters.schema.views import view_statements
from grafana.macros import Range
from proxy.app import pricer_of
from tests.fakes.embedded_store import embedded_store
from tests.fakes.filled_store import ready_store
from tests.fakes.synthetic import DAYS, SINCE, synthetic_calls

CALLS = 6000
MONTH = Range(int(SINCE.timestamp()), int(SINCE.timestamp()) + DAYS * 86_400 - 1, 3600)
FIGURES = {
    ("taximeter_budget_limit", "'budget', 'search', 'unit', 'USD'"): 100,
    ("taximeter_budget_used", "'budget', 'search', 'unit', 'USD'"): 40,
    ("taximeter_budget_held", "'budget', 'search', 'unit', 'USD'"): 1,
    ("taximeter_budget_used_ratio", "'budget', 'search', 'unit', 'USD'"): 0.41,
    ("taximeter_budget_drift", "'budget', 'search', 'unit', 'USD'"): 0,
    ("taximeter_target_state", "'target', 'minimax', 'state', 'open'"): 1,
    ("taximeter_journal_segments", ""): 2,
    ("taximeter_journal_bytes", ""): 4096,
    ("taximeter_sink_lag_seconds", "'sink', 'clickhouse'"): 1,
    ("taximeter_losses_total", "'reason', 'journal_full'"): 0,
    ("taximeter_self_check_doubled_rows", "'table', 'calls'"): 0,
    ("taximeter_self_check_drifted_days", ""): 0,
    ("taximeter_process_up", "'process', 'worker-0'"): 1,
    ("taximeter_process_restarts_total", "'process', 'worker-0'"): 0,
    ("taximeter_process_resident_memory_bytes", "'process', 'worker-0'"): 5e7,
    ("taximeter_disk_free_bytes", ""): 1e11,
    ("taximeter_finding_bad", "'about', 'journal'"): 0,
}
"""A machine that is well: metric and labels -> value. Names are those of docs/metrics.md."""


def insert(client: Client, table: str, rows: list[msgspec.Struct]) -> None:
    body = b"\n".join(map(msgspec.json.encode, rows))
    client.raw_insert(
        table, insert_block=body, fmt="JSONEachRow", settings={**INSERT_SETTINGS, "insert_deduplicate": 0}
    )


def write_health(
    client: Client, metric: str, labels: str, value: float, since_s: int, until_s: int, every_s: int
) -> None:
    client.command(
        f"INSERT INTO health SELECT toDateTime({since_s} + number * {every_s}, 'UTC'), 'one', '{metric}', "
        f"map({labels}), {value} FROM numbers({max(1, (until_s - since_s) // every_s)})",
        settings={**INSERT_SETTINGS, "insert_deduplicate": 0},
    )


def with_views(client: Client) -> None:
    for statement in view_statements("1.41"):
        client.command(statement)


def priced_calls(settings, count: int) -> Iterator[PricedCall]:
    pricer = pricer_of(settings)
    for number, drawn in enumerate(synthetic_calls(count)):
        more = ("shadow:budget:search:deny",) if number % 50 == 0 else ()
        call = msgspec.structs.replace(drawn, reasons=(*drawn.reasons, *more))
        yield PricedCall(call, tuple(pricer.price(attempt, call) for attempt in call.attempts))


@contextmanager
def month_store(folder: Path) -> Iterator[Client]:
    with embedded_store(folder) as store:
        client = ready_store(store)
        with_views(client)
        calls = list(priced_calls(store.settings, CALLS))
        insert(client, "calls", [call_row(one) for one in calls])
        insert(client, "attempts", [row for one in calls for row in attempt_rows(one)])
        # Rows of health expire by the real clock: not in this test, whenever it runs.
        client.command("ALTER TABLE health REMOVE TTL")
        for (metric, labels), value in FIGURES.items():
            write_health(client, metric, labels, value, MONTH.since_s, MONTH.until_s, 3600)
        yield client
        client.close()
