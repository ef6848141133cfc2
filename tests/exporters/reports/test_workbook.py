import io
import re
import xml.etree.ElementTree as ET
import zipfile
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporters.reports.workbook import added, to_float, to_workbook
from tests.fakes.finance import FORMULA, MARKUP, NASTY, costs, document

NS = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
RANGE = re.compile(r"SUM\(([A-Z]+)([0-9]+):([A-Z]+)([0-9]+)\)")


def opened(body):
    """The cells of the first sheet by name, each as `(value, formula)`; texts are looked up."""
    book = zipfile.ZipFile(io.BytesIO(body))
    shared = [
        "".join(part.text or "" for part in item.iter(f"{{{NS['m']}}}t"))
        for item in ET.fromstring(book.read("xl/sharedStrings.xml"))
    ]
    found = {}
    for cell in ET.fromstring(book.read("xl/worksheets/sheet1.xml")).iterfind(".//m:c", NS):
        value, formula = cell.find("m:v", NS), cell.find("m:f", NS)
        if value is not None:
            text = shared[int(value.text)] if cell.get("t") == "s" else float(value.text)
            found[cell.get("r")] = (text, None if formula is None else formula.text)
    return found


def worked_out(cells, formula):
    """The value of a SUM, as a spreadsheet would have it."""
    column, first, _, last = RANGE.fullmatch(formula).groups()
    numbers = [cells[f"{column}{row}"][0] for row in range(int(first), int(last) + 1) if f"{column}{row}" in cells]
    return added(numbers)


def test_totals_are_formulas_whose_kept_values_are_right():
    cells = opened(to_workbook(document()))
    formulas = {name: cell for name, cell in cells.items() if cell[1]}
    assert len(formulas) == 4  # calls and money of two sections
    for value, formula in formulas.values():
        assert worked_out(cells, formula) == value


def test_exact_amounts_stand_beside_the_rounded_ones():
    texts = {value for value, _ in opened(to_workbook(document())).values()}
    assert {"7.000000000000000001", "123456789012.123456789012345678", "123456789012.423456789012345678"} <= texts


def test_what_came_from_outside_is_text_and_never_a_formula():
    cells = opened(to_workbook(document()))
    texts = [value for value, formula in cells.values() if isinstance(value, str) and formula is None]
    assert {FORMULA, MARKUP, "+1"} <= set(texts)
    assert {formula for _, formula in cells.values() if formula} == {
        formula for _, formula in cells.values() if formula and RANGE.fullmatch(formula)
    }


def test_what_is_not_known_is_an_empty_cell():
    cells = opened(to_workbook(document()))
    (row,) = [name[1:] for name, cell in cells.items() if cell[0] == "unpriced"]
    assert f"D{row}" not in cells


def test_a_workbook_without_rows_can_be_opened():
    assert opened(to_workbook(document(costs([], []))))


@given(st.lists(st.decimals(0, 10**12, places=18), min_size=1, max_size=30))
def test_the_sum_of_the_cells_is_the_exact_sum_to_fifteen_digits(amounts):
    rows = [(f"m{n}", "USD", 1, amount) for n, amount in enumerate(amounts)]
    cells = opened(to_workbook(document(costs(rows, [("total", "USD", len(rows), sum(amounts))]))))
    money = [cell for name, cell in cells.items() if cell[1] and name.startswith("D")]
    ((value, formula),) = money
    assert worked_out(cells, formula) == value
    assert abs(Decimal(value) - sum(amounts)) <= len(amounts) * Decimal("1e-14") * max(sum(amounts), Decimal("1e-18"))


def test_a_number_is_rounded_to_what_excel_keeps():
    assert to_float(Decimal("123456789012.123456789")) == 123456789012.123
    assert to_float(7) == 7.0
    assert len(NASTY.rows) == 5
