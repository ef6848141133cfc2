"""Counts and sums that two stores must agree on."""

from decimal import Decimal

import pytest

from exporters.store.figures import TableFigures, database_figures, differences
from exporters.store.remote import asker
from proxy.settings import StoreSettings

DDL = """
CREATE DATABASE figures;
CREATE TABLE figures.plain (n UInt8, cost Nullable(Decimal(38, 18)), currency String,
    tax Decimal(38, 18), tax_currency String, f Float64) ENGINE = MergeTree ORDER BY n;
CREATE TABLE figures.rolled (k UInt8, n SimpleAggregateFunction(sum, UInt64),
    cost SimpleAggregateFunction(sum, Decimal(38, 18)), currency String)
    ENGINE = AggregatingMergeTree ORDER BY (k, currency);
CREATE VIEW figures.seen AS SELECT n FROM figures.plain;
INSERT INTO figures.plain SELECT number, if(number = 0, NULL, toDecimal128(number, 18) / 7),
    if(number % 2 = 0, 'USD', 'CNY'), 1, 'EUR', 0.1 FROM numbers(5);
INSERT INTO figures.rolled SELECT 1, 2, 3, 'USD' FROM numbers(3)
"""


@pytest.mark.real
def test_money_is_added_up_exactly_by_its_currency(store):
    ask = asker(StoreSettings(url=f"http://127.0.0.1:{store.port}", user="meter", password="s3cret"))
    for statement in DDL.split(";"):
        ask(statement)
    figures = database_figures(ask, "figures")
    ask("DROP DATABASE figures SYNC")

    seventh = [(Decimal(n) / 7).quantize(Decimal("1e-18"), rounding="ROUND_DOWN") for n in range(5)]
    assert figures.keys() == {"plain", "rolled"}
    assert figures["plain"].rows == 5
    assert figures["plain"].sums["tax"] == {"EUR": "5"}
    assert {unit: Decimal(total) for unit, total in figures["plain"].sums["cost"].items()} == {
        "CNY": seventh[1] + seventh[3],
        "USD": seventh[2] + seventh[4],
    }
    assert "f" not in figures["plain"].sums
    assert figures["rolled"] == TableFigures(rows=None, sums={"n": {"": "6"}, "cost": {"USD": "9"}})


def test_whatever_differs_is_said():
    wanted = {"a": TableFigures(rows=2, sums={"cost": {"USD": "1"}}), "b": TableFigures(rows=1)}
    assert differences(wanted, wanted) == []
    found = {"a": TableFigures(rows=3, sums={"cost": {"USD": "1.5"}}), "more": TableFigures(rows=9)}
    said = differences(wanted, found)
    assert len(said) == 3
    assert "the table b is not there" in said
    assert "a has 3 rows, not 2" in said


def test_rows_that_the_engine_merges_are_not_counted():
    assert differences({"r": TableFigures(rows=None)}, {"r": TableFigures(rows=7)}) == []
