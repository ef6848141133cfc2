"""The state of the machine is rows of the store, bounded, and never in anybody's way."""

import asyncio

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporters.clickhouse.health import MAX_ROWS, HealthRow, HealthWriter, health_rows, run_health
from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.embedded_store import embedded_store
from tests.fakes.filled_store import ready_store
from tests.fakes.until import until

NOWHERE = StoreSettings(url="http://127.0.0.1:1", user="u", password="")


def lag(sink="clickhouse", value=1.5):
    family = GaugeMetricFamily("taximeter_sink_lag_seconds", "Lag.", labels=["sink"])
    family.add_metric([sink], value)
    return family


def test_a_sample_is_a_row_under_the_name_that_metrics_has():
    losses = CounterMetricFamily("taximeter_losses", "Losses.", labels=["reason"], created=12.0)
    losses.add_metric(["journal_full"], 3, created=12.0)

    rows = health_rows([lag(), losses], at_s=7, instance="i")

    assert rows == [
        HealthRow(at=7, instance="i", metric="taximeter_sink_lag_seconds", labels={"sink": "clickhouse"}, value=1.5),
        HealthRow(at=7, instance="i", metric="taximeter_losses_total", labels={"reason": "journal_full"}, value=3.0),
    ]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_left_out(odd):
    assert health_rows([lag(value=odd)], at_s=0, instance="") == []


def test_a_picture_has_an_end():
    assert len(health_rows([lag(sink=str(n)) for n in range(MAX_ROWS + 5)], at_s=0, instance="")) == MAX_ROWS


def test_without_a_store_nothing_is_written_and_nothing_raised(tmp_path):
    assert HealthWriter(NOWHERE, tmp_path / "id").write(lambda: [lag()]) is False


def test_a_second_picture_does_not_wait_behind_the_first(tmp_path):
    writer = HealthWriter(NOWHERE, tmp_path / "id")
    for _ in range(3):
        writer.offer(lambda: [lag()])
    writer.end()
    writer.run()  # it returns: there was one place, and the end took it


@pytest.mark.real
async def test_pictures_are_written_until_the_end(tmp_path):
    with embedded_store(tmp_path / "data") as store:
        client = ready_store(store)
        settings = Settings(
            listen=Listen("127.0.0.1", 0), admin=Listen("127.0.0.1", 0), store=store.settings.store,
            data_dir=tmp_path / "data", workers=1, providers=(),
        )  # fmt: skip
        stop = asyncio.Event()
        pictures = 0

        async def gather():
            nonlocal pictures
            pictures += 1
            return lambda: [lag(value=float(pictures))]

        writing = asyncio.create_task(run_health(settings, gather, stop, every_s=1.1))
        sql = "SELECT uniqExact(at), any(labels['sink']), uniqExact(instance) FROM health"
        await until(lambda: client.query(sql).result_rows[0][0] >= 2)
        stop.set()
        await writing

        assert tuple(client.query(sql).result_rows[0][1:]) == ("clickhouse", 1)
