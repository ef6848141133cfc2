import pytest

from exporters.reports.document import single
from exporters.reports.errors import BadQuestionError
from tests.fakes.finance import MADE_AT, NASTY, document


def test_a_part_is_found_by_its_name_and_the_first_by_none():
    found = document(NASTY, NASTY)
    assert found.part("part1") is found.parts[1]
    assert found.part("") is found.parts[0]
    with pytest.raises(BadQuestionError, match="choose from part0, part1"):
        found.part("part2")


def test_a_single_report_is_a_document_of_one_part():
    assert single(NASTY, MADE_AT).part("costs").report is NASTY
