"""Rules of the house that no linter knows: sizes, mirrored tests, headings, and what must never be in the tree."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

import exporters
import grafana
import policies
import proxy
import reference

ROOT = Path(__file__).parents[1]
PACKAGES = ("proxy", "policies", "exporters", "grafana", "reference")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

LONG_FILES: dict[str, str] = {}
"""Path -> why it may be longer than MAX_FILE_LINES."""
LONG_FUNCTIONS: dict[str, str] = {}
"""`path::name` -> why it may be longer than MAX_FUNCTION_LINES."""
_BOOKS = "both kinds of books are held to one set of rules, in tests/policies/ledger/test_books.py"
_LEASES = "a part of the worker's ledger, tested with it in tests/policies/ledger/test_leases.py"
_BOARDS = "all dashboards are held to one set of rules, in tests/grafana/boards/test_boards.py"
UNMIRRORED: dict[str, str] = {
    "proxy/__main__.py": "four lines of dispatch; every test that starts a process goes through it",
    "proxy/cli/command.py": "shared pieces of the commands, each tested through a command",
    "grafana/boards/pipeline.py": _BOARDS,
    "grafana/boards/providers.py": _BOARDS,
    "grafana/boards/usage.py": _BOARDS,
    "grafana/pieces.py": _BOARDS,
    "policies/ledger/sqlite_books.py": _BOOKS,
    "policies/ledger/sqlite_file.py": _BOOKS,
    "policies/ledger/sqlite_reading.py": _BOOKS,
    "policies/ledger/redis_link.py": _BOOKS,
    "policies/ledger/redis_shape.py": _BOOKS,
    "policies/ledger/counter.py": _LEASES,
    "policies/ledger/refusing.py": _LEASES,
}
"""Path -> why it has no test file of its own. A module without a function body needs no entry."""

FEATURE_LISTS = {
    "proxy/providers/__init__.py": "PROVIDERS",
    "proxy/dialects/__init__.py": "DIALECTS",
    "policies/actions/__init__.py": "ACTIONS",
    "exporters/sinks.py": "SINKS",
    "grafana/boards/__init__.py": "DASHBOARDS",
}
HEADINGS = ("What:", "Config:", "Example:", "Source:")


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout: the files that belong to the tree cannot be told")
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def product() -> list[str]:
    return [path for path in tracked() if path.endswith(".py") and path.startswith(PACKAGES)]


def functions(path: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def does_something(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether there is more in it than a docstring: the methods of a Protocol have no more."""
    return any(
        not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in function.body
    )


def mirror(path: str) -> str:
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".py").strip("_")
    return f"tests/{folder}/test_{folder.rpartition('/')[2] if name == '__init__.py' else stem}.py"


def test_no_file_is_too_long():
    long = {path for path in product() if len((ROOT / path).read_text().splitlines()) > MAX_FILE_LINES}
    assert long == set(LONG_FILES)


def test_no_function_is_too_long():
    long = {
        f"{path}::{function.name}"
        for path in product()
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == set(LONG_FUNCTIONS)


def test_every_module_that_does_something_has_its_test_at_the_mirrored_path():
    without = {
        path for path in product() if any(map(does_something, functions(path))) and not (ROOT / mirror(path)).is_file()
    }
    assert without - set(UNMIRRORED) == set()


def test_the_list_of_modules_without_a_test_has_no_entry_too_many():
    needless = {path for path in UNMIRRORED if (ROOT / mirror(path)).is_file() or not (ROOT / path).is_file()}
    assert needless == set()


def test_every_test_file_mirrors_a_module():
    # A second file may go on where the first is full: test_pricing.py, test_pricing_properties.py.
    mirrored = [mirror(path).removesuffix(".py") for path in product()]
    own_folders = (
        "tests/integration/",
        "tests/docs/",
        "tests/bench/",
        "tests/fakes/",
        "tests/faults/",
        "tests/overshoot/",
        "tests/failover/",
    )
    astray = {
        path
        for path in tracked()
        if re.fullmatch(r"tests/.+/test_\w+\.py", path)
        and not path.startswith(own_folders)
        and not any(path.startswith((f"{one}.", f"{one}_")) for one in mirrored)
    }
    assert astray == set()


@pytest.mark.parametrize("package", [proxy, policies, exporters, grafana, reference], ids=PACKAGES)
def test_the_packages_are_those_of_this_checkout(package):
    # The project `proxy.py` would bring a package of the same name along.
    assert Path(package.__file__).parent == ROOT / package.__name__


# Put together here, so that this file does not hold what it looks for.
FORBIDDEN = re.compile(
    "|".join(
        [
            "py" + r"pi\.org",
            "python" + r"hosted\.",
            "registry" + r"\.npmjs",
            "crates" + r"\.io",
            "proxy" + r"\.golang",
            "deb" + r"\.debian",
            r"(?<![\w.])/" + "work/",
            r"(?<![\w.])/" + "root/",
            r"(?<![\w.])/home/" + r"\w+/",
            "/py" + "env/",
        ]
    )
)


def test_no_tracked_file_names_a_package_index_or_a_place_on_some_machine():
    found = []
    for path in tracked():
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path}:{number}" for number, line in enumerate(text.splitlines(), 1) if FORBIDDEN.search(line)]
    assert found == []


def feature_files(path: str, name: str) -> list[str]:
    """The files that the entries of a feature list are imported from."""
    imported = {
        alias.asname or alias.name: node.module or ""
        for node in tree(path).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in tree(path).body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and target.id == name:
            return [
                _file_of(imported[part.id], part.id)
                for part in ast.walk(node.value)
                if isinstance(part, ast.Name) and part.id in imported
            ]
    return []


def _file_of(module: str, name: str) -> str:
    """A name is imported from its file, or is the file itself (`from proxy.dialects import openai_chat`)."""
    own = f"{module.replace('.', '/')}/{name}.py"
    return own if (ROOT / own).is_file() else f"{module.replace('.', '/')}.py"


@pytest.mark.parametrize(("path", "name"), FEATURE_LISTS.items(), ids=FEATURE_LISTS.values())
def test_every_feature_says_what_it_is_how_it_is_set_an_example_and_its_source(path, name):
    files = feature_files(path, name)
    assert files
    for file in files:
        said = ast.get_docstring(tree(file)) or ""
        missing = [heading for heading in HEADINGS if not re.search(rf"^{heading}", said, re.MULTILINE)]
        assert missing == [], file
