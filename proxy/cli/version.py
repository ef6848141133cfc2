"""`taximeter version`: which version this is."""

import json

import typer

from proxy.cli.command import PageFormat, PageFormatOption, command_app, help_text
from proxy.version import own_version, package_versions, platform_line

app = command_app()


@app.command(help=help_text("Show the version.", "taximeter version", "taximeter version --format json"))
def version(answer_format: PageFormatOption = PageFormat.TEXT) -> None:
    """Print the version; with JSON, those of the main packages too."""
    if answer_format is PageFormat.JSON:
        known = {"version": own_version(), "platform": platform_line(), "packages": package_versions()}
        typer.echo(json.dumps(known, indent=2))
    else:
        typer.echo(f"taximeter {own_version()} ({platform_line()})")
