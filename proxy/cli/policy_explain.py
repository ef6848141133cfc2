"""`taximeter policy explain`: which rules a call falls under, what it would hold, what would become of it."""

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
    fail,
    help_text,
    load_settings_or_fail,
    running_settings_or_fail,
)
from proxy.cli.policy_keys import as_called_by, with_made_keys

if TYPE_CHECKING:
    from policies.compiled import CompiledPolicies
    from policies.facts import CallFacts
    from proxy.settings import Settings

HELP = help_text(
    "What would become of a call, which rules it falls under, what it would hold and why.\n\n"
    "The call is imagined, by the options, or a stored one, by its id. Nothing is sent, held or changed. What is "
    "spent is what --spent says, else nothing.",
    "taximeter policy explain --provider minimax --model MiniMax-M3 --team search --max-tokens 2000",
    'taximeter policy explain --provider openai --model gpt-5 --user jo --spent "budget:each|user=jo=4.99 USD"',
    "taximeter policy explain --provider v1 --model minimax/MiniMax-M3",
    "taximeter policy explain --call 019ac2f0c1d87bd00c5f7a3e4b1d2c90",
)
UNIFIED = "v1"
"""Stands for the path without a provider."""
_CALL_ID_CHARS = frozenset("0123456789abcdef")
_STORED = (
    *("provider", "operation", "dialect", "streaming", "billable", "team", "project", "user", "session", "tags"),
    "model_requested AS model",
    "toInt32(max_output_tokens) AS max_tokens",
    "toInt32(least(request_bytes, 2147483647)) AS body_bytes",
    "toString(toUnixTimestamp64Nano(started_at)) AS at",
)
"""What a stored call says of itself, under the names of an imagined one."""
WhenOption = Annotated[
    str | None, typer.Option("--at", metavar="WHEN", help="2026-11-24T12:00:00+01:00; now, if not given.")
]
SpentOption = Annotated[
    list[str] | None, typer.Option("--spent", metavar="RULE=AMOUNT", help='"budget:search=4.99 USD". Repeatable.')
]
PolicyOption = Annotated[
    list[Path] | None, typer.Option("--policy", "-p", metavar="FILE", help="In place of the configured ones.")
]


def explain_call(  # noqa: PLR0913 - one parameter per option
    *,
    call: Annotated[str | None, typer.Option("--call", metavar="ID", help="A stored call.")] = None,
    provider: Annotated[str, typer.Option(help="Configured one; v1: the model says.")] = "minimax",
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
    at: WhenOption = None,
    spent: SpentOption = None,
    body: Annotated[Path | None, typer.Option(metavar="FILE", help="The request, for what targets change.")] = None,
    files: PolicyOption = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Try a call and print what became of it."""
    # Imported here: see proxy.cli.
    from policies.cases import CallSection, call_facts

    settings = load_settings_or_fail(config, data_dir)
    if call is None and provider == UNIFIED:
        compiled = compiled_or_fail(settings, files, _instant(at))
        provider, model = _named(compiled, settings, model or "", dialect, _instant(at))
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
    compiled = with_made_keys(settings, compiled_or_fail(settings, files, now_ns))
    if call is None:  # a stored call has the caller that its key stood for
        facts = as_called_by(compiled, facts)
    _try(settings, compiled, facts, now_ns, dict(_spent(one) for one in spent or []), body, answer_format)


def _try(
    settings: "Settings",
    compiled: "CompiledPolicies",
    facts: "CallFacts",
    now_ns: int,
    spent: dict[str, int],
    body: Path | None,
    answer_format: PageFormat,
) -> None:
    # Imported here: see proxy.cli.
    from policies import route_trial
    from policies.engine import Engine
    from policies.explain import as_json, explain
    from policies.route_trial import try_route
    from policies.trial import attempt
    from proxy.governing import places_of

    engine = Engine(compiled)
    trial = attempt(engine, facts, now_ns, spent)
    request = None if body is None else _read(body)
    ways = try_route(engine, facts, trial.decision, places_of(settings), now_ns, request)
    if answer_format is PageFormat.JSON:
        shown = as_json(engine, facts, trial, now_ns) | {"way": route_trial.as_json(ways)}
        typer.echo(json.dumps(shown, indent=2))
        return
    typer.echo(explain(engine, facts, trial, now_ns))
    if engine.policies.routing.routes or ways.route is not None:
        typer.echo("\n".join(["", *route_trial.route_lines(ways)]))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read: {(error.strerror or 'it cannot be opened').lower()}")


def compiled_or_fail(settings: "Settings", files: list[Path] | None, now_ns: int) -> "CompiledPolicies":
    """The policies of these files, or of the configuration; every mistake goes to stderr, and the command ends."""
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


def _named(
    compiled: "CompiledPolicies", settings: "Settings", model: str, dialect: str, now_ns: int
) -> tuple[str, str]:
    """The provider and the model of a call whose model alone says where it goes."""
    # Imported here: see proxy.cli.
    from policies.cases import CallSection, call_facts
    from policies.naming import meaning_of
    from policies.plan import Router

    facts = call_facts(CallSection(provider="", model=model, operation="chat", dialect=dialect, currency="USD"))
    routing = compiled.routing
    route = Router(routing.routes).find(facts, now_ns)
    meaning = meaning_of(model, route, routing.aliases, [one.name for one in settings.providers])
    if meaning.route is not None:
        return meaning.route.targets[0].provider, model
    if meaning.stands_for is None:
        fail(f"the model {model!r} is no alias, no name of a route and no provider/model")
    return meaning.stands_for


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
