"""`taximeter doctor`: what runs, what waits, what was lost, and what to do about it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from proxy.cli.command import (
    ConfigOption,
    DataDirOption,
    PageFormat,
    PageFormatOption,
    command_app,
    help_text,
    on_terminal,
    running_settings_or_fail,
)

if TYPE_CHECKING:
    from proxy.admin.findings import Finding
    from proxy.admin.status import Status

app = command_app()

_COLOURS = {"good": "green", "note": "yellow", "bad": "red"}


@app.command(
    help=help_text(
        "Say what runs, what waits, what was lost, and what to do about it.\n\n"
        "Looks at processes, ports, journal, losses, store, clock, disk and versions, whether it runs or not, and "
        "changes nothing. Ends with status 1 when something is wrong.",
        "taximeter doctor",
        "taximeter doctor --format json | jq '.findings[] | select(.state != \"good\")'",
    )
)
def doctor(
    config: ConfigOption = None, data_dir: DataDirOption = None, answer_format: PageFormatOption = PageFormat.TEXT
) -> None:
    """Gather the status, judge it, and print both."""
    # Imported here: see proxy.cli.
    import json

    import msgspec

    from proxy.admin.findings import judge
    from proxy.app_status import status_of

    status = status_of(running_settings_or_fail(config, data_dir))
    findings = judge(status)
    if answer_format is PageFormat.JSON:
        shown: dict[str, Any] = {
            "healthy": not any(finding.state == "bad" for finding in findings),
            "findings": [asdict(finding) for finding in findings],
            "status": msgspec.to_builtins(status),
        }
        typer.echo(json.dumps(shown, indent=2))
    elif on_terminal():
        _print_table(status, findings)
    else:
        _print_lines(status, findings)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)


def _print_lines(status: "Status", findings: "list[Finding]") -> None:
    typer.echo(f"Taximeter {status.version} ({status.platform})")
    for finding in findings:
        advice = f" -- {finding.advice}" if finding.advice else ""
        typer.echo(f"{finding.state:<4}  {finding.about:<15}  {finding.said}{advice}")


def _print_table(status: "Status", findings: "list[Finding]") -> None:
    # Imported here: see proxy.cli.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(f"Taximeter {status.version} ({status.platform})", style="bold")
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        said = Text(finding.said)
        if finding.advice:
            said.append(f"\n{finding.advice}", style="italic")
        table.add_row(Text(finding.state, style=_COLOURS[finding.state]), Text(finding.about), said)
    console.print(table)
