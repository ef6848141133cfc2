"""`taximeter alerts`: do they arrive."""

import json
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
    running_settings_or_fail,
)

app = command_app()


@app.callback(no_args_is_help=True)
def alerts() -> None:
    """Who hears of what is the matter: docs/alerts.md."""


@app.command(
    "test",
    help=help_text(
        "Send a test alert to the channels of the configuration, or to those that are named.\n\n"
        "Says of each whether it was taken; ends with status 1 when one was not.",
        "taximeter alerts test",
        "taximeter alerts test ops",
    ),
)
def try_all(
    channels: Annotated[
        list[str] | None, typer.Argument(metavar="[CHANNEL]...", help="Names; all channels where none is given.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Try channels and print what became of it."""
    # Imported here: see proxy.cli.
    from proxy.app_alerts import try_channels
    from proxy.config.problems import did_you_mean

    settings = running_settings_or_fail(config, data_dir)
    known = [channel.name for channel in settings.alerts.channels]
    if not known:
        fail("no channels are configured: alerts.channels in taximeter.yaml, see docs/alerts.md")
    for name in channels or ():
        if name not in known:
            fail(f"no such channel: {did_you_mean(name, known)}")
    outcomes = try_channels(settings, channels or [])
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps([{"channel": name, "taken": not said, "error": said} for name, said in outcomes.items()]))
    else:
        for name, said in outcomes.items():
            typer.echo(f"{name}: {said or 'taken'}")
    if any(outcomes.values()):
        raise typer.Exit(1)
