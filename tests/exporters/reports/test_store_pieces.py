"""Reports from roll-ups are those from the single rows, on a real engine and whatever is asked."""

import math
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from exporters.reports import costs, providers
from exporters.reports.answers import Reports
from exporters.reports.dimensions import group_names, parse_by, parse_where
from exporters.reports.errors import EmptyStoreError
from exporters.reports.period import Period, from_unix_ns, parse_period, parse_zone
from exporters.reports.pieces import DAYS, MINUTES
from exporters.reports.question import Question
from exporters.reports.store import StoreReader
from tests.fakes.report_store import report_store

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
FIRST_NS = int(FIRST.timestamp()) * 10**9
DAYS_NS = 86_400 * 10**9


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with report_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="module")
def reader(store):
    reader = StoreReader(store.settings)
    yield reader
    reader.close()


MAYBE = st.none() | st.integers(0, 10**6)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "at_ns": st.integers(0, 3 * DAYS_NS // 1000).map(lambda us: us * 1000),
            "attempt": st.integers(0, 2),
            "model": st.sampled_from(["a", "a-2026", "b"]),
            "model_requested": st.sampled_from(["a", "b"]),
            "user": st.sampled_from(["u", "v"]),
            "provider": st.sampled_from(["x", "y"]),
            "outcome": st.sampled_from(["ok", "ok", "error", "cancelled", "interrupted", "refused", "broken"]),
            "error_class": st.sampled_from(["", "overloaded", "auth"]),
            "currency": st.sampled_from(["USD", "CNY", ""]),
            "billing": st.sampled_from(["metered", "subscription", "free"]),
            "streaming": st.booleans(),
            "status": st.sampled_from([0, 200, 500]),
            "usage_source": st.sampled_from(["provider", "none"]),
            "cost": st.none() | st.integers(0, 10**25).map(lambda units: f"{units // 10**18}.{units % 10**18:018d}"),
            "cost_estimated": st.booleans(),
            "unpriced_attempts": st.integers(0, 1),
            "billable": st.booleans(),
            "input_tokens": MAYBE,
            "cached_input_tokens": MAYBE,
            "output_tokens": MAYBE,
            "duration_ms": st.floats(0.5, 1e5, width=32),
            "ttft_ms": st.none() | st.floats(0.5, 1e5, width=32),
            "tags": st.sampled_from([{}, {"NAME": "x"}]),
        }
    ),
    min_size=1,
    max_size=25,
)
ENDS = st.tuples(*[st.integers(-DAYS_NS // 10**6, 4 * DAYS_NS // 10**6) | st.sampled_from([0, 86_400_000])] * 2)


def add(store, team, rows):
    store.add(
        row
        | {
            "team": team,
            "call_id": f"{team}-{number}",
            "started_at": (FIRST + timedelta(microseconds=row["at_ns"] // 1000)).strftime("%Y-%m-%d %H:%M:%S.%f"),
        }
        for number, row in enumerate(rows)
    )


def both(reader, report, question, **rolled):
    """The rows of the answer without roll-ups and with them."""
    return [
        reader.rows(report.query(Question(**question, unrolled=unrolled)))
        for unrolled in (None, rolled.get("unrolled", frozenset()))
    ]


FREE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FREE
@given(
    rows=ROWS,
    ends=ENDS,
    tz=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
    by=st.lists(st.sampled_from(group_names()), max_size=2, unique=True),
    where=st.lists(st.sampled_from(["user=u", "outcome!=ok", "model=a", "tag:NAME=x", "currency!=USD"]), max_size=1),
    unrolled=st.frozensets(st.sampled_from([date(2026, 11, 1), date(2026, 11, 2)])),
)
def test_costs_are_the_same_to_the_last_decimal(store, reader, rows, ends, tz, by, where, unrolled):
    assume(ends[0] != ends[1])
    team = f"team-{uuid.uuid4()}"
    add(store, team, rows)
    since, until = (from_unix_ns(FIRST_NS + ms * 10**6, parse_zone(tz)) for ms in sorted(ends))
    question = {
        "period": Period(since, until, tz),
        "by": parse_by(",".join(by)),
        "where": parse_where([f"team={team}", *where]),
    }
    single, rolled = both(reader, costs, question, unrolled=unrolled)
    # Groups that cost the same have no order.
    assert sorted(single, key=repr) == sorted(rolled, key=repr)


@FREE
@given(rows=ROWS, ends=ENDS)
def test_providers_are_measured_the_same(store, reader, rows, ends):
    assume(ends[0] != ends[1])
    team = f"team-{uuid.uuid4()}"
    add(store, team, rows)
    since, until = (from_unix_ns(FIRST_NS + ms * 10**6, parse_zone("UTC")) for ms in sorted(ends))
    question = {"period": Period(since, until, "UTC"), "where": parse_where([f"team={team}"])}
    single, rolled = both(reader, providers, question)
    assert [plain(row) for row in single] == [plain(row) for row in rolled]
    for one, other in zip(single, rolled, strict=True):
        assert quantiles(one) == pytest.approx(quantiles(other), rel=0.001, nan_ok=True)


def plain(row):
    """All but the quantiles, which are Floats."""
    return [cell for cell in row if not isinstance(cell, float | list)]


def quantiles(row):
    return [value for cell in row for value in (cell if isinstance(cell, list) else [cell]) if isinstance(value, float)]


def test_a_known_sum_over_every_kind_of_piece(store, reader):
    team = f"team-{uuid.uuid4()}"
    add(store, team, [{"at_ns": n * 3600 * 10**9 + 1000, "cost": f"0.{n + 1:018d}"} for n in range(72)])
    period = parse_period("2026-11-01T01:00:00.000001", "2026-11-03T22:00:00.000002", "UTC", FIRST)
    question = {"period": period, "where": parse_where([f"team={team}"])}
    used = costs.query(Question(**question, unrolled=frozenset())).sql
    assert all(f"{table}{level.suffix} " in used for level in (DAYS, MINUTES) for table in ("calls", "attempts"))
    for rows in both(reader, costs, question):
        (total, _) = rows
        assert total[-12] == 70
        assert total[-7] == Decimal(sum(range(2, 72))).scaleb(-18)


def test_reports_ask_which_days_are_complete(store, reader):
    team = f"team-{uuid.uuid4()}"
    add(store, team, [{"at_ns": 5}])
    asked = []

    class Listening:
        def rows(self, query):
            asked.append(query.sql)
            return reader.rows(query)

    question = Question(
        period=parse_period("2026-11-01", "2026-11-03", "UTC", FIRST), where=parse_where([f"team={team}"])
    )
    reports = Reports(Listening(), lambda *_: None)
    assert reports.answer("costs", question).totals[0][2] == 1
    assert "FROM calls_by_day" in asked[-1]
    store.run("INSERT INTO unrolled_days VALUES ('2026-11-01')")
    assert reports.answer("costs", question).totals[0][2] == 1
    assert "FROM calls WHERE" in asked[-1]
    store.run("TRUNCATE TABLE unrolled_days")


def test_a_store_of_an_older_version_is_answered_from_its_rows(reader):
    class Older:
        def rows(self, query):
            if "unrolled_days" in query.sql:
                raise EmptyStoreError("no such table")
            assert "_by_" not in query.sql
            return reader.rows(query)

    question = Question(period=parse_period("2026-11-01", "2026-11-03", "UTC", FIRST))
    assert Reports(Older(), lambda *_: None).answer("providers", question).name == "providers"


def test_a_quantile_of_nothing_is_not_known_from_roll_ups_either(store, reader):
    team = f"team-{uuid.uuid4()}"
    add(store, team, [{"at_ns": 5, "outcome": "error"}])
    period = parse_period("2026-11-01", "2026-11-03", "UTC", FIRST)
    for (row,) in both(reader, providers, {"period": period, "where": parse_where([f"team={team}"])}):
        assert all(math.isnan(value) for value in quantiles(row))
