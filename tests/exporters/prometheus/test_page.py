"""The whole answer: parsed back by the library's own parsers, and held to the rules that `promtool check metrics` has."""

import re
import time
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporters.ledger.watching import Watched, drift_families
from exporters.prometheus.levels import BudgetLevel, Generation, level_families
from exporters.prometheus.page import render
from exporters.prometheus.recorder import recorder_families
from exporters.prometheus.sink import PrometheusSink
from exporters.prometheus.tables import MAX_SETS
from exporters.prometheus.targets import TargetLevel, target_families
from exporters.recorder.ports import Batch, PricedCall
from exporters.recorder.status import RecorderStatus, SelfCheckStatus, SinkStatus
from policies.compiled import Budget, Window
from proxy.admin.metrics import status_families
from proxy.admin.usage import ProcessUsage
from proxy.core.errors import REMEDIES, ErrorSeen, judge
from proxy.core.pricing import Priced
from proxy.core.record import Caller
from tests.fakes.records import STARTED_NS, attempt, call
from tests.fakes.statuses import status as status_with

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
MAX_SCRAPE_S = 0.05
OUTCOMES = ("ok", "error", "cancelled", "broken", "interrupted")
MODELS, TEAMS = 60, 30
CENT = Priced(amount=Decimal("0.01"), currency="USD")


def full():
    """Metrics with every label set that real traffic can bring: all models, each with good calls and every error."""
    calls = []
    for n in range(2 * MODELS):
        caller = Caller(team=f"team-{n}")
        more = {"model": f"model-{n}", "ttft_ns": 10**8 * n, "connect_ns": 10**6, "stream_end": "done_marker"}
        for outcome in OUTCOMES:
            tried = attempt(1, provider=f"provider-{n % 8}", outcome=outcome, **more)
            calls.append(PricedCall(call(n, tried, outcome=outcome, caller=caller), (CENT,)))
        for error_class in REMEDIES:
            wrong = judge(ErrorSeen(status=500), error_class)
            tried = attempt(2, provider=f"provider-{n % 8}", outcome="error", error=wrong, status=500, **more)
            failed = call(n, tried, outcome="error", error_class=error_class, status=500, caller=caller)
            calls.append(PricedCall(failed, (CENT,)))
    odd = call(0, attempt(1, unread="bad_coding"), client_gone=True)
    calls.append(PricedCall(odd, (Priced(amount=None, currency="USD"),)))
    wrong = judge(ErrorSeen(status=500), "server_error")
    moved = (attempt(1, target="a/m", outcome="error", error=wrong), attempt(2, target="b/m"))
    calls.append(PricedCall(call(0, *moved), (CENT, CENT)))
    sink = PrometheusSink(max_models=MODELS, max_teams=TEAMS, now_ns=lambda: STARTED_NS)
    sink.deliver(Batch(instance="w", number=1, token="t", calls=calls))
    return sink


@pytest.fixture(scope="module")
def families():
    sinks = {name: SinkStatus(reachable=True, last_delivered_ns=1, counts={"calls": 1}) for name in ("a", "b")}
    status = RecorderStatus(
        sinks=sinks, quarantine={"torn": 1}, losses={"odd": 1}, self_check=SelfCheckStatus(ran_at_ns=1, ok=True)
    )
    usage = {"worker-0": ProcessUsage(cpu_s=1.0, rss_bytes=1, open_fds=1)}
    status_of_machine = status_with(usage=usage)
    capped = Budget(name="b", policy="budget:b", unit="USD", limit=9, window=Window(shape="total"))
    budget = BudgetLevel(budget="b", unit="USD", limit=Decimal(9), used=Decimal(1), held=Decimal(1))
    return [
        *status_families(status_of_machine, age_s=0.1),
        *recorder_families(status),
        *level_families([budget], [Generation(of="policies", number=1, loaded_at_s=1.0)]),
        *drift_families(Watched(at_ns=1), {"budget:b": capped}),
        *target_families([TargetLevel(target="a/m", state="closed", calls=1, failures=0)]),
        *full().families(),
    ]


