"""`taximeter store status`, `migrate` and `check`: what the database is, what it should be, whether it is."""

from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from proxy.settings import Settings

app = command_app()

ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", metavar="NAME", help="Spread the tables over this cluster, in place of store.cluster."),
]


@app.command(
    help=help_text(
        "Say what is in the store: server, migrations, and each table with its size, its span and how long it is kept.",
        "taximeter store status",
        "taximeter store status --format json | jq '.tables[] | {name, rows, kept}'",
    )
)
def status(
    config: ConfigOption = None, data_dir: DataDirOption = None, answer_format: PageFormatOption = PageFormat.TEXT
) -> None:
    """Look, and change nothing."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app_store import StoreRefusedError, state_of_store

    settings = running_settings_or_fail(config, data_dir)
    try:
        report = state_of_store(settings)
    except StoreRefusedError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        _print_json(msgspec.to_builtins(report))
        return
    cluster = f", cluster {report.cluster}" if report.cluster else ""
    typer.echo(f"ClickHouse {report.server_version} at {report.url}, database {report.database}{cluster}")
    for one in report.migrations:
        typer.echo(f"{one.state:<8}  {one.version:04d}_{one.name}")
    for table in report.tables:
        span = f"{table.oldest:%Y-%m-%d} to {table.newest:%Y-%m-%d}" if table.oldest and table.newest else "-"
        size = f"{table.rows:,} rows, {table.bytes_on_disk / 1e6:,.1f} MB in {table.parts} parts"
        typer.echo(f"{table.name:<19} {size:<42} {span:<25} {table.kept}")


@app.command(
    help=help_text(
        "Bring the schema of the store up to date, and how long its rows are kept.\n\n"
        "The recorder does the same at its start. Several at once do no harm: one works, the others wait.",
        "taximeter store migrate --dry-run",
        "taximeter store migrate --cluster two_by_two",
    )
)
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the statements, and run none.")] = False,
    cluster: ClusterOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Apply what is missing, or show it."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app_store import StoreRefusedError, migrate_store

    settings = _with_cluster(running_settings_or_fail(config, data_dir), cluster)
    try:
        done = migrate_store(settings, dry_run=dry_run)
    except StoreRefusedError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        _print_json(msgspec.to_builtins(done))
    elif dry_run:
        typer.echo("\n\n".join(f"{statement};" for statement in done.statements))
        for said in done.retention:
            typer.echo(f"-- {said}")
    else:
        applied = ", ".join(f"{version:04d}" for version in done.applied)
        typer.echo(f"applied {applied}" if applied else "the schema is up to date")
        for said in (*done.retention, *done.left):
            typer.echo(said)
    if done.left:
        raise typer.Exit(1)


@app.command(
    help=help_text(
        "Say whether the store is as it must be, for CI and for the curious.\n\n"
        "Compares schema, engines, deduplication windows, settings, retention and the reader's grants with ours, and "
        "looks at every day for doubled rows and for roll-ups that are not the sums of their rows. Ends with status 1 "
        "when something is wrong.",
        "taximeter store check",
        "taximeter store check --no-rows --format json",
    )
)
def check(
    rows: Annotated[bool, typer.Option(help="Look for doubles and drifted sums as well: reads every row.")] = True,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Compare, look, and end with a status that says it."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.app_store import StoreRefusedError, check_whole_store

    settings = running_settings_or_fail(config, data_dir)
    try:
        found = check_whole_store(settings, rows=rows)
    except StoreRefusedError as error:
        fail(str(error))
    if answer_format is PageFormat.JSON:
        _print_json(msgspec.to_builtins(found))
    else:
        for one in found.differences:
            advice = f" -- {one.advice}" if one.advice else ""
            typer.echo(f"{one.state:<4}  {one.about:<15}  {one.said}{advice}")
        if looked := found.self_check:
            for line in looked.findings:
                typer.echo(f"bad   rows             {line}")
            if looked.ok:
                typer.echo(f"good  rows             {looked.days} days: nothing doubled, every sum that of its rows")
        if found.ok:
            typer.echo("good  store            as it must be")
    if not found.ok:
        raise typer.Exit(1)


def _with_cluster(settings: "Settings", cluster: str | None) -> "Settings":
    if cluster is None:
        return settings
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.config.values import identifier

    if settings.store.embedded:
        fail("--cluster needs a ClickHouse of your own (store.url): the embedded store is no cluster")
    try:
        name = identifier(cluster)
    except ValueError as error:
        fail(f"--cluster {error}")
    return msgspec.structs.replace(settings, store=msgspec.structs.replace(settings.store, cluster=name))


def _print_json(value: Any) -> None:
    # Imported here: see proxy.cli.
    import json

    typer.echo(json.dumps(value, indent=2))
