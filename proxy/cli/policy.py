"""`taximeter policy`: are the policies right, what would they make of a call, do their cases hold."""

import json
import time
from pathlib import Path
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
    load_settings_or_fail,
    running_settings_or_fail,
)

if TYPE_CHECKING:
    from policies.cases import Outcome
    from policies.compiled import CompiledPolicies
    from policies.facts import CallFacts
    from proxy.settings import Settings

app = command_app()

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="Policy files; else those that the configuration names."),
]
_CALL_ID_CHARS = frozenset("0123456789abcdef")
_STORED = (
    *("provider", "operation", "dialect", "streaming", "billable", "team", "project", "user", "session", "tags"),
    "model_requested AS model",
    "toInt32(max_output_tokens) AS max_tokens",
    "toInt32(least(request_bytes, 2147483647)) AS body_bytes",
    "toString(toUnixTimestamp64Nano(started_at)) AS at",
)
"""What a stored call says of itself, under the names of an imagined one."""


@app.callback(no_args_is_help=True)
def policy() -> None:
    """Budgets, limits and keys: check them, ask them, test them."""


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
    from proxy.governing import governing

    settings = load_settings_or_fail(config, None)
    try:
        if files:
            compiled = load_policies(files, providers=[provider.name for provider in settings.providers])
        else:
            compiled = governing(settings, now_ns=time.time_ns())
    except ConfigError as error:
        _refuse(error, answer_format)
    counts = {"budgets": len(compiled.budgets), "limits": len(compiled.limits), "keys": len(compiled.keys)}
    if answer_format is PageFormat.JSON:
        shown = {"ok": True, "problems": [], "files": list(compiled.files), "hash": compiled.hash, **counts}
        typer.echo(json.dumps(shown, indent=2))
    elif not compiled.files:
        typer.echo("no policy files: every call goes where its path says")
    else:
        typer.echo(f"{', '.join(f'{count} {name}' for name, count in counts.items())}: good ({compiled.hash})")


