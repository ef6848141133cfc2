"""The reports on a real engine, over the wire, with rows whose sums are known."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.reports.answers import Reports
from exporters.reports.dimensions import filter_names, group_names, parse_by, parse_where
from exporters.reports.errors import EmptyStoreError, StoreRefusedError, StoreUnreachableError
from exporters.reports.period import parse_period
from exporters.reports.question import Query, Question
from exporters.reports.store import StoreReader
from proxy.core.price import Listing
from tests.fakes.report_store import report_store, running_store

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with report_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="module")
def reader(store):
    reader = StoreReader(store.settings)
    yield reader
    reader.close()


@pytest.fixture
def team():
    """A team of the test's own, so that tests share a store and not their rows."""
    return f"team-{uuid.uuid4()}"


@pytest.fixture
def ask(reader, team):
    def ask(name="costs", by="", *, where=(), limit=None, since="2026-11-01", until=None, tz="UTC", prices=None):
        question = Question(
            period=parse_period(since, until, tz, NOW),
            by=parse_by(by),
            where=parse_where([f"team={team}", *where]),
            limit=limit,
        )
        return Reports(reader, prices or (lambda *_: None)).answer(name, question)

    return ask


def call(number, team, **more):
    at = datetime(2026, 11, 10, tzinfo=UTC) + timedelta(hours=number)
    return {"call_id": f"{team}-{number}", "team": team, "started_at": at.strftime("%Y-%m-%d %H:%M:%S"), **more}


def cells(report, rows, *names):
    return [tuple(record[name] for name in names) for record in report.records(rows)]


@pytest.mark.parametrize("by", group_names())
def test_every_dimension_groups_and_the_rows_add_up_to_the_known_sum(store, ask, team, by):
    rows = [
        call(
            n,
            team,
            cost=f"0.{n + 1:018d}",
            model=f"m{n % 3}",
            user=f"u{n % 5}",
            tags={"NAME": str(n % 2)},
            input_tokens=n,
        )
        for n in range(30)
    ]
    store.add(rows)
    report = ask(by=by)
    (total,) = report.records(report.totals)
    assert total["cost"] == Decimal(sum(range(1, 31))).scaleb(-18)
    assert total["input_tokens"] == sum(range(30))
    shown = report.records(report.rows)
    assert sum(row["calls"] for row in shown) == 30
    assert sum(row["cost"] for row in shown) == total["cost"]


@pytest.mark.parametrize("name", filter_names())
def test_every_filter_is_understood_by_the_engine(store, ask, team, name):
    store.add([call(0, team)])
    chosen = [ask(where=[f"{name}{operator}x"]).totals for operator in ("=", "!=")]
    # A call is on one side of a filter; but values of one name are alternatives, and `ask` names the team itself.
    assert sum(total[2] for totals in chosen for total in totals) == (2 if name == "team" else 1)
    for operator in ("=", "!="):
        assert ask("providers", where=[f"{name}{operator}x"]).columns


def test_filters_choose_by_value_and_what_is_nasty_is_only_a_value(store, ask, team):
    nasty = "it's \\ a `name`\n{x:String} -- \N{SNOWMAN}"
    store.add([call(0, team, user=nasty, status=500), call(1, team, user="ann"), call(2, team, tags={nasty: nasty})])
    assert ask(where=[f"user={nasty}"]).totals[0][2] == 1
    assert ask(where=[f"user!={nasty}"]).totals[0][2] == 2
    assert ask(where=[f"tag:{nasty}={nasty}"]).totals[0][2] == 1
    assert ask(where=["user=ann", "user=bob"]).totals[0][2] == 1
    assert ask(where=["status=500"]).totals[0][2] == 1
    report = ask(by=f"tag:{nasty}".replace(",", ""))
    assert {row[0] for row in report.rows} == {nasty, ""}


def test_currencies_and_billing_stand_apart_and_totals_name_their_doubts(store, ask, team):
    store.add(
        [
            call(0, team, cost="1.25"),
            call(1, team, cost="0.25", usage_source="estimated", cost_estimated=True),
            call(2, team, cost="7", currency="CNY"),
            call(3, team, cost="5", billing="subscription"),
            call(4, team, cost=None, unpriced_attempts=1, cost_source="none"),
            call(5, team, cost="0.5", outcome="interrupted", status=0, cost_estimated=True),
            call(6, team, cost="0", billing="free", billable=False, cost_source="none", usage_source="none"),
            call(7, team, cost=None, outcome="error", status=401, usage_source="none", cost_source="none"),
            call(8, team, cost=None, outcome="cancelled", status=0, usage_source="none", cost_source="none"),
        ]
    )
    report = ask()
    names = ("currency", "billing", "calls", "errors", "cost", "estimated", "unpriced", "interrupted")
    assert cells(report, report.totals, *names) == [
        ("CNY", "metered", 1, 0, Decimal(7), 0, 0, 0),
        ("USD", "metered", 7, 2, Decimal(2), 2, 2, 1),
        ("USD", "subscription", 1, 0, Decimal(5), 0, 0, 0),
    ]


