from datetime import date

import pytest

from exporters.moving.rollups import check_rolled_up, copy_gone_days, make_good
from exporters.moving.rows import copy_day, days_of
from exporters.moving.tables import read_tables
from tests.fakes.filled_store import fill

pytestmark = pytest.mark.real

FIRST, SECOND = date(2026, 11, 20), date(2026, 11, 21)


@pytest.fixture
def summed(sides):
    """Both sides, and the sums of calls per day; the first has two days of calls."""
    here, there = sides
    fill(here.client, "a", 600, days=2)
    rollup = next(one for one in read_tables(here.end).rollups if one.name == "calls_by_day")
    return here, there, rollup


def copy_calls(here, there):
    table = next(table for table in read_tables(here.end).rows if table.name == "calls")
    for day in days_of(here.end, "calls", None, None):
        copy_day(here.end, there.end, table, day, lambda *_: None)


def gone(here, there, rollup):
    return copy_gone_days(here.end, there.end, rollup, days_of(here.end, "calls", None, None), None, None)


def test_the_views_of_the_target_count_every_row_once_however_often_it_is_copied(summed):
    here, there, rollup = summed
    for _ in range(2):
        copy_calls(here, there)
        assert gone(here, there, rollup) == []
        results = check_rolled_up(there.end, rollup, {FIRST: 300, SECOND: 300})
        assert [(one.day, one.rows, one.rows_there, one.verdict) for one in results] == [
            (FIRST, 300, 300, "same"),
            (SECOND, 300, 300, "same"),
        ]


@pytest.mark.parametrize(
    "harm",
    [
        "INSERT INTO calls_by_day SELECT * FROM calls_by_day WHERE model = 'm1'",
        "DELETE FROM calls_by_day WHERE model = 'm1'",
    ],
)
def test_sums_that_a_killed_server_did_not_make_are_made_of_the_rows(sides, harm):
    here, there = sides
    fill(here.client, "a", 600, days=2)
    copy_calls(here, there)
    days = {FIRST: 300, SECOND: 300}
    rollup = next(one for one in read_tables(here.end).rollups if one.name == "calls_by_day")
    there.client.command(harm)
    assert {one.verdict for one in check_rolled_up(there.end, rollup, days)} == {"wrong"}
    make_good(there.end, days)
    assert {one.verdict for one in check_rolled_up(there.end, rollup, days)} == {"same"}
    copy_calls(here, there)
    assert {one.verdict for one in check_rolled_up(there.end, rollup, days)} == {"same"}


def test_sums_that_are_not_of_the_rows_are_found(summed):
    here, there, rollup = summed
    copy_calls(here, there)
    one = f"SELECT * FROM calls_by_day WHERE day = '{FIRST}' AND model = 'm1' LIMIT 1"
    count = int(
        there.end.rows(
            f"SELECT toString(calls) FROM ({one.replace('calls_by_day', f'{there.database}.calls_by_day')})"
        )[0][0]
    )
    there.client.command(f"INSERT INTO calls_by_day {one}")
    results = check_rolled_up(there.end, rollup, {FIRST: 300, SECOND: 300})
    assert [(one.day, one.verdict) for one in results] == [(FIRST, "wrong"), (SECOND, "same")]
    assert results[0].problems == (f"its sums stand for {300 + count} rows and should for 300",)


def test_sums_of_days_whose_rows_are_gone_are_brought_once(summed):
    here, there, rollup = summed
    here.client.command(f"ALTER TABLE calls DROP PARTITION '{FIRST}'")
    copy_calls(here, there)
    for _ in range(2):
        results = gone(here, there, rollup)
        assert [(one.day, one.rows, one.rows_there, one.verdict) for one in results] == [(FIRST, 300, 300, "same")]
    assert there.end.rows(f"SELECT toString(sum(calls)) FROM {there.database}.calls_by_day") == [["600"]]


def test_sums_of_rows_that_the_target_has_kept_are_not_brought_again(summed):
    here, there, rollup = summed
    copy_calls(here, there)
    here.client.command(f"ALTER TABLE calls DROP PARTITION '{FIRST}'")
    assert [(one.day, one.rows_there, one.verdict) for one in gone(here, there, rollup)] == [(FIRST, 300, "same")]


def test_days_that_are_still_being_summed_up_are_not_judged(summed):
    here, there, rollup = summed
    copy_calls(here, there)
    there.client.command(f"INSERT INTO unrolled_days VALUES ('{FIRST}')")
    assert [one.day for one in check_rolled_up(there.end, rollup, {FIRST: 300, SECOND: 300})] == [SECOND]


def test_only_days_that_were_asked_for_are_brought(summed):
    here, there, rollup = summed
    here.client.command("TRUNCATE TABLE calls")
    assert [one.day for one in copy_gone_days(here.end, there.end, rollup, {}, SECOND, None)] == [SECOND]
    assert copy_gone_days(here.end, there.end, rollup, {}, None, FIRST) == []
