from datetime import date
from decimal import Decimal

import msgspec
import pytest

from exporters.moving.rows import copy_day
from exporters.moving.tables import read_tables
from exporters.moving.verifying import Figures, check_day
from tests.fakes.filled_store import fill

DAY = date(2026, 11, 20)
ONE = "call_id = (SELECT min(call_id) FROM calls WHERE cost > 0)"
TOKEN = "SETTINGS insert_deduplication_token = 'twice'"
SYNC = "SETTINGS mutations_sync = 2"


@pytest.fixture
def copied(sides):
    """Both ends with the same calls, and the table."""
    here, there = sides
    fill(here.client, "a", 300, days=1)
    table = next(table for table in read_tables(here.end).rows if table.name == "calls")
    table = msgspec.structs.replace(table, at_once=40)
    copy_day(here.end, there.end, table, DAY, lambda *_: None)
    return here, there, table


def checked(copied):
    here, there, table = copied
    return check_day(here.end, there.end, table, DAY)


@pytest.mark.real
def test_the_same_is_the_same_with_its_money(copied):
    result = checked(copied)
    assert (result.verdict, result.rows, result.rows_there, result.problems) == ("same", 300, 300, ())
    assert result.money.keys() == {"CNY", "USD"}


@pytest.mark.real
def test_rows_of_others_are_told_and_are_no_harm(copied):
    fill(copied[1].client, "b", 7, days=1)
    result = checked(copied)
    assert (result.verdict, result.rows_there) == ("more", 307)


@pytest.mark.real
@pytest.mark.parametrize("with_others", [False, True])
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (f"DELETE FROM calls WHERE {ONE}", "1 rows are missing"),
        (f"INSERT INTO calls SELECT * FROM calls WHERE {ONE} {TOKEN}", "1 rows are there twice"),
        (f"ALTER TABLE calls UPDATE cost = cost + toDecimal128('1e-18', 18) WHERE {ONE} {SYNC}", "and should be"),
        (f"ALTER TABLE calls UPDATE currency = 'EUR' WHERE {ONE} {SYNC}", "EUR and should be 0"),
    ],
)
def test_one_row_that_is_wrong_is_found_among_any_others(copied, harm, said, with_others):
    copied[1].client.command(harm)
    if with_others:
        fill(copied[1].client, "b", 20, days=1)
    result = checked(copied)
    assert result.verdict == "wrong"
    assert said in "; ".join(result.problems)


def test_money_is_added_exactly_however_much_it_is():
    figures = Figures()
    figures.add(1, 1, {("cost", "USD"): Decimal("99999999999999999999.000000000000000001")})
    figures.add(2, 1, {("cost", "USD"): Decimal("0.000000000000000001"), ("cost", "CNY"): Decimal(1)})
    assert (figures.rows, figures.keys) == (3, 2)
    assert figures.money == {
        ("cost", "USD"): Decimal("99999999999999999999.000000000000000002"),
        ("cost", "CNY"): Decimal(1),
    }
