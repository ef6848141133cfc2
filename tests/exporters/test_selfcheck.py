import threading
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from exporters import selfcheck
from exporters.recorder.status import SelfCheckStatus
from exporters.schema.cluster import ServerForm
from exporters.schema.errors import SchemaError
from exporters.schema.migrate import ensure_database, migrate
from exporters.schema.migrations import Migration, load_migrations
from exporters.selfcheck import DayCheck, Findings, check_store, load_rollups
from tests.fakes.embedded_store import embedded_store

TODAY = date(2026, 11, 24)
YESTERDAY, OLDER = TODAY - timedelta(days=1), TODAY - timedelta(days=9)
VIEW = (
    "CREATE TABLE IF NOT EXISTS sums (day Date, team String, n SimpleAggregateFunction(sum, UInt64),\n"
    "    money SimpleAggregateFunction(sum, Nullable(Decimal(38, 18))), last SimpleAggregateFunction(max, UInt8))\n"
    "ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(day) ORDER BY (team, day);\n"
    "CREATE MATERIALIZED VIEW IF NOT EXISTS sums_view TO sums AS\n"
    "SELECT toDate(started_at) AS day, team, count() AS n, sum(cost) AS money, max(attempt) AS last FROM calls"
)


def of(view):
    return load_rollups([Migration(version=1, name="x", sql=VIEW + view)])


def test_every_roll_up_of_ours_can_be_compared():
    made = [s for migration in load_migrations() for s in migration.statements if "CREATE MATERIALIZED VIEW" in s]
    assert len(load_rollups()) == len(made)


def test_a_roll_up_is_asked_for_the_sums_of_one_day():
    (rollup,) = of(" GROUP BY day, team")
    assert rollup.true_sums(TODAY) == (
        "SELECT sum(`n`), sum(`money`) FROM (SELECT toDate(started_at) AS day, team, count() AS n, sum(cost) AS money, "
        "max(attempt) AS last FROM calls WHERE toDate(calls.started_at) = '2026-11-24' GROUP BY day, team)"
    )
    assert rollup.rolled_sums(TODAY) == "SELECT sum(`n`), sum(`money`) FROM `sums` WHERE toDate(`day`) = '2026-11-24'"


def test_the_view_s_own_condition_stays():
    (rollup,) = of(" AS c WHERE a = 1 OR b = 2\nGROUP BY day, team")
    assert (
        "FROM calls AS c WHERE toDate(c.started_at) = '2026-11-24' AND (a = 1 OR b = 2) GROUP BY"
        in rollup.true_sums(TODAY)
    )


@pytest.mark.parametrize("more", ["", " ARRAY JOIN x GROUP BY day, team", " JOIN attempts ON 1 GROUP BY day, team"])
def test_a_view_that_cannot_be_compared_is_named(more):
    with pytest.raises(SchemaError, match="sums_view"):
        of(more)


def test_findings_are_told_in_words_and_in_numbers():
    status = SelfCheckStatus()
    Findings().tell(status)
    assert (status.ran_at_ns, status.ok, status.findings) == (None, None, [])
    found = Findings(
        ran_at_ns=5,
        looked_at=2,
        days={
            TODAY: DayCheck(rows={"calls": 3}, doubled={"calls": 1, "attempts": 2000}),
            OLDER: DayCheck(drifted=["calls_by_day"]),
            YESTERDAY: DayCheck(),
        },
    )
    found.tell(status)
    assert (status.ran_at_ns, status.ok, status.days) == (5, False, 2)
    assert (status.doubled_calls, status.doubled_attempts, status.drifted_days) == (1, 2000, 1)
    assert status.findings == [
        "2026-11-15: the sums of calls_by_day are not those of its rows",
        "2026-11-24: 2,000 doubled rows in attempts",
        "2026-11-24: 1 doubled rows in calls",
    ]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Findings) == found


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(store, request):
    """A connection to a database of the test's own, with our schema, and a roll-up of the test's own."""
    database = f"test {abs(hash(request.node.name))}"
    bare = store.client("default")
    ensure_database(bare, database)
    bare.close()
    client = store.client(database)
    migrate(client)
    for statement in Migration(version=1, name="x", sql=f"{VIEW} GROUP BY day, team").statements:
        client.command(statement)
    yield client
    client.close()


@pytest.fixture
def check(client, monkeypatch):
    """Runs a check; the roll-ups are our own and that of the test."""
    every = (*load_rollups(), *of(" GROUP BY day, team"))
    monkeypatch.setattr(selfcheck, "load_rollups", lambda: every)
    # Days that an empty database would not have either.
    if client.command("EXISTS TABLE unrolled_days"):
        client.command("TRUNCATE TABLE unrolled_days")

    def check(before=None, **more):
        return check_store(client, ServerForm(client.database), before or Findings(), today=TODAY, **more)

    return check


