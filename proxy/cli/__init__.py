"""The command line, `taximeter`: one file per command, listed in COMMANDS.

The files are imported when their command is asked for, and inside their functions they import what only their work
needs: `taximeter version` and `--help` answer at once, and a shell's completion does not load a web server.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS = {
    "serve": "proxy.cli.serve",
    "check": "proxy.cli.check",
    "policy": "proxy.cli.policy",
    "alerts": "proxy.cli.alerts",
    "budget": "proxy.cli.budget",
    "ledger": "proxy.cli.ledger",
    "keys": "proxy.cli.keys",
    "target": "proxy.cli.target",
    "audit": "proxy.cli.audit",
    "report": "proxy.cli.report",
    "sql": "proxy.cli.sql",
    "store": "proxy.cli.store",
    "sandbox": "proxy.cli.sandbox",
    "doctor": "proxy.cli.doctor",
    "journal": "proxy.cli.journal",
    "version": "proxy.cli.version",
}
"""Name of each command and the module that has it: as `app`, a `typer.Typer` with the command or its subcommands."""


class _Commands(TyperGroup):
    """Finds commands by name, and imports only the one that is wanted."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of COMMANDS."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None when there is none."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = get_command(import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    # Locals hold settings, and settings hold secrets.
    pretty_exceptions_show_locals=False,
)


@app.callback()
def taximeter() -> None:
    """The meter on every LLM ride: a transparent proxy that traces, prices and governs every call.

    Start it with [bold]taximeter serve[/], point your SDK's base URL at it, and look at [bold]taximeter report[/].
    """