@app.command(
    "explain",
    help=help_text(
        "What would become of a call, which rules it falls under, what it would hold and why.\n\n"
        "The call is imagined, by the options, or a stored one, by its id. Nothing is sent, held or changed. What is "
        "spent is what --spent says, else nothing.",
        "taximeter policy explain --provider minimax --model MiniMax-M3 --team search --max-tokens 2000",
        'taximeter policy explain --provider openai --model gpt-5 --user jo --spent "budget:each|user=jo=4.99 USD"',
        "taximeter policy explain --call 019ac2f0c1d87bd00c5f7a3e4b1d2c90",
    ),
)
def explain_call(  # noqa: PLR0913 - one parameter per option
    *,
    call: Annotated[str | None, typer.Option("--call", metavar="ID", help="A stored call.")] = None,
    provider: Annotated[str, typer.Option(help="Configured provider.")] = "minimax",
    model: Annotated[str | None, typer.Option(help="Model that the request names.")] = None,
    operation: Annotated[str, typer.Option(help="chat, embeddings, speech ...")] = "chat",
    dialect: Annotated[str, typer.Option(help="Dialect of the path.")] = "openai.chat",
    max_tokens: Annotated[int | None, typer.Option(help="Output limit that the request states.")] = None,
    body_bytes: Annotated[int, typer.Option(help="Length of the request's body.")] = 1000,
    stream: Annotated[bool, typer.Option("--stream", help="Whether it asks for a stream.")] = False,
    key: Annotated[str, typer.Option(help="Name of the virtual key.")] = "",
    team: Annotated[str, typer.Option()] = "",
    project: Annotated[str, typer.Option()] = "",
    user: Annotated[str, typer.Option()] = "",
    session: Annotated[str, typer.Option()] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Repeatable.")] = None,
    at: Annotated[
        str | None, typer.Option(metavar="WHEN", help="2026-11-24T12:00:00+01:00; now, if not given.")
    ] = None,
    spent: Annotated[
        list[str] | None, typer.Option("--spent", metavar="RULE=AMOUNT", help='"budget:search=4.99 USD". Repeatable.')
    ] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--policy", "-p", metavar="FILE", help="In place of the configured ones.")
    ] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Try a call and print what became of it."""
    # Imported here: see proxy.cli.
    from policies.cases import CallSection, call_facts

    settings = load_settings_or_fail(config, data_dir)
    if call is not None:
        facts, now_ns = _stored(running_settings_or_fail(config, data_dir), call)
    else:
        section = CallSection(
            provider=provider,
            model=model,
            operation=operation,
            dialect=dialect,
            max_tokens=max_tokens,
            body_bytes=body_bytes,
            streaming=stream,
            currency=_currency(settings, provider),
            key=key,
            team=team,
            project=project,
            user=user,
            session=session,
            tags=dict(_pair(one) for one in tag or []),
        )
        facts, now_ns = call_facts(section), _instant(at)
    _try(_compiled(settings, files, now_ns), facts, now_ns, dict(_spent(one) for one in spent or []), answer_format)


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

    found = _case_files(files, config)
    if not found:
        fail("no cases found: they stand in files that end in .test.yaml, beside the policies")
    failed, count, mistakes = 0, 0, 0
    for file in found:
        try:
            outcomes = run_file(file)
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


def _try(
    compiled: "CompiledPolicies", facts: "CallFacts", now_ns: int, spent: dict[str, int], answer_format: PageFormat
) -> None:
    # Imported here: see proxy.cli.
    from policies.engine import Engine
    from policies.explain import as_json, explain
    from policies.trial import attempt

    engine = Engine(compiled)
    trial = attempt(engine, facts, now_ns, spent)
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps(as_json(engine, facts, trial, now_ns), indent=2))
    else:
        typer.echo(explain(engine, facts, trial, now_ns))


def _compiled(settings: "Settings", files: list[Path] | None, now_ns: int) -> "CompiledPolicies":
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.config.problems import ConfigError
    from proxy.governing import governing

    if files:
        settings = msgspec.structs.replace(settings, policy_files=tuple(str(file) for file in files))
    try:
        return governing(settings, now_ns=now_ns)
    except ConfigError as error:
        fail(str(error))


def _currency(settings: "Settings", provider: str) -> str:
    # Imported here: see proxy.cli.
    from proxy.config.problems import did_you_mean
    from proxy.governing import home_of

    found = next((one for one in settings.providers if one.name == provider), None)
    if found is None:
        fail(f"no such provider: {did_you_mean(provider, [one.name for one in settings.providers])}")
    return home_of(found).currency


def _stored(settings: "Settings", call_id: str) -> tuple["CallFacts", int]:
    """The facts of a stored call, as far as its row has them, and when it was."""
    # Imported here: see proxy.cli.
    import msgspec

    from policies.cases import CallSection, call_facts
    from proxy.store_http import StoreError, ask

    if not call_id or not set(call_id) <= _CALL_ID_CHARS:
        fail("a call id is made of the digits 0 to 9 and a to f")
    sql = f"SELECT {', '.join(_STORED)} FROM calls WHERE call_id = '{call_id}' LIMIT 1"  # noqa: S608 - hex digits
    try:
        with ask(settings.store, sql, answer_format="JSONEachRow") as answer:
            data = answer.read()
    except StoreError as error:
        fail(str(error))
    if not data.strip():
        fail("the store has no call of that id")
    row: dict[str, Any] = msgspec.json.decode(data.splitlines()[0])
    now_ns = int(row.pop("at"))
    row["model"] = row["model"] or None
    section = CallSection(**row, currency=_currency(settings, row["provider"]))
    return call_facts(section), now_ns


def _instant(text: str | None) -> int:
    # Imported here: see proxy.cli.
    from datetime import datetime

    if text is None:
        return time.time_ns()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail("--at must be an instant such as 2026-11-24T12:00:00+01:00")
    if moment.tzinfo is None:
        fail("--at needs its zone, such as 2026-11-24T12:00:00+01:00")
    return int(moment.timestamp()) * 10**9


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        fail("--tag must be NAME=VALUE")
    return name, value


def _spent(text: str) -> tuple[str, int]:
    # Imported here: see proxy.cli.
    from policies.values import amount

    name, _, raw = text.rpartition("=")
    try:
        return name, amount(raw).whole
    except ValueError as error:
        fail(f"--spent {error}")


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
