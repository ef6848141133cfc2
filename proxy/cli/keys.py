"""`taximeter keys`: virtual keys, which apps send where they send a provider's key today."""

import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    running_settings_or_fail,
)

if TYPE_CHECKING:
    from policies.key_files import Made
    from policies.keystore import Keystore, StoredKey
    from proxy.settings import Settings

app = command_app()

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What it is called in reports and policies.")]
_LAST_USE_PATIENCE_S = 5.0


@app.callback(no_args_is_help=True)
def keys() -> None:
    """Virtual keys: make them, end them, and see what there is. Works whether Taximeter runs or not."""


@app.command(
    help=help_text(
        "Make a key, and show it this once.\n\nA running Taximeter takes it within two seconds.",
        "taximeter keys create search-app --team search",
        "taximeter keys create ci --team platform --model 'gpt-5*' --provider openai --expires 90d",
        "KEY=$(taximeter keys create search-app --format json | jq -r .key)",
    )
)
def create(  # noqa: PLR0913 - one parameter per option
    name: NameArgument,
    *,
    team: Annotated[str, typer.Option(help="What its calls are attributed to, whatever the app says.")] = "",
    project: Annotated[str, typer.Option(help="Likewise.")] = "",
    user: Annotated[str, typer.Option(help="Likewise.")] = "",
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Likewise. Repeatable.")] = None,
    provider: Annotated[list[str] | None, typer.Option(help="Only these; globs allowed. Repeatable.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these; globs allowed. Repeatable.")] = None,
    operation: Annotated[list[str] | None, typer.Option(help="Only these: chat, embeddings ... Repeatable.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="WHEN", help="90d, 12h, 2w, or a day: 2027-06-30.")] = None,
    note: Annotated[str, typer.Option(help="For people.")] = "",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Make a key."""
    # Imported here: see proxy.cli.
    from policies.key_files import make

    settings = running_settings_or_fail(config, data_dir)
    _check_providers(settings, provider or [])
    said = {
        "name": name, "team": team, "project": project, "user": user, "tags": ",".join(tag or []), "note": note,
        "providers": provider, "models": model, "operations": operation, "expires": expires,
    }  # fmt: skip
    with _opened(settings) as (store, pepper):
        first = not store.all_keys()
        try:
            made = make(said, pepper, time.time_ns())
        except ValueError as error:
            fail(str(error))
        store.create([made.stored], _noting(settings, "key.create", name, **_told(made.stored)))
    _show(settings, made, answer_format)
    _warn(settings, first=first)


@app.command(
    "list",
    help=help_text(
        "Show all keys: what they stand for, what they may do, until when, when they were last used.\n\n"
        "Of the keys themselves only their ends are known.",
        "taximeter keys list",
        "taximeter keys list --format json | jq '.[] | select(.state == \"expired\")'",
    ),
)
def list_keys(
    config: ConfigOption = None, data_dir: DataDirOption = None, answer_format: PageFormatOption = PageFormat.TEXT
) -> None:
    """One line for each key."""
    settings = running_settings_or_fail(config, data_dir)
    with _opened(settings) as (store, _):
        stored = store.all_keys()
    used = _last_used(settings, [key.rule.name for key in stored])
    rows = [_row(key, used, time.time_ns()) for key in stored]
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo("there are no keys; make one with: taximeter keys create NAME --team TEAM")
    for row in rows:
        said = [f"{name}={row[name]}" for name in ("team", "project", "user") if row[name]]
        said += [f"{name}={','.join(row[name])}" for name in ("providers", "models", "operations") if row[name]]
        ends = f"expires {row['expires']}" if row["expires"] else ""
        last = f"last used {row['last_used']}" if row["last_used"] else "never used" if used is not None else ""
        facts = (f"{row['name']:<24}", f"{row['state']:<8}", " ".join(row["hints"]), " ".join(said), ends, last)
        typer.echo("  ".join(fact for fact in facts if fact).rstrip())


@app.command(
    help=help_text(
        "Give a key a new secret, and show it this once. The old one works for the time of grace.",
        "taximeter keys rotate search-app",
        "taximeter keys rotate search-app --grace 0h",
    )
)
def rotate(
    name: NameArgument,
    grace: Annotated[str, typer.Option(metavar="SPAN", help="How long the old one works on: 24h, 7d; 0h: no more.")] = (
        "24h"
    ),
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """Make a new secret for a key that there is."""
    # Imported here: see proxy.cli.
    from policies.key_files import Made, secret_of, span_ns
    from policies.keys import new_key

    settings, now_ns, key = running_settings_or_fail(config, data_dir), time.time_ns(), new_key()
    try:
        until_ns = now_ns + span_ns(grace)
    except ValueError as error:
        fail(f"--grace {error}")
    with _opened(settings) as (store, pepper):
        secret = secret_of(key, pepper, now_ns)
        noting = _noting(settings, "key.rotate", name, secret=secret.hint, old_until=_when(until_ns))
        store.rotate(name, secret, until_ns=until_ns, noting=noting)
        stored = {one.rule.name: one for one in store.all_keys()}[name]
    _show(settings, Made(stored=stored, key=key), answer_format)
    typer.echo(f"The old one works until {_when(until_ns)}.", err=True)


@app.command(
    help=help_text(
        "End keys for good: calls with them are refused within two seconds. Their names stay taken.",
        "taximeter keys revoke search-app",
    )
)
def revoke(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """End keys."""
    settings = running_settings_or_fail(config, data_dir)
    with _opened(settings) as (store, _):
        for name in names:
            store.revoke(name, now_ns=time.time_ns(), noting=_noting(settings, "key.revoke", name))
            typer.echo(f"{name} is revoked")


@app.command(
    "import",
    help=help_text(
        "Make keys from a file of names and attributes (CSV, JSON or YAML), or take over an export.\n\n"
        "New keys are shown this once. A column `key` takes over a secret that apps have already: they go on with it. "
        "An export of another machine with the same pepper is merged: what was revoked there is revoked here.",
        "taximeter keys import teams.csv",
        "ssh other taximeter keys export | taximeter keys import -",
    ),
)
def import_keys(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="- is stdin, which takes JSON.")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    answer_format: PageFormatOption = PageFormat.TEXT,
) -> None:
    """All keys of the file, or none."""
    # Imported here: see proxy.cli.
    from policies.key_files import KeyFileError, make_all, read_export, read_rows

    settings = running_settings_or_fail(config, data_dir)
    text, suffix = _read(file)
    with _opened(settings) as (store, pepper):
        try:
            exported = read_export(text, pepper)
            made = [] if exported is not None else make_all(read_rows(text, suffix), pepper, time.time_ns())
            _check_providers(settings, [name for one in made for name in one.stored.rule.providers])
        except KeyFileError as error:
            fail("\n".join(f"{file}: {line}" for line in str(error).splitlines()))
        if exported is not None:
            store.merge(exported, _noting(settings, "key.import", str(file), keys=str(len(exported))))
            typer.echo(f"{len(exported)} keys taken over", err=True)
            return
        names = ", ".join(one.stored.rule.name for one in made)
        store.create([one.stored for one in made], _noting(settings, "key.import", names, file=str(file)))
    if answer_format is PageFormat.JSON:
        typer.echo(json.dumps([{"name": one.stored.rule.name, "key": one.key or None} for one in made], indent=2))
    else:
        for one in made:
            typer.echo(f"{one.stored.rule.name}\t{one.key or 'as the app has it'}")
    typer.echo(f"{len(made)} keys made; new ones are shown this once", err=True)


@app.command(
    "export",
    help=help_text(
        "Write all keys for other machines: attributes and hashes, nothing that could be used as a key.\n\n"
        "They work where the configuration has the same keys.pepper.",
        "taximeter keys export > keys.json",
    ),
)
def export_keys(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Print the export."""
    # Imported here: see proxy.cli.
    from policies.key_files import export

    with _opened(running_settings_or_fail(config, data_dir)) as (store, pepper):
        typer.echo(export(store.all_keys(), pepper).decode(), nl=False)


@contextmanager
def _opened(settings: "Settings") -> "Iterator[tuple[Keystore, bytes]]":
    """The store of keys and the pepper; what is wrong with either, or with a change, ends the command."""
    # Imported here: see proxy.cli.
    from policies.keystore import FILE_NAME, Keystore, KeystoreError
    from policies.pepper import PepperError, pepper_of
    from proxy.config.credentials import make_private_dirs

    try:
        make_private_dirs(settings)
        pepper = bytes.fromhex(pepper_of(settings.key_pepper, settings.data_dir))
        store = Keystore(settings.data_dir / FILE_NAME, pepper)
        try:
            yield store, pepper
        finally:
            store.close()
    except (KeystoreError, PepperError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or settings.data_dir}: {error.strerror or error}")


def _noting(settings: "Settings", action: str, subject: str, **detail: str) -> Callable[[], object]:
    # Imported here: see proxy.cli.
    from policies.audit import note

    by = os.environ.get("SUDO_USER") or getpass.getuser()
    return lambda: note(settings.data_dir, action, subject, by=by, **{k: v for k, v in detail.items() if v})


def _told(key: "StoredKey") -> dict[str, str]:
    rule = key.rule
    told = {name: getattr(rule, name) for name in ("team", "project", "user")}
    told |= {name: ", ".join(getattr(rule, name)) for name in ("providers", "models", "operations")}
    told["tags"] = ",".join(f"{name}={value}" for name, value in rule.tags.items())
    told["expires"] = _when(rule.expires_at_ns) if rule.expires_at_ns is not None else ""
    return told | {"secret": key.secrets[0].hint, "note": key.note}


def _show(settings: "Settings", made: "Made", answer_format: PageFormat) -> None:
    # Imported here: see proxy.cli.
    from proxy.cli.paste import paste_line

    rule = made.stored.rule
    line = paste_line(settings.providers, settings.listen.url, made.key, rule.providers)
    if answer_format is PageFormat.JSON:
        shown = {"name": rule.name, "key": made.key, **_told(made.stored), "paste": line}
        typer.echo(json.dumps(shown, indent=2))
        return
    typer.echo(f"{rule.name} is made. Its key, shown this once:\n\n  {made.key}\n\nFor the app:\n\n  {line}\n")


def _warn(settings: "Settings", *, first: bool) -> None:
    """What keeps the key from working, and what its being there changes for others; on stderr."""
    with_key = [one.name for one in settings.providers if one.has_key]
    if settings.key_mode == "passthrough":
        typer.echo("Not taken yet: keys.mode is passthrough; set it to virtual or both, and restart.", err=True)
    if not with_key:
        said = "No provider has a key of yours yet: set providers.NAME.api_key, and restart; until then it is refused."
        typer.echo(said, err=True)
    elif first and settings.key_mode == "both":
        said = "From now on your own key is used for virtual keys alone; all other apps need keys of their own"
        typer.echo(f"{said} ({', '.join(with_key)}).", err=True)


def _check_providers(settings: "Settings", named: list[str]) -> None:
    # Imported here: see proxy.cli.
    from proxy.config.problems import did_you_mean

    known = [one.name for one in settings.providers]
    for name in named:
        if name.lower() not in known and not {"*", "?"} & set(name):
            fail(f"there is no provider {name}; {did_you_mean(name, known)}")


def _row(key: "StoredKey", used: dict[str, str] | None, now_ns: int) -> dict[str, Any]:
    rule = key.rule
    over = rule.expires_at_ns is not None and rule.expires_at_ns <= now_ns
    return {
        "name": rule.name,
        "state": "revoked" if key.revoked_at_ns is not None else "expired" if over else "good",
        "hints": list(key.hints(now_ns)),
        "team": rule.team,
        "project": rule.project,
        "user": rule.user,
        "tags": rule.tags,
        "providers": list(rule.providers),
        "models": list(rule.models),
        "operations": list(rule.operations),
        "created": _when(key.created_at_ns),
        "expires": _when(rule.expires_at_ns) if rule.expires_at_ns is not None else None,
        "revoked": _when(key.revoked_at_ns) if key.revoked_at_ns is not None else None,
        "last_used": (used or {}).get(rule.name),
        "note": key.note,
    }


def _last_used(settings: "Settings", names: list[str]) -> dict[str, str] | None:
    """Key -> its last call, as far as the store has it; None when it does not answer."""
    # Imported here: see proxy.cli.
    import msgspec

    from proxy.store_http import StoreError, ask

    if not names:
        return None
    listed = ", ".join(f"'{name}'" for name in names)  # names are letters, digits and . _ -
    sql = (
        "SELECT key_id, formatDateTime(max(started_at), '%Y-%m-%d %H:%i UTC', 'UTC') AS at FROM calls "  # noqa: S608 - as above
        f"WHERE key_id IN ({listed}) GROUP BY key_id"
    )
    try:
        with ask(settings.store, sql, answer_format="JSONEachRow", timeout_s=_LAST_USE_PATIENCE_S) as answer:
            rows = [msgspec.json.decode(line) for line in answer.read().splitlines() if line]
    except (StoreError, msgspec.DecodeError):
        return None
    return {row["key_id"]: row["at"] for row in rows}


def _read(file: Path) -> tuple[str, str]:
    if str(file) == "-":
        return sys.stdin.read(), ".json"
    try:
        return file.read_text(encoding="utf-8-sig"), file.suffix.lower()
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file}: is not UTF-8 text")


def _when(at_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at_ns / 1e9))
