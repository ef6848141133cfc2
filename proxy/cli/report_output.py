"""How a report is shown: drawn on a terminal, printed, or written to a file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.command import fail, on_terminal

if TYPE_CHECKING:
    from exporters.reports.formats import Table
    from exporters.reports.writing import Told


def show(told: "Told", output: Path | None) -> None:
    """Show an answer; what is wrong goes to stderr and ends with status 1, or 2 for a wrong question.

    Args:
        told: The answer.
        output: The file to write it to; None for the standard output.
    """
    if told.problem:
        typer.echo(told.problem, err=True)
        raise typer.Exit(told.exit_status)
    for table in told.tables:
        draw(table)
    if told.tables:
        return
    body = told.body or (told.text if told.text.endswith("\n") else told.text + "\n").encode("utf-8", "replace")
    if output is not None:
        _write(output, body)
        return
    if told.body and on_terminal():
        fail("This format is no text for a terminal: say where to write it, --output FILE.")
    try:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough (`| head`); Python would complain of it once more when it flushes at the end.
        sys.stderr.close()
        raise typer.Exit(0) from None


def _write(output: Path, body: bytes) -> None:
    try:
        output.write_bytes(body)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror or error}.")
    typer.echo(f"Wrote {output} ({len(body):,} bytes).", err=True)


def draw(table: "Table") -> None:
    """Draw a table on the terminal."""
    # Imported here: see proxy.cli.
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    drawn = RichTable(
        title=table.title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    lines = [row for section in table.sections for row in (*section.rows, section.total or ())]
    for number, heading in enumerate(table.headings):
        room = max((len(line[number]) for line in lines if line), default=0)
        drawn.add_column(
            broken(heading, room),
            justify="right" if table.numeric[number] else "left",
            overflow="fold",
            no_wrap=not table.foldable[number],
        )
    for section in table.sections:
        for row in section.rows:
            drawn.add_row(*map(Text, row))
        if section.total is not None:
            drawn.add_row(*map(Text, section.total), style="bold")
        drawn.add_section()
    if table.sections:
        console.print(drawn)
    else:
        console.print(Text(table.title, style="italic"))
    for note in table.notes:
        console.print(Text(note, style="dim"))


def broken(heading: str, room: int) -> str:
    """A heading in lines that are no longer than its column's cells, as far as its words allow."""
    # Imported here: see proxy.cli.
    import textwrap

    widest = max(room, *map(len, heading.split()))
    return "\n".join(textwrap.wrap(heading, widest))
