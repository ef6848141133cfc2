import pytest
import typer

from exporters.reports.formats import Section, Table
from exporters.reports.writing import Told
from proxy.cli.report_output import broken, draw, show


def test_what_is_wrong_is_told_on_stderr_with_its_status(capsys):
    with pytest.raises(typer.Exit) as ended:
        show(Told(problem="No.", exit_status=2), None)
    assert ended.value.exit_code == 2
    assert capsys.readouterr() == ("", "No.\n")


def test_a_file_that_cannot_be_written_is_one_sentence(capsys, tmp_path):
    with pytest.raises(typer.Exit) as ended:
        show(Told(text="x"), tmp_path / "no" / "such")
    assert ended.value.exit_code == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_a_text_is_printed_with_its_end_of_line(capfdbinary):
    show(Told(text="a"), None)
    assert capfdbinary.readouterr().out == b"a\n"


def test_a_terminal_gets_a_drawn_table_that_foreign_text_cannot_steer(capsys):
    table = Table(
        title="costs",
        headings=("team", "cost"),
        numeric=(False, True),
        foldable=(True, False),
        sections=(Section((("[red]a[/]", "1.0"), ("b", "2.0")), ("total", "3.0")), Section((("c", "4.0"),), None)),
        notes=("USD [metered]: 2 calls.",),
    )
    draw(table)
    shown = capsys.readouterr().out
    assert "[red]a[/]" in shown
    assert "USD [metered]: 2 calls." in shown
    assert shown.index("total") < shown.index("4.0")


@pytest.mark.parametrize(
    ("heading", "room", "lines"),
    [
        ("output speed p50 tokens/s", 5, ["output", "speed", "p50", "tokens/s"]),
        ("latency p50 ms", 6, ["latency", "p50 ms"]),
        ("cost", 0, ["cost"]),
        ("list price in", 40, ["list price in"]),
    ],
)
def test_a_heading_takes_no_more_room_than_its_cells_as_far_as_words_allow(heading, room, lines):
    assert broken(heading, room).split("\n") == lines
