"""`taximeter sql`: a query on the store."""

import shutil
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from proxy.cli.command import (
    ConfigOption,
    DataDirOption,
    command_app,
    fail,
    help_text,
    on_terminal,
    running_settings_or_fail,
)

app = command_app()


class RowFormat(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"


_STORE_FORMATS = {
    RowFormat.TABLE: "JSONCompact",
    RowFormat.JSON: "JSON",
    RowFormat.CSV: "CSVWithNames",
    RowFormat.TSV: "TSVWithNames",
}
_TIMEOUT_S = 300.0


@app.command(
    help=help_text(
        "Run a query on the store, as its read-only user.\n\n"
        "The tables are calls and attempts. Without --format: a table on a terminal, tab-separated text elsewhere. "
        "A FORMAT in the query itself is passed on as it is.",
        'taximeter sql "SELECT model, count(), sum(output_tokens) FROM calls GROUP BY model"',
        'taximeter sql "SELECT * FROM calls ORDER BY started_at DESC LIMIT 10" --format csv > calls.csv',
        "taximeter sql < query.sql",
        'taximeter sql --write "OPTIMIZE TABLE calls"',
    )
)
def sql(
    query: Annotated[str, typer.Argument(help="The statement; - or nothing reads it from stdin.")] = "-",
    answer_format: Annotated[RowFormat | None, typer.Option("--format", "-f", help="How rows are printed.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Run it as the user who may change things.")] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Ask the store and print its answer as it comes."""
    # Imported here: see proxy.cli.
    from proxy.store_http import StoreError, ask

    if query == "-":
        if sys.stdin.isatty():
            fail('nothing to ask: give a query, such as taximeter sql "SELECT count() FROM calls"')
        query = sys.stdin.read()
    settings = running_settings_or_fail(config, data_dir)
    wanted = answer_format or (RowFormat.TABLE if on_terminal() else RowFormat.TSV)
    try:
        with ask(
            settings.store, query, answer_format=_STORE_FORMATS[wanted], write=write, timeout_s=_TIMEOUT_S
        ) as answer:
            if wanted is RowFormat.TABLE and answer.format == _STORE_FORMATS[wanted]:
                _print_table(answer.read())
            else:
                _pass_on(answer.chunks())
    except StoreError as error:
        fail(f"{error}{'' if error.code else _hint(settings)}")


def _pass_on(chunks: Iterator[bytes]) -> None:
    try:
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The reader has had enough (`| head`); Python would complain of it once more when it flushes at the end.
        sys.stderr.close()
        raise typer.Exit(0) from None


def _print_table(data: bytes) -> None:
    # Imported here: see proxy.cli.
    import msgspec
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not data:
        return
    answer = msgspec.json.decode(data)
    table = Table(header_style="bold")
    for column in answer["meta"]:
        numeric = column["type"].removeprefix("Nullable(").startswith(("UInt", "Int", "Float", "Decimal"))
        table.add_column(Text(column["name"]), justify="right" if numeric else "left", overflow="fold")
    for row in answer["data"]:
        table.add_row(*(_cell(value) for value in row))
    rows = len(answer["data"])
    Console(width=None if on_terminal() else shutil.get_terminal_size((200, 50)).columns).print(
        table, f"{rows} row{'s' if rows != 1 else ''}", sep="\n"
    )


def _cell(value: Any) -> Any:
    # Imported here: see proxy.cli.
    import msgspec
    from rich.text import Text

    if value is None:
        return Text("null", style="dim")
    return Text(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _hint(settings: Any) -> str:
    return "\nIs it running? Start it with: taximeter serve" if settings.store.embedded else ""
