"""`taximeter store`: the database behind the reports: its schema, its backups, its moves."""

from proxy.cli import store_moves, store_schema
from proxy.cli.command import command_app

app = command_app()
app.add_typer(store_schema.app)
app.add_typer(store_moves.app)


@app.callback()
def store() -> None:
    """Look after the store: its schema, whether its rows are right, its backups, a move to a real server."""
