"""Policy files -> compiled policies. The only reader of policy files.

Every mistake of every file is reported at once, with file, line and what would be right. A set of files with a mistake
is no policy at all: whoever loads keeps what is in force.
"""

import glob
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from policies.compile import Rules, check_providers, matches_of, names_of
from policies.compiled import CompiledPolicies, ModelRate, to_json
from policies.downgrade_check import check_downgrades
from policies.load_routes import merged_routing
from policies.routes_check import Known
from policies.schema import PolicyFile
from proxy.config.check import checked
from proxy.config.problems import ConfigError, KeyPath, Problem, Report
from proxy.config.source import read_yaml

MAX_FILE_BYTES = 4 * 1024 * 1024
"""A larger file is no policy."""
TEST_SUFFIX = ".test.yaml"
"""Ends the names of files that hold cases, not policies."""
_WILD = frozenset("*?[")


def find_files(patterns: Iterable[str]) -> tuple[Path, ...]:
    """The files behind paths and globs, sorted by path, each once; files of cases are left out."""
    found: set[Path] = set()
    for pattern in patterns:
        if _WILD & set(pattern):
            found |= {Path(name) for name in glob.glob(pattern, recursive=True)}  # noqa: PTH207 - absolute patterns
        else:
            found.add(Path(pattern))
    return tuple(sorted(path for path in found if not path.name.endswith(TEST_SUFFIX)))


def load_policies(
    files: Sequence[Path],
    *,
    providers: Mapping[str, Known] | Iterable[str] | None = None,
    rates: tuple[ModelRate, ...] = (),
    generation: int = 0,
) -> CompiledPolicies:
    """The rules of these files, merged in their order.

    Args:
        files: Policy files.
        providers: The configured providers, to catch misspelt ones and targets that do not fit; their names alone where
            targets are not to be checked, None where nothing is.
        rates: What models cost, compiled by `policies.rates`.
        generation: Number of this load.

    Raises:
        ConfigError: with every mistake of every file.
    """
    names = None if providers is None else frozenset(providers)
    known = providers if isinstance(providers, Mapping) else None
    sources = [_read(file, names) for file in files]
    _report_duplicates(sources)
    routing = merged_routing([(report, one.routing) for report, one in sources if one is not None], known)
    if names is not None:
        check_downgrades([(report, one.budgets) for report, one in sources if one is not None], routing.aliases, names)
    problems = [problem for report, _ in sources for problem in _in_order(report.problems)]
    if problems:
        raise PolicyError(problems)
    rules = [one for _, one in sources if one is not None]
    policies = CompiledPolicies(
        files=tuple(str(file) for file in files),
        budgets=tuple(budget for one in rules for budget in one.budgets),
        limits=tuple(limit for one in rules for limit in one.limits),
        keys={name: key for one in rules for name, key in one.keys.items()},
        rates=rates,
        routing=routing,
    )
    digest = hashlib.blake2b(to_json(policies), digest_size=8).hexdigest()
    return msgspec.structs.replace(policies, generation=generation, hash=digest)


class PolicyError(ConfigError):
    """The policies cannot be used; `problems` holds every reason, file by file in the order of its lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__(())
        self.problems = tuple(problems)
        self.args = ("\n".join(str(problem) for problem in self.problems),)


def read_source(file: Path, report: Report) -> str | None:
    """The text of a file; None, with the reason reported, when it cannot be read."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        if len(data) <= MAX_FILE_BYTES:
            return data.decode("utf-8-sig")
        report.add((), f"is larger than {MAX_FILE_BYTES} bytes; is it the right file?")
    except OSError as error:
        report.add((), f"cannot be read: {(error.strerror or 'it cannot be opened').lower()}")
    except UnicodeDecodeError:
        report.add((), "is not UTF-8 text")
    return None


def _read(file: Path, providers: frozenset[str] | None) -> tuple[Report, Rules | None]:
    report = Report(str(file))
    text = read_source(file, report)
    raw = None if text is None else read_yaml(text, report)
    if raw is None:
        return report, None
    rules = Rules(checked(raw, report, PolicyFile), report)
    if providers is not None:
        check_providers(matches_of(rules), providers, report)
    return report, rules


def _report_duplicates(sources: Sequence[tuple[Report, Rules | None]]) -> None:
    """Report names that two files give to two rules: their counters would be one."""
    first: dict[KeyPath, str] = {}
    for report, rules in sources:
        for path in [] if rules is None else names_of(rules):
            place = report.places.get(path)
            here = f"{report.source}:{place.line}" if place else report.source
            if path in first:
                report.add(path, f"stands twice; the first is at {first[path]}")
            first.setdefault(path, here)


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.place or (0, 0))
