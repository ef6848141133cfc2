"""Roll-ups on a real engine: the same as their tables to the last decimal, however they came about."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from exporters.schema.cluster import ClusterForm, ServerForm
from exporters.schema.migrate import ensure_database, migrate
from exporters.schema.migrations import load_migrations
from exporters.schema.rollups import complete, differing, distrust, load_rollups, rebuild, unrolled_days
from tests.fakes.embedded_store import embedded_store

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

OWN = load_migrations()
WITHOUT_ROLLUPS = OWN[:2]
FIRST_DAY = date(2026, 11, 1)
TABLES = {"calls_by_minute", "calls_by_day", "attempts_by_minute", "attempts_by_day"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(store, request):
    """A connection to a database of the test's own."""
    database = f"test_{abs(hash(request.node.name))}"
    bare = store.client("default")
    ensure_database(bare, database)
    bare.close()
    client = store.client(database)
    yield client
    client.close()


def row(number, days=3, **more):
    at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number % days, seconds=number * 7)
    good = number % 5 != 0
    return {
        "call_id": f"c{number}", "attempt": 1, "started_at": at.strftime("%Y-%m-%d %H:%M:%S.123456789"),
        "team": f"t{number % 3}", "user": f"u{number % 7}", "provider": "x", "model": f"m{number % 2}",
        "outcome": "ok" if good else "error", "error_class": "" if good else "overloaded", "status": 200,
        "duration_ms": 100.0 + number, "output_tokens": number if good else None, "input_tokens": 3,
        "cost": f"0.{number + 1:018d}" if good else None, "currency": ("USD", "CNY")[number % 2], "billing": "metered",
        "cost_estimated": number % 4 == 0, "usage_source": "provider", "billable": True,
    } | more  # fmt: skip


def insert(client, rows, token, tables=("attempts", "calls")):
    for table in tables:
        client.raw_insert(
            table, insert_block="\n".join(map(json.dumps, rows)).encode(), fmt="JSONEachRow",
            settings={"insert_deduplication_token": f"{token}/{table}", "async_insert": 0},
        )  # fmt: skip


@pytest.fixture
def old(client):
    """A database of the time before roll-ups, with rows on three days."""
    migrate(client, migrations=WITHOUT_ROLLUPS)
    insert(client, [row(number) for number in range(200)], "old")
    return client


def completed(client):
    """Complete everything; how many looks it took."""
    looks = 1
    while complete(client, 60):
        looks += 1
        assert looks < 10
    return looks


def assert_equal(client):
    """Every sum of every roll-up is that of its table."""
    keys = "team, model, outcome, currency"
    for level, time in (("minute", "toStartOfMinute(started_at)"), ("day", "toDate(started_at)")):
        assert sums(client, f"SELECT {level} AS at, {keys}, sum(calls), sum(estimated) FROM calls_by_{level}") == sums(
            client, f"SELECT {time} AS at, {keys}, count(), countIf(cost_estimated) FROM calls"
        )
        assert sums(
            client,
            f"SELECT {level} AS at, {keys}, sum(attempts), sum(cost), sum(output_tokens), sum(estimated_cost), "
            f"arrayMap(x -> round(x, 3), quantilesTDigestMerge(0., 1.)(duration)) FROM attempts_by_{level}",
        ) == sums(
            client,
            f"SELECT {time} AS at, {keys}, count(), sum(cost), sum(output_tokens), "
            "sum(if(cost_estimated, cost, NULL)), [min(duration_ms), max(duration_ms)] FROM attempts",
        )


def sums(client, sql):
    rows = client.query(f"{sql} GROUP BY at, team, model, outcome, currency ORDER BY ALL").result_rows
    assert rows
    return rows


def test_the_views_are_where_the_sums_are_written_down():
    assert {(rollup.table, rollup.source) for rollup in load_rollups()} == {
        (table, table.partition("_")[0]) for table in TABLES
    }