def test_money_belongs_to_the_attempt_and_a_call_is_counted_once(store, ask, team):
    fallen = call(0, team, attempt=2, provider="openai", model="gpt", cost="3", input_tokens=30)
    store.add(
        [
            fallen,
            call(1, team, attempt=0, provider="", model="", outcome="refused", cost=None, currency="", billing=""),
        ],
        [
            fallen
            | {"attempt": 1, "provider": "minimax", "model": "m3", "outcome": "broken", "cost": "1", "currency": "CNY"},
            fallen | {"cost": "2", "input_tokens": 20},
        ],
    )
    report = ask(by="provider")
    assert cells(report, report.rows, "provider", "currency", "calls", "input_tokens", "cost") == [
        ("minimax", "CNY", 0, 30, Decimal(1)),
        ("openai", "USD", 1, 20, Decimal(2)),
        ("", "", 1, None, None),
    ]


def test_what_the_limit_leaves_out_is_in_the_others(store, ask, team):
    store.add([call(n, team, model=f"m{n}", cost=f"0.{n + 1}") for n in range(5)])
    report = ask(by="model", limit=2)
    assert cells(report, report.rows, "model", "calls", "cost", "share") == [
        ("m4", 1, Decimal("0.5"), Decimal("0.333333")),
        ("m3", 1, Decimal("0.4"), Decimal("0.266667")),
        ("(others)", 3, Decimal("0.6"), Decimal("0.4")),
    ]


def test_days_are_those_of_the_zone_and_come_in_their_order(store, ask, team):
    # In Berlin the day of the 25th of October has 25 hours; the first of these calls is of its first hour.
    at = [
        "2026-10-24 22:30:00",
        "2026-10-25 00:30:00",
        "2026-10-25 01:30:00",
        "2026-10-25 22:59:59",
        "2026-10-25 23:00:00",
    ]
    store.add([call(n, team, cost="1") | {"started_at": text} for n, text in enumerate(at)])
    report = ask(by="day", since="2026-10", tz="Europe/Berlin")
    assert cells(report, report.rows, "day", "calls") == [("2026-10-25", 4), ("2026-10-26", 1)]
    report = ask(by="hour", since="2026-10-25", until="2026-10-26", tz="Europe/Berlin")
    assert [(row["hour"].strftime("%H:%M %Z"), row["calls"]) for row in report.records(report.rows)] == [
        ("00:00 CEST", 1),
        ("02:00 CEST", 1),
        ("02:00 CET", 1),
        ("23:00 CET", 1),
    ]
    report = ask(by="hour", since="2026-10-24", until="2026-10-25T00:00Z", tz="Asia/Kolkata")
    assert [row["hour"].isoformat() for row in report.records(report.rows)] == ["2026-10-25T04:00:00+05:30"]


def test_the_end_of_a_period_does_not_belong_to_it(store, ask, team):
    at = ["2026-11-01 00:00:00", "2026-11-01 23:59:59.999999999", "2026-11-02 00:00:00"]
    store.add([call(n, team) | {"started_at": text} for n, text in enumerate(at)])
    assert ask(since="2026-11-01", until="2026-11-02").totals[0][2] == 2


def test_the_last_calls_come_newest_first(store, ask, team):
    store.add([call(n, team, cost="0.000000000000000001", ttft_ms=12.3456) for n in range(5)])
    report = ask("calls", limit=2, tz="Asia/Shanghai")
    assert cells(report, report.rows, "call_id", "caller", "cost", "duration", "ttft") == [
        (f"{team}-4", team, Decimal("1e-18"), Decimal(1000), Decimal("12.345")),
        (f"{team}-3", team, Decimal("1e-18"), Decimal(1000), Decimal("12.345")),
    ]
    assert report.rows[0][0].isoformat() == "2026-11-10T12:00:00+08:00"
    assert report.notes[0] == "2 calls shown, of them 0 estimated, 0 unpriced, 0 interrupted."


