"""`taximeter serve`: start everything, show the banner, and watch until a signal comes."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from proxy.cli.command import (
    DATA_DIR_ENV,
    ConfigOption,
    DataDirOption,
    command_app,
    fail,
    help_text,
    load_settings_or_fail,
    on_terminal,
    price_problems,
)

if TYPE_CHECKING:
    from proxy.settings import Settings

app = command_app()


@app.command(
    help=help_text(
        "Start the proxy, its recorder and its store.\n\n"
        "The store is the embedded one unless a ClickHouse is configured. It runs until SIGTERM or Ctrl-C, which let "
        "the calls under way finish (a second one does not). SIGHUP checks the configuration again.",
        "taximeter serve",
        "taximeter serve --config /etc/taximeter.yaml",
        "taximeter serve --demo",
    )
)
def serve(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Run against the sandbox provider with live traffic, in a data folder of its own."),
    ] = False,
) -> None:
    """Load the settings, serve, and say in one line why when it cannot."""
    # Imported here: see proxy.cli.
    import asyncio

    from proxy.logs import configure
    from proxy.serve import ServeError, demo_settings
    from proxy.serve import serve as serve_all

    settings = load_settings_or_fail(config, data_dir, provider_keys=True)
    if problems := price_problems(settings):
        fail("\n".join(map(str, problems)))
    if demo:
        settings = demo_settings(settings)
    configure("supervisor")
    try:
        asyncio.run(
            serve_all(
                settings,
                demo=demo,
                announce=lambda running: typer.echo(banner(running, demo=demo), nl=False),
                reload=lambda: _check_again(config, data_dir),
            )
        )
    except ServeError as error:
        fail(f"taximeter cannot start: {error}")


def banner(settings: "Settings", *, demo: bool = False) -> str:
    """What a person needs to go on from here, ready to paste."""
    # Imported here: see proxy.cli.
    from proxy.config.credentials import credentials_file
    from proxy.version import own_version

    bold, plain = ("\x1b[1m", "\x1b[0m") if on_terminal() and not os.environ.get("NO_COLOR") else ("", "")
    store = settings.store
    lines = [f"{bold}Taximeter {own_version()} is ready.{plain}", ""]

    def fact(name: str, said: str) -> None:
        lines.append(f"  {name:<12} {said}")

    fact("data", settings.listen.url)
    fact("admin", settings.admin.url)
    if store.embedded:
        url = urlsplit(store.url)
        fact("store", f"{url.scheme}://{store.reader_user}:{store.reader_password}@{url.netloc}  (read only)")
        fact("", f"read-write: user {store.user}, its password stands in {_near(credentials_file(settings))}")
        if (trouble := _store_trouble(settings)) is not None:
            fact("", f"{bold}IT DOES NOT RUN{plain}: {trouble}")
            fact("", "Calls go on, and wait in the journal for it; it is tried again all the time.")
    else:
        fact("store", f"{store.url}  (user {store.user}, database {store.database})")
    fact("data folder", _near(settings.data_dir))
    names = {provider.name for provider in settings.providers}
    ready = [(sdk, name, code) for sdk, name, code in _sdk_lines(settings.listen.url) if name in names]
    if ready:
        lines += ["", f"  {bold}Point your SDK at it{plain} (your own key passes through):"]
        lines += [f"    {name:<10} {code}" for _, name, code in ready]
    pointer = f"{DATA_DIR_ENV}={_near(settings.data_dir)} " if demo else ""
    command = pointer + command_name(sys.argv[0])
    lines += ["", f"  Then look: {command} report costs    {command} doctor", ""]
    return "\n".join(lines) + "\n"


def _store_trouble(settings: "Settings") -> str | None:
    """Why the embedded store does not serve; None when it does, or nothing is known of it."""
    # Imported here: see proxy.cli.
    from proxy.runstate import read_state

    state = read_state(settings)
    store = next((process for process in state.processes if process["role"] == "store"), None) if state else None
    if store is None or store["state"] == "ready":
        return None
    return store.get("why") or f"it ended {store['deaths']} times (status {store['last_exit']}), its log says why"


def command_name(called: str) -> str:
    """How a person calls this command from here: `taximeter` where a shell finds it, else its path."""
    if Path(called).name != "taximeter" or shutil.which("taximeter") == str(Path(called).resolve()):
        return "taximeter"
    return _near(Path(called).resolve())


def _sdk_lines(url: str) -> list[tuple[str, str, str]]:
    """SDK, provider, and the line of code."""
    return [
        ("openai", "openai", f'openai.OpenAI(base_url="{url}/openai/v1")'),
        ("openai", "minimax", f'openai.OpenAI(base_url="{url}/minimax/v1", api_key=os.environ["MINIMAX_API_KEY"])'),
        ("anthropic", "anthropic", f'anthropic.Anthropic(base_url="{url}/anthropic")'),
        (
            "anthropic",
            "minimax",
            f'anthropic.Anthropic(base_url="{url}/minimax/anthropic", auth_token=os.environ["MINIMAX_API_KEY"])',
        ),
    ]


def _near(path: Path) -> str:
    """A path as short as it is true from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _check_again(config: Path | None, data_dir: Path | None) -> None:
    """What SIGHUP does: say whether the configuration is good. Settings are taken at a start only."""
    # Imported here: see proxy.cli.
    import structlog

    try:
        problems = price_problems(load_settings_or_fail(config, data_dir, provider_keys=True))
        if problems:
            fail("\n".join(map(str, problems)))
    except typer.Exit:
        structlog.get_logger().error("configuration has mistakes, see above; nothing changes")
    else:
        structlog.get_logger().info("configuration is good; it takes effect at the next start")
