from datetime import date

import msgspec
import pytest

from exporters.moving.end import End
from exporters.moving.rows import copy_day, days_of, hours_of, keys_of
from exporters.moving.slices import slices_of
from exporters.moving.tables import read_tables
from tests.fakes.filled_store import counted, fill

pytestmark = pytest.mark.real

DAY = date(2026, 11, 20)


def calls_of(side, at_once=50_000):
    table = next(table for table in read_tables(side.end).rows if table.name == "calls")
    return msgspec.structs.replace(table, at_once=at_once)


def copied(here, there, table, day=DAY):
    moved = []
    copy_day(here.end, there.end, table, day, lambda *counts: moved.append(counts))
    return tuple(map(sum, zip(*moved, strict=True)))


def same(here, there):
    sql = "SELECT toString(count()), toString(sum(cityHash64(*))) FROM {} WHERE toDate(started_at) = '2026-11-20'"
    return [end.rows(sql.format(f"{end.database}.calls")) for end in (here.end, there.end)]


@pytest.mark.parametrize("at_once", [7, 100, 50_000])
def test_a_day_is_brought_as_it_is_in_pieces_of_any_size(sides, at_once):
    here, there = sides
    fill(here.client, "a", 600, days=2)
    rows, sent, size = copied(here, there, calls_of(here, at_once))
    before, after = same(here, there)

    assert (rows, sent) == (300, 300)
    assert size > 0
    assert before == after
    assert days_of(there.end, "calls", None, None) == {DAY: 300}


def test_what_is_there_is_not_sent_again(sides):
    here, there = sides
    fill(here.client, "a", 300, days=1)
    copied(here, there, calls_of(here))
    assert copied(here, there, calls_of(here)) == (300, 0, 0)


def test_only_what_is_missing_is_sent_and_what_is_of_others_stays(sides):
    here, there = sides
    fill(here.client, "a", 300, days=1)
    copied(here, there, calls_of(here))
    fill(here.client, "b", 50, days=1)
    fill(there.client, "c", 40, days=1)
    rows, sent, _ = copied(here, there, calls_of(here, 60))

    assert (rows, sent) == (350, 50)
    assert counted(there.client)[:2] == (390, 390)
    assert copied(here, there, calls_of(here, 60))[1] == 0


def test_a_day_that_is_half_there_is_made_whole(sides):
    here, there = sides
    fill(here.client, "a", 300, days=1)
    copied(here, there, calls_of(here))
    there.client.command("DELETE FROM calls WHERE cityHash64(call_id) % 3 = 0")
    assert copied(here, there, calls_of(here))[1] > 50
    before, after = same(here, there)
    assert before == after


def test_the_same_rows_have_the_same_token_whatever_the_engine_has_merged(sides):
    here, there = sides
    for number in range(5):
        fill(here.client, f"a{number}", 60, days=1)
    copied(here, there, calls_of(here))
    there.client.command("DELETE FROM calls WHERE 1")
    here.client.command("OPTIMIZE TABLE calls FINAL")
    copied(here, there, calls_of(here))
    assert counted(there.client)[0] == 0  # refused: the token of these rows has been seen
    there.end = End(there.client, there.database, "anew", token_mark="anew/")
    copied(here, there, calls_of(here))
    assert counted(there.client)[0] == 300


def test_days_can_be_bounded(sides):
    here, _ = sides
    fill(here.client, "a", 300, days=3)
    assert list(days_of(here.end, "calls", None, None)) == [date(2026, 11, day) for day in (20, 21, 22)]
    assert list(days_of(here.end, "calls", date(2026, 11, 21), date(2026, 11, 22))) == [date(2026, 11, 21)]


def test_the_keys_of_all_pieces_are_all_keys(sides):
    here, _ = sides
    fill(here.client, "a", 300, days=1)
    hours = hours_of(here.end, "calls", DAY)
    found = [key for piece in slices_of(hours, 5) for key in keys_of(here.end, "calls", piece)]
    assert sum(hours.values()) == 300
    assert len(found) == len(set(found)) == 300
