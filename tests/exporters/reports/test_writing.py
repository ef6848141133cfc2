import json
from decimal import Decimal

import pytest

from exporters.reports.errors import BadQuestionError
from exporters.reports.writing import CONTENT_TYPES, part_for, write
from tests.fakes.finance import FORMULA, NASTY, costs, document


class Engine:
    """Says how many rows it was handed."""

    def parquet(self, rows):
        return b"%d rows" % rows.lines.count(b"\n")


OTHER = costs([("x", "USD", 1, Decimal(1))], [])


@pytest.mark.parametrize("name", CONTENT_TYPES)
def test_every_format_is_written(name):
    told = write(document(NASTY, OTHER), "", name, Engine())
    assert bool(told.text) != bool(told.body)


def test_a_format_for_one_table_has_the_first_part_or_the_one_named():
    assert write(document(NASTY, OTHER), "", "parquet", Engine()).body == b"5 rows"
    assert write(document(NASTY, OTHER), "part1", "parquet", Engine()).body == b"1 rows"
    assert write(document(NASTY, OTHER), "part1", "csv", Engine()).text.count("\n") == 2


def test_of_a_month_that_is_the_costs():
    assert [part_for("month", name) for name in ("csv", "parquet", "html", "json")] == ["costs", "costs", "", ""]
    assert part_for("calls", "csv") == ""


def test_json_of_one_part_is_a_report_and_of_several_a_document():
    assert json.loads(write(document(NASTY), "", "json", Engine()).text)["report"] == "costs"
    parts = json.loads(write(document(NASTY, OTHER), "", "json", Engine()).text)["parts"]
    assert parts["part0"]["totals"][1]["cost"] == "123456789012.423456789012345678"


def test_a_spreadsheet_takes_no_cell_of_a_csv_file_for_a_formula():
    text = write(document(NASTY), "", "csv", Engine()).text
    assert f"\n'{FORMULA},CNY" in text
    assert "\n'+1,USD" in text


def test_each_table_says_which_part_it_is_and_the_last_has_the_notes():
    tables = write(document(NASTY, OTHER), "", "table", Engine()).tables
    assert [table.title[:8] for table in tables] == ["Part 0, ", "Part 1, "]
    assert tables[-1].notes[-1] == "A note."


def test_an_unknown_part_is_refused():
    with pytest.raises(BadQuestionError):
        write(document(), "profits", "json", Engine())
