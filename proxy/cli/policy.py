"""`taximeter policy`: are the policies right, what would they make of a call, do their cases hold."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli import policy_explain, policy_replay
from proxy.cli.command import (
    ConfigOption,
    PageFormat,
    PageFormatOption,
    command_app,
    fail,
    help_text,
    load_settings_or_fail,
)

if TYPE_CHECKING:
    from policies.cases import Outcome

app = command_app()

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="Policy files; else those that the configuration names."),
]


@app.callback(no_args_is_help=True)
def policy() -> None:
    """Budgets, limits and keys: check them, ask them, test them."""


app.command("explain", help=policy_explain.HELP)(policy_explain.explain_call)
app.command("replay", help=policy_replay.HELP)(policy_replay.replay_calls)


@app.command(
    help=help_text(
        "Check policy files.\n\nEvery mistake is one line, with file, line and what would be right; ends with status 1 "
        "when there is any.",
        "taximeter policy check",
        "taximeter policy check policies/teams.yaml",
    )
)
def check(
    files: FilesArgument = None, config: ConfigOption = None, answer_format: PageFormatOption = PageFormat.TEXT
) -> None:
    """Validate, then say what there is."""
    # Imported here: see proxy.cli.
    from policies.load import load_policies
    from proxy.config.problems import ConfigError
    from proxy.governing import governing, known_providers

    settings = load_settings_or_fail(config, None)
    try:
        if files:
            compiled = load_policies(files, providers=known_providers(settings))
        else:
            compiled = governing(settings, now_ns=time.time_ns())
    except ConfigError as error:
        _refuse(error, answer_format)
    counts = {"budgets": len(compiled.budgets), "limits": len(compiled.limits), "keys": len(compiled.keys)}
    routing = compiled.routing
    ways = {"routes": len(routing.routes), "outcomes": len(routing.outcomes), "aliases": len(routing.aliases)}
    counts |= ways if any(ways.values()) or answer_format is PageFormat.JSON else {}
    if answer_format is PageFormat.JSON:
        shown = {"ok": True, "problems": [], "files": list(compiled.files), "hash": compiled.hash, **counts}
        typer.echo(json.dumps(shown, indent=2))
    elif not compiled.files:
        typer.echo("no policy files: every call goes where its path says")
    else:
        typer.echo(f"{', '.join(f'{count} {name}' for name, count in counts.items())}: good ({compiled.hash})")


@app.command(
    "test",
    help=help_text(
        "Run the cases beside the policies, in files that end in .test.yaml.\n\n"
        "Ends with status 1 when any does not hold.",
        "taximeter policy test",
        "taximeter policy test policies/teams.test.yaml",
        "taximeter policy test policies/",
    ),
)
def run_cases(files: FilesArgument = None, config: ConfigOption = None) -> None:
    """Run cases."""
    # Imported here: see proxy.cli.
    from policies.cases import run_file
    from proxy.config.problems import ConfigError
    from proxy.governing import built_in_places

    places = built_in_places()
    found = _case_files(files, config)
    if not found:
        fail("no cases found: they stand in files that end in .test.yaml, beside the policies")
    failed, count, mistakes = 0, 0, 0
    for file in found:
        try:
            outcomes = run_file(file, places)
        except ConfigError as error:
            typer.echo(str(error), err=True)
            mistakes += 1
            continue
        count += len(outcomes)
        failed += sum(_print(outcome) for outcome in outcomes)
    typer.echo(f"{count - failed} of {count} cases hold, in {len(found)} file{'s' if len(found) != 1 else ''}")
    if failed or mistakes:
        raise typer.Exit(1)


@app.command(
    help=help_text(
        "The JSON Schema of policy files, for editors.\n\nA file names it in its first line: "
        "# yaml-language-server: $schema=schema.json",
        "taximeter policy schema > policies/schema.json",
    )
)
def schema() -> None:
    """Print the schema."""
    # Imported here: see proxy.cli.
    from policies.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def _case_files(files: list[Path] | None, config: Path | None) -> list[Path]:
    # Imported here: see proxy.cli.
    from policies.load import TEST_SUFFIX, find_files

    if files:
        named = [one for file in files for one in (sorted(file.glob(f"*{TEST_SUFFIX}")) if file.is_dir() else [file])]
        return [file if file.name.endswith(TEST_SUFFIX) else _beside(file) for file in named]
    found = [_beside(file) for file in find_files(load_settings_or_fail(config, None).policy_files)]
    return [file for file in found if file.exists()]


def _beside(file: Path) -> Path:
    # Imported here: see proxy.cli.
    from policies.load import TEST_SUFFIX

    return file.with_name(file.stem + TEST_SUFFIX)


def _print(outcome: "Outcome") -> bool:
    """Print a case that does not hold; gives whether it did not."""
    for difference in outcome.differences:
        typer.echo(f"{outcome.source}:{outcome.line}: {outcome.name}: {difference}", err=True)
    return bool(outcome.differences)


def _refuse(error: Exception, answer_format: PageFormat) -> None:
    problems = getattr(error, "problems", ())
    if answer_format is PageFormat.JSON:
        shown = [
            {"file": one.source, "line": one.place.line if one.place else None, "where": one.where, "what": one.what}
            for one in problems
        ]
        typer.echo(json.dumps({"ok": False, "problems": shown}, indent=2))
    else:
        for problem in problems:
            typer.echo(str(problem), err=True)
        typer.echo(f"{len(problems)} mistake{'s' if len(problems) != 1 else ''}", err=True)
    raise typer.Exit(1)
