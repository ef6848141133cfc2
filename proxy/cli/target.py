"""`taximeter target`: how the targets of routes are, and taking one out by hand."""

import json
import time
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from proxy.settings import Settings

app = command_app()

TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="Its id, as `taximeter target list` has it.")]


@app.callback(no_args_is_help=True)
def target() -> None:
    """The targets of routes: docs/routes.md."""


@app.command(
    "list",
    help=help_text(
        "Show each target with its state, and the calls and failures of its window.", "taximeter target list"
    ),
)
def list_targets(
    config: ConfigOption = None, data_dir: DataDirOption = None, answer_format: PageFormatOption = PageFormat.TEXT
) -> None:
    """Print what the workers know of the targets."""
    settings = load_settings_or_fail(config, data_dir)
    # Imported here: see proxy.cli.
    from proxy.target_status import target_statuses

    found = target_statuses(settings, time.time_ns())
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps([{name: getattr(one, name) for name in one.__struct_fields__} for one in found]))
        return
    if not found:
        typer.echo("there are no routes in force")
    for one in found:
        until = f", until {one.until}" if one.until else ""
        typer.echo(f"{one.target}  {one.state}{until}  calls={one.calls} failures={one.failures}")


@app.command(
    "drain",
    help=help_text(
        "Send a target no more calls, until it is restored; calls under way go on.", "taximeter target drain minimax/M3"
    ),
)
def drain(name: TargetArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Order a target out."""
    _order(load_settings_or_fail(config, data_dir), name, drains=True)
    typer.echo(f"{name} is drained: it gets no more calls")


@app.command(
    "restore",
    help=help_text("Let a drained target have calls again, a few at first.", "taximeter target restore minimax/M3"),
)
def restore(name: TargetArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Order a target back."""
    _order(load_settings_or_fail(config, data_dir), name, drains=False)
    typer.echo(f"{name} is restored: its share of calls grows")


def _order(settings: "Settings", name: str, *, drains: bool) -> None:
    # Imported here: see proxy.cli.
    from proxy.config.problems import did_you_mean
    from proxy.target_files import write_order
    from proxy.target_status import known_targets

    known = known_targets(settings)
    if not known:
        fail("there are no routes in force")
    if name not in known:
        fail(f"no such target: {did_you_mean(name, known)}")
    try:
        write_order(settings.run_dir, name, "drain" if drains else "restore", time.time_ns())
    except OSError as error:
        fail(f"the order cannot be written to {settings.run_dir}: {error.strerror}")
