"""Every generated page: its name below docs/, and its text. PURE but for what `reference.columns` reads."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from policies.schema import NOT_YET, PolicyFile
from policies.schema_parts import Conditions
from policies.schema_routes import RouteOptions
from proxy.config.schema import Config
from proxy.config.section import Section
from proxy.core.errors import ErrorClass
from proxy.providers import PROVIDERS
from reference.columns import Table, meanings, tables, types
from reference.keys import Key, keys_of, section_in

_MADE = "<!-- Made of the code by `make docs`; change it there. -->"
_CONFIG = """\
# Every key of `taximeter.yaml`

All keys are optional; a key that is not here is a mistake, which `taximeter check` names with its line.
[taximeter.yaml](../taximeter.yaml) has the same keys with comments and examples.

`NAME` stands for a name of your own, `[]` for each entry of a list. A duration is `10s`, `500ms`, `5m`, `1h30m`, or a
number of seconds; a size `64KiB`, `256MiB`, `10MB`, or a number of bytes. Paths start at the folder of the file. A
secret never stands in the file: `env:NAME` is an environment variable, `file:PATH` a file that holds it alone.
"""
_KINDS = ", ".join(f"`{kind}`" for kind in sorted(provider.kind for provider in PROVIDERS))
_POLICIES = """\
# Every key of a policy file

What the keys are for, with examples: [policies.md](policies.md), [routes.md](routes.md), [cookbook.md](cookbook.md).
`taximeter policy check` names every mistake with its line; `taximeter policy schema` prints the same keys as a JSON
Schema for editors.

`NAME` stands for a name of your own, `[]` for each entry of a list. "See defaults" means that the key of the same
name in `defaults` holds where nothing is said.
"""
_CLASSES = """\
## Classes of errors

`retry.on`, `retry.not_on`, `fall_back.on`, `fall_back.not_on` and `outcomes.NAME.is` take these:

"""
_COLUMNS = """\
# Every column

Database `taximeter`, or what `store.database` says. Which table to ask, with queries: [tables.md](tables.md). How
each number is made: [numbers.md](numbers.md).

NULL is "not reported" or "not known", never 0; an empty text is "none". Times are UTC. `Decimal(38, 18)` is money,
exact. States of quantiles are read with `quantilesTDigestMerge(0.5, 0.95)(duration)`, sums with `sum()`.
`schema_migrations` and `schema_lock` are the schema's own books and not described here.
"""


def pages() -> dict[str, str]:
    """Name -> text."""
    return {
        "config.md": _page(f"{_CONFIG}\nKinds of providers, for `providers.NAME.kind`: {_KINDS}.\n", _config_parts()),
        "policy-keys.md": _page(_POLICIES, _policy_parts()),
        "columns.md": _page(_COLUMNS, map(_table_part, tables(meanings(), types()))),
    }


def _page(head: str, parts: Iterable[str]) -> str:
    return f"{_MADE}\n\n{head}\n" + "\n".join(parts)


def _config_parts() -> Iterator[str]:
    return _file_parts(Config, list(keys_of(Config)))


def _policy_parts() -> Iterator[str]:
    apart: frozenset[type[Section]] = frozenset({Conditions, RouteOptions})
    yield from _file_parts(PolicyFile, list(keys_of(PolicyFile, apart=apart, without=frozenset(NOT_YET))))
    yield _keys_part("`match`", inspect.getdoc(Conditions) or "", list(keys_of(Conditions, "match.")))
    yield _CLASSES + ", ".join(f"`{name}`" for name in get_args(ErrorClass)) + ".\n"


def _file_parts(file: type[Section], keys: Sequence[Key]) -> Iterator[str]:
    """The plain keys of a file, then its sections."""
    sections = [name for name, field in file.model_fields.items() if section_in(field.annotation)]
    yield _keys_part("The file", "", [key for key in keys if key.path.partition(".")[0] not in sections])
    for name in sections:
        itself, *inside = [key for key in keys if key.path.partition(".")[0] == name]
        yield _keys_part(f"`{name}`", itself.meaning, inside)


_ELSEWHERE: dict[type[Section], str] = {
    Conditions: "section: [match](#match)",
    RouteOptions: "section: as in [routes](#routes), but for `match`, `targets` and `note`",
}


def _keys_part(title: str, about: str, keys: Sequence[Key]) -> str:
    return _part(title, about, ("key", "value", "left out", "meaning"), map(_key_cells, keys))


def _key_cells(key: Key) -> tuple[str, str, str, str]:
    written = key.written if key.section is None else _ELSEWHERE[key.section]
    return f"`{key.path}`", written, f"`{key.default}`" if key.default else "", key.meaning


def _table_part(table: Table) -> str:
    head = ("column", "type", "meaning")
    rows = [(f"`{column.name}`", f"`{column.type}`", column.meaning) for column in table.columns]
    return _part(f"`{table.name}`", table.about, head, rows)


def _part(title: str, about: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"## {title}", "", *([about, ""] if about else []), _line(head), "|" + "---|" * len(head)]
    return "\n".join([*lines, *map(_line, rows), ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
