"""What every command's file is made of: its app, its help with examples, the options that many share."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from proxy.config.problems import Problem
    from proxy.settings import Settings

DATA_DIR_ENV = "TAXIMETER_DATA_DIR"

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The configuration; else $TAXIMETER_CONFIG, else ./taximeter.yaml, else the defaults.",
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", envvar=DATA_DIR_ENV, help="The data folder, in place of the configured one."
    ),
]


class PageFormat(StrEnum):
    """How a command that shows a state answers."""

    TEXT = "text"
    JSON = "json"


PageFormatOption = Annotated[PageFormat, typer.Option("--format", "-f", help="For people or for programs.")]


def command_app() -> typer.Typer:
    """An app for one command's file."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def help_text(text: str, *examples: str) -> str:
    """The help of a command; examples keep their lines."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"{text}\n\n\b\nExamples:\n{lines}"


def fail(message: str) -> NoReturn:
    """Say what is wrong on stderr and end with status 1."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


def load_settings_or_fail(config: Path | None, data_dir: Path | None, *, provider_keys: bool = False) -> "Settings":
    """The settings from the configuration; every mistake of it goes to stderr, one a line, and the command ends.

    Only who serves needs the operator's keys at providers; without `provider_keys` they are not looked up.
    """
    # Imported here: the schema library, and every provider, is for the commands that read a configuration.
    import msgspec

    from proxy.config.load import find_config, load_settings
    from proxy.config.problems import ConfigError
    from proxy.providers import PROVIDERS

    cwd = Path.cwd()
    try:
        file = find_config(config, env=os.environ, cwd=cwd)
        settings = load_settings(file, env=os.environ, cwd=cwd, kinds=PROVIDERS, provider_keys=provider_keys)
    except ConfigError as error:
        fail(str(error))
    if data_dir is not None:
        settings = msgspec.structs.replace(settings, data_dir=data_dir.expanduser().absolute())
    return settings


def price_problems(settings: "Settings") -> "tuple[Problem, ...]":
    """Every mistake of the price files that the settings name."""
    # Imported here, as above.
    from proxy.config.problems import ConfigError
    from proxy.prices.load import load_book
    from proxy.providers import PROVIDERS

    try:
        load_book(settings.price_files, kinds=[provider.kind for provider in PROVIDERS])
    except ConfigError as error:
        return error.problems
    return ()


def running_settings_or_fail(config: Path | None, data_dir: Path | None) -> "Settings":
    """The settings as the running Taximeter uses them: its addresses, and the credentials of its store."""
    # Imported here, as above.
    from proxy.config.credentials import CredentialsError, with_kept_credentials
    from proxy.runstate import as_running, read_state

    settings = load_settings_or_fail(config, data_dir)
    try:
        settings = with_kept_credentials(settings)
    except CredentialsError as error:
        fail(str(error))
    return as_running(settings, read_state(settings))


def on_terminal() -> bool:
    """Whether a person reads what is printed."""
    return sys.stdout.isatty()
