"""`taximeter audit`: who changed keys, budgets and policies."""

import json
import time
from typing import Annotated

import typer

from proxy.cli.command import (
    ConfigOption,
    DataDirOption,
    PageFormat,
    PageFormatOption,
    command_app,
    fail,
    help_text,
    load_settings_or_fail,
)

app = command_app()


@app.command(
    help=help_text(
        "Show who changed keys, budgets and policies, when, and to what.\n\nLines are only ever added to the log.",
        "taximeter audit",
        "taximeter audit --action key --limit 0",
        "taximeter audit --format json | jq '.[] | select(.subject == \"search-app\")'",
    )
)
def audit(
    action: Annotated[str, typer.Option(help="Only what begins so: key, key.revoke, budget, policies.")] = "",
    subject: Annotated[str, typer.Option(help="Only what was done to this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="The last so many; 0: all.")] = 50,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Print the log, oldest first."""
    # Imported here: see proxy.cli.
    import msgspec

    from policies.audit import read

    settings = load_settings_or_fail(config, data_dir)
    try:
        log = read(settings.data_dir)
    except OSError as error:
        fail(f"{error.filename or settings.data_dir}: {error.strerror or error}")
    found = [one for one in log.entries if one.action.startswith(action) and subject in ("", one.subject)]
    shown = found[-limit:] if limit else found
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps([msgspec.to_builtins(one) for one in shown], indent=2))
    else:
        for one in shown:
            at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one.at_ns / 1e9))
            detail = "  ".join(f"{name}={value}" for name, value in one.detail.items())
            typer.echo(f"{at}  {one.by:<12}  {one.action:<14}  {one.subject}  {detail}".rstrip())
        if not log.entries:
            typer.echo("nothing was changed yet")
    if log.unreadable:
        typer.echo(f"{log.unreadable} lines of the log cannot be read", err=True)