def test_providers_are_measured_over_their_attempts(store, ask, team):
    good = [
        call(
            n,
            team,
            duration_ms=1000.0 + n,
            ttft_ms=200.0,
            streaming=True,
            input_tokens=900,
            output_tokens=100,
            cost="0.001",
        )
        for n in range(100)
    ]
    bad = [
        call(100, team, outcome="error", error_class="overloaded", status=529, cost=None, duration_ms=5.0),
        call(101, team, outcome="error", error_class="invalid_request", status=400, cost=None, duration_ms=5.0),
        call(102, team, outcome="cancelled", error_class="cancelled_by_client", cost=None, duration_ms=5.0),
        call(103, team, billing="subscription", cost="9", input_tokens=1, output_tokens=1, duration_ms=1050.0),
    ]
    store.add([*good, *bad])
    listing = Listing(price_id="p", currency="USD", input_per_million=Decimal("0.3"), output_per_million=Decimal("1.2"))
    report = ask("providers", prices=lambda *_: listing)
    (row,) = report.records(report.rows)
    assert row["requests"] == 104
    assert row["success_rate"] == Decimal("0.980583")  # 101 of 103
    assert row["uptime"] == Decimal("0.990385")  # 103 of 104 minutes
    assert 1040 <= row["latency_p50"] <= 1060
    assert 1090 <= row["latency_p95"] <= 1100
    assert row["ttft_p50"] == 200
    assert 110 <= row["output_speed_p50"] <= 125
    assert row["effective_price"] == Decimal(1)
    assert row["list_price_out"] == Decimal("1.2")


def test_a_failure_under_an_alias_counts_against_the_model_that_answers_to_it(store, ask, team):
    asked = {"provider": "openai", "model_requested": "gpt-5"}
    failed = asked | {"model": "gpt-5", "outcome": "error", "error_class": "server_error"}
    store.add(
        [
            call(0, team, **asked, model="gpt-5-2025"),
            call(1, team, **failed),
            call(2, team, **failed | {"provider": "azure"}),
        ]
    )
    report = ask("providers")
    assert cells(report, report.rows, "provider", "model", "requests", "success_rate") == [
        ("openai", "gpt-5-2025", 2, Decimal("0.5")),
        ("azure", "gpt-5", 1, Decimal(0)),
    ]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["USD", "CNY"]), st.integers(0, 4), st.none() | st.integers(0, 10**20)),
        min_size=1,
        max_size=20,
    ),
    st.integers(1, 3),
)
def test_totals_are_the_sum_of_the_rows_in_decimal(store, reader, rows, limit):
    team = f"team-{uuid.uuid4()}"
    store.add(
        call(
            n,
            team,
            currency=currency,
            model=f"m{model}",
            cost=None if units is None else f"{units // 10**18}.{units % 10**18:018d}",
        )
        for n, (currency, model, units) in enumerate(rows)
    )
    question = Question(
        period=parse_period("2026-11-01", None, "UTC", NOW),
        by=parse_by("model"),
        where=parse_where([f"team={team}"]),
        limit=limit,
    )
    report = Reports(reader, lambda *_: None).answer("costs", question)
    for total in report.records(report.totals):
        known = [units for currency, _, units in rows if currency == total["currency"] and units is not None]
        shown = [row for row in report.records(report.rows) if row["currency"] == total["currency"]]
        assert total["cost"] == (Decimal(sum(known)).scaleb(-18) if known else None)
        assert sum(row["calls"] for row in shown) == total["calls"]
        assert sum(row["cost"] for row in shown if row["cost"] is not None) == (total["cost"] or 0)


def test_reports_read_as_the_user_who_can_do_nothing_else(store):
    reader = StoreReader(store.settings)
    with pytest.raises(StoreRefusedError, match=r"could not answer: Cannot execute query in readonly mode.*\.$"):
        reader.rows(Query("INSERT INTO calls (call_id) VALUES ('x')", {}))
    reader.close()


def test_a_wrong_password_is_one_sentence(store):
    reader = StoreReader(msgspec.structs.replace(store.settings, reader_password="wrong"))
    with pytest.raises(StoreRefusedError, match="user or password are wrong"):
        reader.rows(Query("SELECT 1", {}))


def test_a_store_without_tables_is_empty(tmp_path):
    with running_store(tmp_path) as settings:
        reader = StoreReader(settings)
        with pytest.raises(EmptyStoreError, match="holds no calls yet"):
            reader.rows(Query("SELECT count() FROM calls", {}))
        reader.close()
    with pytest.raises(StoreUnreachableError, match="is `taximeter serve` running"):
        StoreReader(settings).rows(Query("SELECT 1", {}))


def test_an_address_where_nobody_listens_names_the_setting_and_nothing_else_is_said(store, caplog):
    reader = StoreReader(msgspec.structs.replace(store.settings, url="http://127.0.0.1:1", embedded=False))
    with pytest.raises(StoreUnreachableError, match=r"No store answers at http://127\.0\.0\.1:1: check `store\.url`"):
        reader.rows(Query("SELECT 1", {}))
    assert not caplog.records