def add(client, table, *rows):
    lines = "".join(
        f'{{"call_id": "{call}", "attempt": {attempt}, "cost": "0.5", "started_at": "{_at(day)}"}}\n'
        for call, attempt, day in rows
    )
    client.raw_insert(
        table, insert_block=lines.encode(), fmt="JSONEachRow", settings={"insert_deduplicate": 0, "async_insert": 0}
    )


def _at(day):
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())


@pytest.mark.real
def test_a_store_that_is_right_is_told_to_be(client, check):
    assert check().days == {}
    add(client, "calls", ("a", 1, YESTERDAY), ("b", 2, YESTERDAY), ("c", 1, TODAY))
    add(client, "attempts", ("a", 1, YESTERDAY), ("b", 1, YESTERDAY), ("b", 2, YESTERDAY))
    found = check()
    assert found.days == {
        YESTERDAY: DayCheck(rows={"calls": 2, "attempts": 3}),
        TODAY: DayCheck(rows={"calls": 1}),
    }
    assert found.looked_at == 2
    assert found.ran_at_ns


@pytest.mark.real
def test_doubles_are_found_in_every_slice_of_a_day(client, check, monkeypatch):
    monkeypatch.setattr(selfcheck, "SLICE_ROWS", 3)
    add(client, "calls", *((f"c{n}", 1, YESTERDAY) for n in range(10)), ("c3", 1, YESTERDAY))
    add(client, "attempts", ("c3", 1, OLDER), ("c3", 2, OLDER), ("c4", 1, OLDER))
    add(client, "attempts", ("c3", 1, OLDER), ("c3", 2, OLDER))
    found = check().days
    assert found[YESTERDAY].doubled == {"calls": 1}
    assert found[OLDER].doubled == {"attempts": 2}


@pytest.mark.real
def test_sums_that_are_not_those_of_the_rows_are_found_on_finished_days(client, check):
    add(client, "calls", ("a", 1, YESTERDAY), ("b", 1, OLDER), ("c", 1, TODAY))
    for day in (YESTERDAY, TODAY):
        client.command(f"INSERT INTO sums (day, team, money) VALUES ('{day}', '', 0.000000000000000001)")
    found = check().days
    assert {day: one.drifted for day, one in found.items()} == {YESTERDAY: ["sums"], OLDER: [], TODAY: []}
    assert not found[YESTERDAY].ok


@pytest.mark.real
def test_a_roll_up_that_was_lost_is_found(client, check):
    add(client, "calls", ("a", 1, OLDER))
    client.command("TRUNCATE TABLE sums")
    assert check().days[OLDER].drifted == ["sums"]


@pytest.mark.real
def test_days_that_are_about_to_expire_are_not_compared(client, check):
    add(client, "calls", ("a", 1, OLDER), ("b", 1, YESTERDAY))
    client.command("SYSTEM STOP TTL MERGES sums")
    client.command("ALTER TABLE sums MODIFY TTL toDateTime(day) + toIntervalDay(8)")
    client.command("TRUNCATE TABLE sums")
    assert {day: one.drifted for day, one in check().days.items()} == {OLDER: [], YESTERDAY: ["sums"]}


@pytest.mark.real
def test_days_that_are_still_being_completed_are_not_compared(client, check):
    client.command("CREATE TABLE IF NOT EXISTS unrolled_days (day Date) ENGINE = MergeTree ORDER BY day")
    add(client, "calls", ("a", 1, OLDER))
    client.command("TRUNCATE TABLE sums")
    client.command(f"INSERT INTO unrolled_days VALUES ('{OLDER}')")
    assert check().days[OLDER].drifted == []


@pytest.mark.real
def test_a_later_run_looks_at_yesterday_at_what_has_changed_and_at_what_was_wrong(client, check):
    days = [TODAY - timedelta(days=ago) for ago in (1, 2, 3, 4)]
    add(client, "calls", *((f"c{n}", 1, day) for n, day in enumerate(days)))
    add(client, "calls", ("c3", 1, days[3]))
    first = check()
    assert first.looked_at == 4
    seen = []
    assert (
        check(first, progress=lambda done, all_: seen.append((done, all_))).looked_at == 2
    )  # yesterday, and the double
    assert seen == [(1, 2), (2, 2)]
    add(client, "calls", ("c9", 1, days[1]))
    assert check(first).looked_at == 3
    assert check(first, full=True).looked_at == 4
    client.command(f"ALTER TABLE calls DROP PARTITION '{days[3]}'")
    assert days[3] not in check(first).days


@pytest.mark.real
def test_a_run_ends_when_it_is_told_to_and_is_not_taken_for_done(client, check):
    add(client, "calls", ("a", 1, OLDER), ("b", 1, YESTERDAY))
    stop = threading.Event()
    found = check(stop=stop, progress=lambda _done, _all: stop.set())
    assert (found.looked_at, found.ran_at_ns, list(found.days)) == (1, None, [YESTERDAY])