def test_what_is_no_figure_is_part_of_the_key(client):
    migrate(client)
    for table in TABLES:
        columns = client.query(f"DESCRIBE TABLE {table}").result_rows
        plain = [name for name, kind, *_ in columns if "AggregateFunction(" not in kind]
        (key,) = client.query(
            "SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
            parameters={"table": table},
        ).result_rows[0]
        assert key.split(", ") == plain


def test_a_view_fills_every_column_of_its_table(client):
    migrate(client)
    for migration in OWN:
        for statement in migration.statements:
            view = re.search(r"VIEW IF NOT EXISTS (\w+) TO (\w+)", statement)
            if view:
                named, there = (
                    [found[0] for found in client.query(f"DESCRIBE TABLE {name}").result_rows] for name in view.groups()
                )
                assert named == there


def test_rows_of_a_new_database_are_rolled_up_as_they_come(client):
    migrate(client)
    assert unrolled_days(client) == []
    insert(client, [row(number) for number in range(100)], "new")
    assert_equal(client)
    assert differing(client, [FIRST_DAY + timedelta(days=n) for n in range(3)]) == {}


def test_rows_that_are_offered_again_are_in_no_sum_twice(client):
    migrate(client)
    for _ in range(3):
        insert(client, [row(number) for number in range(100)], "again")
    assert_equal(client)
    # Another token is another insert, in the tables and in the sums.
    insert(client, [row(number) for number in range(100)], "other")
    assert_equal(client)
    assert client.command("SELECT sum(calls) FROM calls_by_day") == 200


def test_rows_from_before_are_rolled_up_to_the_last_decimal(old):
    assert migrate(old) == tuple(migration.version for migration in OWN[2:])
    assert set(unrolled_days(old)) >= {FIRST_DAY + timedelta(days=n) for n in range(3)}
    completed(old)
    assert unrolled_days(old) == []
    assert_equal(old)


def test_a_day_is_trusted_at_a_later_look_than_the_one_that_made_it(old):
    migrate(old)
    complete(old, 60)
    assert FIRST_DAY in unrolled_days(old)
    complete(old, 60)
    assert unrolled_days(old) == []


@pytest.mark.parametrize("step", ["before", "between", "after"])
def test_rows_that_arrive_while_roll_ups_are_completed_are_in_them_once(old, step):
    if step == "before":
        # The views are there, and nothing is completed yet.
        migrate(old)
        insert(old, [row(number, user="late") for number in range(50)], "late")
    elif step == "between":
        migrate(old)
        complete(old, 60)
        insert(old, [row(number, user="late") for number in range(50)], "late")
    else:
        migrate(old)
        completed(old)
        insert(old, [row(number, user="late") for number in range(50)], "late")
    completed(old)
    assert_equal(old)


def test_what_was_in_the_tables_before_the_views_and_is_offered_again_after_them_is_counted_once(old):
    migrate(old)
    # The tables know the token, the views do not.
    insert(old, [row(number) for number in range(200)], "old")
    assert old.command("SELECT sum(calls) FROM calls_by_day") == 200
    completed(old)
    assert_equal(old)


class KilledError(Exception):
    pass


class Mortal:
    """A connection that is killed before a command, or after it was carried out and before its answer."""

    def __init__(self, client, commands_left, answered):
        self._client = client
        self._left = commands_left
        self._answered = answered
        self.query = client.query
        self.raw_insert = client.raw_insert
        self.database = client.database

    def command(self, *args, **more):
        self._left -= 1
        if self._left < 0:
            if self._answered:
                self._client.command(*args, **more)
            raise KilledError
        return self._client.command(*args, **more)


