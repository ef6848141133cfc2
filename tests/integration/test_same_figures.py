"""Report, files, admin API, `/metrics` and SQL over raw rows tell the same money, to the last decimal.

Two generated months in the real store: several currencies, subscriptions, estimated, unpriced and interrupted calls.
The truth is worked out from the records themselves, without any query.
"""

import csv
import io
import json
import zipfile
from collections import defaultdict
from datetime import datetime
from decimal import Decimal, localcontext
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporters.prometheus.page import render
from exporters.prometheus.sink import PrometheusSink
from exporters.recorder.ports import Batch
from exporters.reports.answers import Asked, Reports, no_ledger
from exporters.reports.period import unix_ns
from exporters.reports.question import Query
from exporters.reports.store import StoreReader
from proxy.app import pricer_of
from proxy.app_console import ConsoleSource
from tests.fakes.finance_month import finance_month

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow, which reads Parquet files here, is not installed")
pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

ZONE = "Europe/Berlin"
SINCE_NS, UNTIL_NS = (unix_ns(datetime(2026, month, 1, tzinfo=ZoneInfo(ZONE))) for month in (11, 12))
NOW = datetime(2026, 12, 5, tzinfo=ZoneInfo(ZONE))
FIGURES = ("cost", "estimated_cost", "interrupted_cost")
COUNTS = ("calls", "estimated", "unpriced", "interrupted")
PARTS = ("totals", "costs", "callers", "days")


class NoBooks:
    """A ledger without a counter."""

    def recorded(self, family=""):
        return ()

    def top_ups(self):
        return ()


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    with finance_month(tmp_path_factory.mktemp("month")) as (settings, calls):
        reader = StoreReader(settings.store)
        november = [one for one in calls if SINCE_NS <= one.call.started_at_ns < UNTIL_NS]
        yield SimpleNamespace(
            settings=settings, reader=reader, calls=november, reports=Reports(reader, lambda *_: None, no_ledger)
        )
        reader.close()


def section(currency, billing):
    return currency, "metered" if billing == "free" else billing


@pytest.fixture(scope="module")
def truth(month):
    """Money by currency and billing, by the records alone."""
    found = defaultdict(lambda: dict.fromkeys(FIGURES, Decimal(0)))
    with localcontext(prec=60):
        for one in month.calls:
            for attempt, price in zip(one.call.attempts, one.prices, strict=True):
                if SINCE_NS <= attempt.started_at_ns < UNTIL_NS and price.amount is not None:
                    mine = found[section(price.currency, price.billing)]
                    mine["cost"] += price.amount
                    mine["estimated_cost"] += price.amount if price.estimated else 0
                    mine["interrupted_cost"] += price.amount if attempt.outcome == "interrupted" else 0
    return dict(found)


def summed(records, names=FIGURES):
    """Figures of records by section, what is not known left out."""
    found = defaultdict(lambda: dict.fromkeys(names, Decimal(0)))
    with localcontext(prec=60):
        for one in records:
            if one["currency"]:
                for name in names:
                    found[one["currency"], one["billing"]][name] += Decimal(one[name] or 0)
    return dict(found)


def told(month, answer_format, **more):
    found = month.reports.tell(Asked(tz=ZONE, **{"name": "month", "month": "2026-11", **more}), answer_format, NOW)
    assert not found.problem
    return found


def test_the_month_has_everything_that_may_go_wrong(truth):
    assert {currency for currency, _ in truth} >= {"USD", "CNY"}
    assert ("USD", "subscription") in truth
    assert all(truth["USD", "metered"].values())


def test_sql_over_raw_rows_tells_the_truth(month, truth):
    sql = (
        "SELECT currency, if(billing = 'free', 'metered', billing) AS kind, sum(cost), "
        "sumIf(cost, cost_estimated), sumIf(cost, outcome = 'interrupted') FROM attempts "
        f"WHERE toUnixTimestamp64Nano(started_at) >= {SINCE_NS} AND toUnixTimestamp64Nano(started_at) < {UNTIL_NS} "
        "AND isNotNull(cost) GROUP BY currency, kind"
    )
    rows = month.reader.rows(Query(sql, {}))
    found = [dict(zip(("currency", "billing", *FIGURES), row, strict=True)) for row in rows]
    assert summed(found) == truth


def test_counts_of_estimated_unpriced_and_interrupted_calls_are_those_of_the_raw_rows(month):
    sql = (
        "SELECT currency, if(billing = 'free', 'metered', billing) AS kind, count(), countIf(cost_estimated), "
        "countIf(unpriced_attempts > 0 OR (isNull(cost) AND billable AND outcome NOT IN ('refused', 'error'))), "
        f"countIf(outcome = 'interrupted') FROM calls WHERE toUnixTimestamp64Nano(started_at) >= {SINCE_NS} "
        f"AND toUnixTimestamp64Nano(started_at) < {UNTIL_NS} GROUP BY currency, kind"
    )
    raw = {(currency, kind): tuple(counts) for currency, kind, *counts in month.reader.rows(Query(sql, {}))}
    totals = json.loads(told(month, "json", part="totals").text)["rows"]
    assert {(one["currency"], one["billing"]): tuple(one[name] for name in COUNTS) for one in totals} == raw
    assert sum(one["interrupted"] for one in totals) == sum(one.call.outcome == "interrupted" for one in month.calls)


