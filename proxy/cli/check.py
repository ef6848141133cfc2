"""`taximeter check`: is the configuration right, and what does it amount to."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from proxy.cli.command import (
    ConfigOption,
    PageFormat,
    PageFormatOption,
    command_app,
    help_text,
    price_problems,
)

if TYPE_CHECKING:
    from proxy.config.problems import Problem

app = command_app()

MASK = "********"
_SECRETS = frozenset({"api_key", "password", "reader_password", "headers", "hook_url", "secret", "key", "key_pepper"})


@app.command(
    help=help_text(
        "Check the configuration and show the settings that come of it.\n\n"
        "Secrets are masked; nothing is started or changed. Ends with status 1 when anything is wrong: every mistake "
        "is one line, with file, line and what would be right.",
        "taximeter check",
        "taximeter check --config /etc/taximeter.yaml",
        "taximeter check --format json | jq .problems",
    )
)
def check(config: ConfigOption = None, answer_format: PageFormatOption = PageFormat.TEXT) -> None:
    """Validate, then print the effective settings."""
    # Imported here: see proxy.cli.
    import yaml

    from proxy.config.load import find_config, load_settings
    from proxy.config.problems import ConfigError
    from proxy.providers import PROVIDERS

    cwd = Path.cwd()
    file = find_config(config, env=os.environ, cwd=cwd)
    try:
        settings = load_settings(file, env=os.environ, cwd=cwd, kinds=PROVIDERS)
    except ConfigError as error:
        _refuse(error.problems, answer_format)
    if problems := price_problems(settings):
        _refuse(problems, answer_format)
    shown = masked(settings)
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps({"ok": True, "problems": [], "settings": shown}, indent=2))
    else:
        typer.echo(yaml.safe_dump(shown, sort_keys=False, default_flow_style=False), nl=False)
        typer.echo(f"# {file or 'no configuration file: these are the defaults'}: good")


def masked(settings: Any) -> Any:
    """Settings as plain values, every secret replaced by a mask (None and empty stay: nothing is set there)."""
    # Imported here: see proxy.cli.
    import msgspec

    def mask(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: MASK if key in _SECRETS and item else mask(item) for key, item in value.items()}
        return [mask(item) for item in value] if isinstance(value, list) else value

    return mask(msgspec.json.decode(msgspec.json.encode(settings, enc_hook=str)))


def _refuse(problems: "tuple[Problem, ...]", answer_format: PageFormat) -> NoReturn:
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps({"ok": False, "problems": [_problem(problem) for problem in problems]}, indent=2))
    else:
        for problem in problems:
            typer.echo(str(problem), err=True)
        typer.echo(f"{len(problems)} mistake{'s' if len(problems) != 1 else ''}", err=True)
    raise typer.Exit(1)


def _problem(problem: "Problem") -> dict[str, Any]:
    line, column = problem.place or (None, None)
    return {"file": problem.source, "line": line, "column": column, "where": problem.where, "what": problem.what}
