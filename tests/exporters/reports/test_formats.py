import csv
import io
import json
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.formats import cell_text, exact_text, money_text, price_text, to_csv, to_json, to_plain, to_table
from exporters.reports.period import Period
from exporters.reports.report import Column, Report

BERLIN = ZoneInfo("Europe/Berlin")
PERIOD = Period(
    since=datetime(2026, 11, 1, tzinfo=BERLIN), until=datetime(2026, 11, 8, tzinfo=BERLIN), tz="Europe/Berlin"
)
REPORT = Report(
    name="costs",
    period=PERIOD,
    columns=(
        Column(name="team", type="text"),
        Column(name="currency", type="text"),
        Column(name="calls", type="count", unit="calls"),
        Column(name="cost", type="money"),
        Column(name="unpriced", type="count", unit="calls", detail=True),
        Column(name="share", type="ratio"),
    ),
    rows=(
        ("search", "CNY", 3, Decimal("7.50"), 0, Decimal("0.75")),
        ("", "CNY", 1, Decimal("2.50"), 1, Decimal("0.25")),
        ("search", "USD", 1200, Decimal("1234.567890123456789012"), 0, Decimal(1)),
        ("ops", "", 1, None, 1, None),
    ),
    totals=(
        ("total", "CNY", 4, Decimal("10.00"), 1, Decimal(1)),
        ("total", "USD", 1200, Decimal("1234.567890123456789012"), 0, Decimal(1)),
        ("total", "", 1, None, 1, None),
    ),
    sections=("currency",),
    notes=("One sentence.",),
)


def test_json_has_every_digit_as_text_and_null_for_what_is_not_known():
    document = json.loads(to_json(REPORT))
    assert document["period"] == {
        "since": "2026-11-01T00:00:00+01:00",
        "until": "2026-11-08T00:00:00+01:00",
        "tz": "Europe/Berlin",
    }
    assert document["rows"][2] == {
        "team": "search",
        "currency": "USD",
        "calls": 1200,
        "cost": "1234.567890123456789012",
        "unpriced": 0,
        "share": "1",
    }
    assert document["rows"][3]["cost"] is None
    assert document["totals"][0]["cost"] == "10"
    assert document["columns"][2] == {"name": "calls", "type": "count", "unit": "calls"}
    assert document["sections"] == ["currency"]
    assert document["notes"] == ["One sentence."]


def test_csv_is_a_header_and_the_rows_with_every_digit():
    rows = list(csv.reader(io.StringIO(to_csv(REPORT))))
    assert rows == [
        ["team", "currency", "calls", "cost", "unpriced", "share"],
        ["search", "CNY", "3", "7.5", "0", "0.75"],
        ["", "CNY", "1", "2.5", "1", "0.25"],
        ["search", "USD", "1200", "1234.567890123456789012", "0", "1"],
        ["ops", "", "1", "", "1", ""],
    ]


def test_plain_text_is_aligned_and_keeps_currencies_apart():
    assert to_plain(REPORT) == (
        "costs: 2026-11-01 00:00 up to 2026-11-08 00:00 (Europe/Berlin)\n"
        "\n"
        "team    currency  calls      cost    share\n"
        "------  --------  -----  --------  -------\n"
        "search  CNY           3    7.5000   75.0 %\n"
        "-       CNY           1    2.5000   25.0 %\n"
        "------  --------  -----  --------  -------\n"
        "total   CNY           4   10.0000  100.0 %\n"
        "------  --------  -----  --------  -------\n"
        "search  USD       1,200  1,234.57  100.0 %\n"
        "------  --------  -----  --------  -------\n"
        "ops     -             1         -        -\n"
        "\n"
        "One sentence.\n"
    )


def test_a_table_for_people_leaves_out_what_is_only_for_machines():
    table = to_table(REPORT)
    assert table.headings == ("team", "currency", "calls", "cost", "share")
    assert table.numeric == (False, False, True, True, True)
    assert table.foldable == (True, True, False, False, False)
    assert [len(section.rows) for section in table.sections] == [2, 1, 1]
    assert [section.total is not None for section in table.sections] == [True, False, False]


def test_a_currency_that_is_no_section_stands_behind_the_amounts_and_an_estimate_is_marked():
    report = Report(
        name="calls",
        period=PERIOD,
        columns=(
            Column(name="call_id", type="text"),
            Column(name="cost", type="money"),
            Column(name="currency", type="text"),
            Column(name="list_price", type="price"),
            Column(name="estimated", type="text", detail=True),
        ),
        rows=(
            ("c1", Decimal("0.5"), "USD", Decimal("0.30"), "yes"),
            ("c2", Decimal(7), "CNY", None, ""),
            ("c3", None, "", None, ""),
        ),
    )
    table = to_table(report)
    assert table.headings == ("call id", "cost", "list price")
    assert table.sections[0].rows == (
        ("c1", "~0.500000 USD", "0.30 USD"),
        ("c2", "7.0000 CNY", "-"),
        ("c3", "-", "-"),
    )


@pytest.mark.parametrize(
    ("price", "text"),
    [("0.30", "0.30"), ("15", "15.00"), ("0.015", "0.015"), ("1.294712345", "1.294712"), ("0", "0.00")],
)
def test_a_price_has_the_decimals_it_needs(price, text):
    assert price_text(Decimal(price)) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.000000"),
        ("0.000000000001", "<0.000001"),
        ("0.0000004999", "<0.000001"),
        ("0.0000005", "<0.000001"),
        ("0.00037890", "0.000379"),
        ("1", "1.0000"),
        ("999.99999", "1,000.0000"),
        ("1234567.891", "1,234,567.89"),
        ("-0.5", "-0.500000"),
    ],
)
def test_money_for_people_is_rounded_and_never_to_nothing_unsaid(amount, text):
    assert money_text(Decimal(amount)) == text


@given(st.decimals(min_value=-(10**19), max_value=10**19, places=18, allow_nan=False, allow_infinity=False))
def test_exact_text_loses_no_digit_and_has_no_exponent(amount):
    text = exact_text(amount)
    assert Decimal(text) == amount
    assert "E" not in text.upper()
    assert not ("." in text and text.endswith("0"))


@pytest.mark.parametrize(
    ("kind", "cell", "text"),
    [
        ("count", 1234567, "1,234,567"),
        ("count", 0, "0"),
        ("count", None, "-"),
        ("text", "", "-"),
        ("number", Decimal("1234.56"), "1,235"),
        ("number", Decimal("12.345"), "12.3"),
        ("ratio", Decimal("0.9999"), "100.0 %"),
        ("time", datetime(2026, 11, 1, 8, 30, 15, tzinfo=BERLIN), "2026-11-01 08:30:15"),
        ("hour", datetime(2026, 10, 25, 2, tzinfo=BERLIN), "2026-10-25 02:00 CEST"),
        ("hour", datetime(2026, 10, 25, 2, fold=1, tzinfo=BERLIN), "2026-10-25 02:00 CET"),
    ],
)
def test_cells_for_people(kind, cell, text):
    assert cell_text(Column(name="x", type=kind), cell) == text


def test_a_name_cannot_steer_the_terminal():
    assert cell_text(Column(name="x", type="text"), "a\x1b[31mb\r\n\u202e") == "a\ufffd[31mb\ufffd\ufffd\ufffd"