@pytest.mark.parametrize("answered", [False, True])
def test_a_kill_at_any_moment_changes_nothing_in_the_end(old, answered):
    def all_of_it(client):
        migrate(client)
        complete(client, 60)
        complete(client, 60)

    for commands_left in range(1, 40, 3):
        try:
            all_of_it(Mortal(old, commands_left, answered))
        except KilledError:
            insert(old, [row(commands_left * 1000 + number) for number in range(5)], f"between {commands_left}")
    migrate(old)
    completed(old)
    assert_equal(old)


def test_sums_outlive_the_rows_that_they_are_of(client):
    migrate(client)
    insert(client, [row(number) for number in range(30)], "rows")
    for table in ("calls", "attempts"):
        client.command(f"ALTER TABLE {table} DROP PARTITION '{FIRST_DAY}'")
    distrust(client, [FIRST_DAY])
    completed(client)
    assert client.command(f"SELECT sum(calls) FROM calls_by_day WHERE day = '{FIRST_DAY}'") == 10


def test_a_day_that_differs_is_found_and_made_anew_when_it_is_distrusted(client):
    migrate(client)
    insert(client, [row(number) for number in range(30)], "rows")
    client.command(f"INSERT INTO calls_by_day SELECT * FROM calls_by_day WHERE day = '{FIRST_DAY}'")
    client.command(f"ALTER TABLE attempts_by_minute DROP PARTITION '{FIRST_DAY}'")
    days = [FIRST_DAY + timedelta(days=n) for n in range(-1, 5)]
    found = differing(client, days)
    assert {day: {rollup.table for rollup in rollups} for day, rollups in found.items()} == {
        FIRST_DAY: {"calls_by_day", "attempts_by_minute"}
    }
    distrust(client, found)
    assert unrolled_days(client) == [FIRST_DAY]
    completed(client)
    assert_equal(client)
    assert differing(client, days) == {}


def test_without_days_there_is_nothing_to_do(client):
    migrate(client)
    distrust(client, [])
    assert differing(client, []) == {}
    assert complete(client, 0) == 0


def test_one_day_is_done_however_little_time_there_is(old):
    migrate(old)
    before = len(unrolled_days(old))
    for _ in range(2 * before):
        complete(old, 0)
    assert unrolled_days(old) == []
    assert_equal(old)


def test_a_day_made_anew_leaves_the_other_days_alone(client):
    migrate(client)
    insert(client, [row(number) for number in range(30)], "rows")
    for rollup in load_rollups():
        rebuild(client, rollup, FIRST_DAY, ServerForm(client.database))
        rebuild(client, rollup, FIRST_DAY, ServerForm(client.database))
    assert_equal(client)


def test_a_parcel_that_is_offered_again_after_its_day_was_made_anew_is_still_known(client):
    migrate(client)
    insert(client, [row(number) for number in range(30)], "rows")
    distrust(client, [FIRST_DAY])
    for rollup in load_rollups():
        rebuild(client, rollup, FIRST_DAY, ServerForm(client.database))
    insert(client, [row(number) for number in range(30)], "rows")
    assert_equal(client)


def test_on_a_cluster_sums_are_taken_out_of_every_shard():
    form = ClusterForm("four", "taximeter", [sql for migration in OWN for sql in migration.statements])
    (minutes,) = (rollup for rollup in load_rollups() if rollup.table == "calls_by_minute")
    assert minutes.emptying(FIRST_DAY, form) == (
        "ALTER TABLE calls_by_minute_local ON CLUSTER `four` "
        "DELETE IN PARTITION '2026-11-01' WHERE toDate(minute) = '2026-11-01'"
    )


def test_the_queries_of_the_documentation_run(client):
    migrate(client)
    insert(client, [row(number, started_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}") for number in range(30)], "rows")
    page = (Path(__file__).parents[3] / "docs" / "tables.md").read_text()
    (block,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    queries = [text for text in block.split(";\n") if text.strip()]
    assert len(queries) == 2
    for query in queries:
        assert client.query(query).result_rows


def test_a_database_without_roll_ups_says_so(client):
    with pytest.raises(DatabaseError):
        unrolled_days(client)