def test_every_part_of_the_month_tells_the_truth(month, truth):
    parts = json.loads(told(month, "json").text)["parts"]
    assert summed(parts["totals"]["rows"]) == truth
    assert summed(parts["costs"]["rows"]) == truth
    assert summed(parts["callers"]["rows"]) == truth
    money = {key: {"cost": figures["cost"]} for key, figures in truth.items()}
    assert summed(parts["days"]["rows"], ("cost",)) == money
    assert summed(parts["days"]["totals"], ("cost",)) == money


def test_what_caches_saved_is_that_of_the_price_lines(month):
    exact = defaultdict(lambda: dict.fromkeys(("saved", "paid_for_writes"), Decimal(0)))
    with localcontext(prec=60):
        for one in month.calls:
            for price in one.prices:
                lines = {line.part: line for line in price.lines}
                if (fresh := lines.get("input")) is None:
                    continue
                mine = exact[section(price.currency, price.billing)]
                for part, line in lines.items():
                    if part == "cached_input":
                        mine["saved"] += line.quantity * (fresh.rate - line.rate) / line.per
                    elif part.startswith("cache_write"):
                        mine["paid_for_writes"] += line.quantity * (line.rate - fresh.rate) / line.per
    told_rows = json.loads(told(month, "json", part="savings").text)["totals"]
    found = summed(told_rows, ("saved", "paid_for_writes"))
    assert found == {key: figures for key, figures in exact.items() if key in found}
    assert all(not any(figures.values()) for key, figures in exact.items() if key not in found)
    assert found["USD", "metered"]["saved"] > found["USD", "metered"]["paid_for_writes"] > 0


@pytest.mark.parametrize("by", ["team", "model,provider", "day", "hour", "user", "tag:env", "price_id", "session"])
def test_costs_by_anything_tell_the_truth(month, truth, by):
    report = json.loads(told(month, "json", name="costs", by=by).text)
    assert summed(report["rows"]) == truth
    assert summed(report["totals"]) == truth


def test_files_tell_the_truth(month, truth):
    rows = list(csv.DictReader(io.StringIO(told(month, "csv").text)))
    assert summed(rows) == truth
    assert summed(pq.read_table(io.BytesIO(told(month, "parquet").body)).to_pylist()) == truth
    page = told(month, "html").text
    with zipfile.ZipFile(io.BytesIO(told(month, "xlsx").body)) as book:
        texts = book.read("xl/sharedStrings.xml").decode()
    for figures in truth.values():
        exact = f"{figures['cost']:f}".rstrip("0")
        assert f">{exact}<" in texts
        assert f"{figures['cost'].quantize(Decimal('0.0001')):,f}"[:5] in page


def test_the_admin_port_tells_the_truth(month, truth):
    source = ConsoleSource(month.settings, pricer_of(month.settings), NoBooks())
    asked = {"name": "costs", "month": "2026-11", "tz": ZONE, "by": "team"}
    answer = source.report(asked, "json")
    assert not answer.problem
    assert summed(json.loads(answer.body)["rows"]) == truth
    for answer_format, kind in (
        ("csv", "text/csv"),
        ("html", "text/html"),
        ("parquet", "application/vnd.apache.parquet"),
    ):
        answer = source.report(asked, answer_format)
        assert (answer.problem, answer.content_type) == ("", kind)
    assert summed(csv.DictReader(io.StringIO(source.report(asked, "csv").body.decode()))) == truth


def test_metrics_tell_the_truth_as_far_as_floats_go(month, truth):
    sink = PrometheusSink(max_models=1000, max_teams=100, now_ns=lambda: 0)
    counts = sink.deliver(Batch(instance="one", number=1, token="t", calls=month.calls))
    assert counts == {"calls": len(month.calls)}
    exact = defaultdict(Decimal)
    for one in month.calls:
        for price in one.prices:
            exact[one.call.caller.team, price.currency, price.billing] += price.amount or 0
    body, _ = render("text/plain", sink.families())
    samples = {
        tuple(sample.labels[name] for name in ("team", "currency", "billing")): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
        if sample.name == "taximeter_team_cost_total"
    }
    # Inside they are exact; the page has the float next to each.
    assert samples == {key: float(amount) for key, amount in exact.items() if key in samples}
    assert sum(amount for key, amount in exact.items() if key not in samples) == 0
    with localcontext(prec=60):
        sums = defaultdict(Decimal)
        for (_, currency, billing), amount in exact.items():
            sums[section(currency, billing)] += amount
    assert {key: amount for key, amount in sums.items() if amount} == {key: one["cost"] for key, one in truth.items()}
