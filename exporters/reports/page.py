"""A document as one page of HTML for mail and for print: no script, no font, no picture from anywhere, nothing to load.

Every text is escaped. Layout is by tables and inline styles of the mail kind, colours follow light and dark where the
reader's program knows them. Charts are inline SVG; a mail program that takes SVG out leaves the table with the same
figures.
"""

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from itertools import groupby

from exporters.reports.document import Chart, Document, Figure, Part
from exporters.reports.formats import Table, heading, money_text, printable, to_table
from exporters.reports.report import Report, Row

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; padding: 24px 12px; background: #f4f5f7; color: #1c2024;
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
.page { max-width: 1060px; margin: 0 auto; }
h1 { font-size: 22px; margin: 0 0 2px; } h2 { font-size: 16px; margin: 0 0 8px; }
.quiet { color: #5c6570; } .small { font-size: 12px; }
.card { background: #ffffff; border: 1px solid #e1e4e8; border-radius: 8px; padding: 16px; margin: 16px 0 0; }
.figures { width: calc(100% + 24px); border-collapse: separate; border-spacing: 12px 0; margin: 16px -12px 0;
  table-layout: fixed; }
.figures td { background: #ffffff; border: 1px solid #e1e4e8; border-radius: 8px; padding: 12px 14px;
  vertical-align: top; }
.big { font-size: 24px; font-weight: 650; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
.rows { width: 100%; border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
.rows th { text-align: left; font-weight: 600; color: #5c6570; border-bottom: 1px solid #cfd4da; padding: 4px 8px;
  vertical-align: bottom; }
.rows td { border-bottom: 1px solid #eceef1; padding: 4px 8px; vertical-align: top; }
.rows .n { text-align: right; } .rows td.n { white-space: nowrap; }
.rows td.t { min-width: 64px; max-width: 240px; overflow-wrap: break-word; }
.rows .section td { font-weight: 650; padding-top: 14px; border-bottom: 1px solid #cfd4da; }
.rows .total td { font-weight: 650; border-top: 1px solid #cfd4da; border-bottom: 2px solid #cfd4da; }
.bar { fill: #3b6fd4; } .odd { fill: #d4653b; } .usual { stroke: #1c2024; } .axis { stroke: #cfd4da; }
svg text { fill: #5c6570; font: 11px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  body { background: #14171a; color: #e6e8eb; }
  .card, .figures td { background: #1d2125; border-color: #30363d; }
  .quiet, .rows th { color: #9aa4af; } .rows th, .rows .total td, .rows .section td { border-color: #4a525b; }
  .rows td { border-color: #2a3036; }
  .bar { fill: #6d9bf0; } .odd { fill: #f08a5d; } .usual { stroke: #e6e8eb; } .axis { stroke: #4a525b; }
  svg text { fill: #9aa4af; }
}
@media (max-width: 640px) { .figures, .figures tbody, .figures tr, .figures td { display: block; width: auto; }
  .figures { margin: 16px 0 0; } .figures td { margin-bottom: 12px; } }
@media print { body { background: #ffffff; padding: 0; } .card { break-inside: avoid; } .wide { overflow: visible; } }
"""
_TURNED = "totals"
"""The part whose rows stand as columns."""
_OF_CHARTS = (
    "In a chart the stroke is the median of the same weekday in the eight weeks before; an odd day has another colour."
)
_OF_CALLS = frozenset({"estimated", "unpriced", "interrupted"})
_FIGURES_A_LINE = 3
_MOST_ROWS = 200
"""Of a part; the rest is for the other formats."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 1000, 150, 70, 8, 20


def to_page(document: Document) -> str:
    """The page."""
    period = document.period
    span = f"{period.since:%Y-%m-%d %H:%M} up to {period.until:%Y-%m-%d %H:%M}"
    body = [
        f"<h1>{_text(document.title)}</h1>",
        f'<div class="quiet">{span} {_text(period.tz)} &middot; made {document.made_at:%Y-%m-%d %H:%M %Z}</div>',
        *_figures(document.figures),
        *(_chart(chart) for chart in document.charts if chart.bars),
        *(_part(part) for part in document.parts),
    ]
    if notes := (*document.notes, *([_OF_CHARTS] if document.charts else [])):
        body.append(f'<div class="card"><h2>How to read this</h2>{_notes(notes)}</div>')
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(document.title)}: {span}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f'<body><div class="page">\n{chr(10).join(body)}\n</div></body>\n</html>\n'
    )


def _figures(figures: Sequence[Figure]) -> list[str]:
    lines = []
    for start in range(0, len(figures), _FIGURES_A_LINE):
        cells = "".join(map(_figure, figures[start : start + _FIGURES_A_LINE]))
        lines.append(f'<table class="figures" role="presentation"><tr>{cells}</tr></table>')
    return lines


def _figure(figure: Figure) -> str:
    amount = "not known" if figure.amount is None else f"{money_text(figure.amount)} {figure.unit}"
    beside = "".join(f'<div class="quiet small">{_text(line)}</div>' for line in figure.lines)
    return f'<td><div class="quiet">{_text(figure.title)}</div><div class="big">{_text(amount)}</div>{beside}</td>'


def _part(part: Part) -> str:
    table = to_table(part.report)
    if not table.sections:
        inside = '<div class="quiet">Nothing.</div>'
    elif part.name == _TURNED and part.report.sections:
        inside = f'<div class="wide">{_turned(part.report, table)}</div>'
    else:
        inside = f'<div class="wide">{_table(part.report, table)}</div>'
    return f'<div class="card"><h2>{_text(part.title)}</h2>{inside}{_notes(table.notes)}</div>'


def _table(report: Report, table: Table) -> str:
    """Rows by sections; what a section is called stands above it and in no column."""
    names = [column.name for column in report.columns if not column.detail]
    # Only where the currency is no section does a table lack a column, and then nothing is left out here.
    shown = [
        number for number in range(len(table.headings)) if not report.sections or names[number] not in report.sections
    ]
    lines = []
    for key, section in zip(_keys(report), table.sections, strict=True):
        if report.sections:
            lines.append(f'<tr class="section"><td colspan="{len(shown)}">{_text(section_title(key))}</td></tr>')
        lines += [_row(table, shown, row) for row in section.rows[:_MOST_ROWS]]
        if len(section.rows) > _MOST_ROWS:
            left = f"{len(section.rows) - _MOST_ROWS} more rows are in the other formats."
            lines.append(f'<tr><td colspan="{len(shown)}" class="quiet">{left}</td></tr>')
        if section.total is not None:
            lines.append(_row(table, shown, section.total, "total"))
    head = "".join(_cell(table, number, table.headings[number], "th") for number in shown)
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _turned(report: Report, table: Table) -> str:
    """Each section as a column, each figure as a line: for few sections with many figures."""
    columns = [
        (section_title(key), section.rows[0]) for key, section in zip(_keys(report), table.sections, strict=True)
    ]
    head = "".join(f'<th class="n">{_text(title)}</th>' for title, _ in columns)
    counted = {heading(column) for column in report.columns if column.unit == "calls" and column.name in _OF_CALLS}
    lines = [
        f'<tr><td class="t">{_text(f"{name} calls" if name in counted else name)}</td>'
        + "".join(f'<td class="n">{_text(row[number])}</td>' for _, row in columns)
        + "</tr>"
        for number, name in enumerate(table.headings)
        if name not in report.sections
    ]
    return f'<table class="rows"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _keys(report: Report) -> list[Row]:
    """The sections of the rows, in their order."""
    return [key for key, _ in groupby(report.rows, key=report.section_of)]


def section_title(key: Row) -> str:
    """What a section is called: the currency, and the kind of billing where it is not money spent."""
    currency, *more = (str(cell or "") for cell in key)
    kind = more[0] if more else ""
    if not currency:
        return "no currency"
    return f"{currency}, list-price equivalent" if kind == "subscription" else f"{currency} {kind}".rstrip()


def _row(table: Table, shown: Sequence[int], cells: Sequence[str], kind: str = "row") -> str:
    return f'<tr class="{kind}">{"".join(_cell(table, number, cells[number]) for number in shown)}</tr>'


def _cell(table: Table, number: int, text: str, tag: str = "td") -> str:
    return f'<{tag} class="{"n" if table.numeric[number] else "t"}">{_text(text)}</{tag}>'


def _chart(chart: Chart) -> str:
    """Bars of days; a stroke where such days usually are, another colour where a day is odd."""
    most = max([bar.amount for bar in chart.bars] + [bar.usual for bar in chart.bars if bar.usual is not None])
    height, step = _HEIGHT - _TOP - _BOTTOM, Decimal(_WIDTH - _LEFT) / len(chart.bars)
    foot = _HEIGHT - _BOTTOM
    drawn = [f'<line class="axis" x1="{_LEFT}" y1="{foot}" x2="{_WIDTH}" y2="{foot}"/>']
    every = -(-len(chart.bars) // 8)
    for number, bar in enumerate(chart.bars):
        tall = bar.amount / most * height if most > 0 else Decimal(0)
        left, wide = _LEFT + number * step, step * Decimal("0.72")
        told = f"{bar.label}: {money_text(bar.amount)} {chart.unit}"
        told += f", usually {money_text(bar.usual)}" if bar.usual is not None else ""
        kind = "odd" if bar.odd else "bar"
        drawn.append(
            f'<rect class="{kind}" x="{left:.1f}" y="{foot - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}">'
            f"<title>{_text(told)}</title></rect>"
        )
        if bar.usual is not None and most > 0:
            at = foot - bar.usual / most * height
            drawn.append(f'<line class="usual" x1="{left:.1f}" y1="{at:.1f}" x2="{left + wide:.1f}" y2="{at:.1f}"/>')
        if number % every == 0:
            drawn.append(f'<text x="{left:.1f}" y="{_HEIGHT - 5}">{_text(bar.label[5:])}</text>')
    drawn.append(f'<text x="{_LEFT - 6}" y="{_TOP + 10}" text-anchor="end">{_text(money_text(most))}</text>')
    drawn.append(f'<text x="{_LEFT - 6}" y="{foot}" text-anchor="end">0</text>')
    return (
        f'<div class="card"><h2>{_text(chart.title)}</h2><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" '
        f'aria-label="{_text(chart.title)}">{"".join(drawn)}</svg></div>'
    )


def _notes(notes: Sequence[str]) -> str:
    return "".join(f'<div class="quiet small" style="margin-top: 6px">{_text(note)}</div>' for note in notes)


def _text(text: str) -> str:
    """Text of any origin as HTML."""
    return escape(printable(text))