def flat(families):
    return {
        (s.name, *sorted(s.labels.items())): s.value
        for f in families
        for s in f.samples
        if not s.name.endswith("_created")
    }


DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


def told_name(family):
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_every_metric_stands_in_the_documentation_with_its_type_and_labels(families):
    rows = re.findall(r"^\| `(taximeter_\w+)` \| (\w+) \| ([^|]*)\|", DOCS.read_text(), re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows}
    assert len(documented) == len(rows)
    exported = {
        told_name(family): (family.type, {label for s in family.samples for label in s.labels} - {"le"})
        for family in families
        if family.samples
    }
    assert exported == {name: documented.get(name) for name in exported}
    assert documented.keys() == exported.keys()


def test_the_alerts_of_the_documentation_ask_for_metrics_that_there_are(families):
    alerts = DOCS.read_text().partition("## Alerts")[2]
    asked = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\btaximeter_\w+", alerts)}
    assert asked <= {told_name(family) for family in families}
    expressions = re.findall(r"(taximeter_\w+)\{([^}]*)\}", alerts)
    assert expressions
    for name, matchers in expressions:
        labels = {label for f in families if told_name(f) == name for s in f.samples for label in s.labels}
        assert set(re.findall(r"(\w+)=", matchers)) <= labels, name


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (OPENMETRICS, parse_openmetrics)])
def test_what_is_written_reads_back_the_same(families, accept, parse):
    body, _ = render(accept, families)
    assert flat(parse(body.decode())) == flat(families)


def test_the_format_is_the_one_that_was_asked_for(families):
    assert render("", families)[1].startswith("text/plain; version=0.0.4")
    assert render("text/html, */*", families)[1].startswith("text/plain")
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    body, content_type = render(prometheus, families)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text;version=x", "text/plain;version=..", ";;;,,,=", "a" * 10**6, "text/plain;version"],
)
def test_an_accept_header_without_sense_gets_plain_text(families, accept):
    assert render(accept, families[:3])[1].startswith("text/plain")


def test_an_empty_family_is_not_told():
    assert render("", [GaugeMetricFamily("taximeter_x", "said", labels=["a"])])[0] == b""


def test_names_units_and_help_are_as_prometheus_wants_them(families):
    for family in families:
        name = family.name
        assert re.fullmatch(r"taximeter_[a-z][a-z0-9]*(_[a-z0-9]+)*", name), name
        assert family.documentation.endswith("."), name
        assert not re.search(r"_(total|count|sum|bucket|info)$", name) or name == "taximeter_build_info", name
        assert not re.search(r"(milli|micro|nano|kilo|mega|_ms|_minutes|_hours|_kb|_mb|_percent)", name), name
        assert not re.search(r"_(gauge|counter|histogram)\b", name), name
        if family.type == "histogram":
            assert name.endswith("_seconds"), name


def test_no_family_is_there_twice_and_no_label_set_in_it(families):
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    assert sum(len(f.samples) for f in families) == len(flat(families))


def test_labels_are_those_that_are_bounded(families):
    allowed = {
        *("provider", "model", "operation", "outcome", "status_class", "status", "error_class", "action", "reason"),
        *("type", "currency", "billing", "source", "end", "label", "le", "team", "sink", "what", "phase", "table"),
        *("process", "about", "version", "platform", "budget", "unit", "of", "target", "state"),
    }
    assert {label for f in families for s in f.samples for label in s.labels} <= allowed


def test_no_value_of_a_label_is_empty(families):
    assert all(value for f in families for s in f.samples for value in s.labels.values())


def test_made_up_names_do_not_make_the_answer_longer(families):
    lines = sum(len(family.samples) for family in families)
    counters = sum(family.type == "counter" for family in families)
    assert len([f for f in families if len(f.samples) > 2 * MAX_SETS + 1 and f.type == "counter"]) == 0
    assert lines < 4500, (lines, counters)


def test_a_full_answer_takes_less_than_50_ms_of_the_processor():
    metrics = full()
    took_s = []
    for _ in range(5):
        began_s = time.process_time()
        render(OPENMETRICS, metrics.families())
        took_s.append(time.process_time() - began_s)
    assert min(took_s) < MAX_SCRAPE_S
