"""`taximeter store`: the database behind the reports: its schema, its backups, its moves."""

from proxy.cli import store_moves
from proxy.cli.command import command_app

app = command_app()
app.add_typer(store_moves.app)


@app.callback()
def store() -> None:
    """Look after the store: back it up, restore it, move it to a real server."""
