import pytest

from exporters.moving.errors import CopyError
from exporters.moving.tables import check_columns, place, read_tables

pytestmark = pytest.mark.real


def test_every_table_of_the_schema_is_moved_or_made_at_the_other_end(sides):
    tables = read_tables(sides[0].end)
    assert {table.name for table in tables.rows} >= {"calls", "attempts"}
    assert all({"call_id", "attempt", "started_at"} <= set(table.columns) for table in tables.rows)
    assert tables.others == ()


def test_sums_are_known_by_their_name_and_their_columns(sides):
    here, _ = sides
    here.client.command("DROP TABLE IF EXISTS calls_by_day_view")
    here.client.command("DROP TABLE IF EXISTS calls_by_day")
    here.client.command("CREATE TABLE calls_by_day (day Date, calls UInt64) ENGINE = MergeTree ORDER BY day")
    here.client.command("CREATE TABLE calls_by_mood (mood String) ENGINE = MergeTree ORDER BY mood")
    tables = read_tables(here.end)
    found = {rollup.name: (rollup.base, rollup.moment) for rollup in tables.rollups}
    assert found["calls_by_day"] == ("calls", "day")
    assert tables.others == ("calls_by_mood",)


def test_money_comes_with_its_currency_and_computed_columns_stay_where_they_are(sides):
    here, _ = sides
    here.client.command("ALTER TABLE calls ADD COLUMN year UInt16 MATERIALIZED toYear(started_at)")
    calls = next(table for table in read_tables(here.end).rows if table.name == "calls")
    assert calls.money["cost"] == "`currency`"
    assert calls.money["list_cost"] == "`list_cost_currency`"
    assert "year" not in calls.columns


def test_a_target_that_lacks_a_column_is_refused(sides):
    here, there = sides
    here.client.command("ALTER TABLE calls ADD COLUMN later String")
    with pytest.raises(CopyError, match=r"the table calls at .* lacks later"):
        check_columns(read_tables(here.end), there.end)
    there.client.command("ALTER TABLE calls ADD COLUMN later String")
    check_columns(read_tables(here.end), there.end)


def test_a_table_has_a_place(sides):
    assert place(sides[0].end, "a`b") == f"`{sides[0].database}`.`a\\`b`"
