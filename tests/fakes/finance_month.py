"""Two generated months in a real store, priced as the recorder does: several currencies, subscriptions, crashes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from exporters.clickhouse.build import attempt_rows, call_row
from exporters.recorder.ports import PricedCall
from proxy.app import pricer_of
from proxy.settings import Listen, Settings
from tests.fakes.report_store import ReportStore, report_store
from tests.fakes.synthetic import synthetic_calls

SINCE = datetime(2026, 10, 1, tzinfo=UTC)
DAYS = 61
CALLS = 6000


def settings_for(folder: Path, store: ReportStore) -> Settings:
    return Settings(
        listen=Listen("127.0.0.1", 0), admin=Listen("127.0.0.1", 0), store=store.settings, data_dir=folder, workers=1,
        providers=(),
    )  # fmt: skip


def priced(settings: Settings, count: int = CALLS) -> list[PricedCall]:
    pricer = pricer_of(settings)
    return [
        PricedCall(call, tuple(pricer.price(attempt, call) for attempt in call.attempts))
        for call in synthetic_calls(count, since=SINCE, days=DAYS)
    ]


@contextmanager
def finance_month(folder: Path, count: int = CALLS) -> Iterator[tuple[Settings, list[PricedCall]]]:
    with report_store(folder) as store:
        settings = settings_for(folder, store)
        settings.run_dir.mkdir(exist_ok=True, parents=True)
        calls = priced(settings, count)
        store.insert("calls", [msgspec.to_builtins(call_row(one)) for one in calls])
        store.insert("attempts", [msgspec.to_builtins(row) for one in calls for row in attempt_rows(one)])
        yield settings, calls
