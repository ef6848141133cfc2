"""Every `taximeter ...` that a page shows is a command of ours, with options that it has."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from exporters.reports.dimensions import parse_by, parse_where
from exporters.reports.errors import BadQuestionError
from proxy.cli import app

ROOT = Path(__file__).parents[2]
_SHOWN = re.compile(r"`taximeter ((?:[^`\n]|\n(?!\n))+)`|^(?:\$ )?(?:\.venv/bin/)?taximeter (\S.*)$", re.MULTILINE)
_WORD = re.compile(r"[a-z][a-z-]*(\|[a-z][a-z-]*)*")


def pages() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    return sorted(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


def mistakes(shown: str) -> list[str]:
    """What of a shown command line is not there."""
    words = shown.split("#", maxsplit=1)[0].split()
    commands = [get_command(app)]
    while words and isinstance(commands[0], TyperGroup) and _WORD.fullmatch(words[0].strip(".,;:")):
        names = words.pop(0).strip(".,;:").split("|")
        group = commands[0]
        found = [group.get_command(None, name) for name in names]
        if missing := [name for name, command in zip(names, found, strict=True) if command is None]:
            return [f"no command {missing[0]}"]
        commands = [command for command in found if command is not None]
    known = {option for command in commands for one in command.params for option in one.opts + one.secondary_opts}
    asked = re.findall(r"(?<!\S)\[?(--[a-z][a-z-]*)", " ".join(words))
    wrong = [f"no option {option}" for option in asked if option not in known | {"--help"}]
    for option, parse in (("--by", parse_by), ("--where", lambda text: parse_where([text]))):
        for value in re.findall(rf"{option} ([^\s`]+)", " ".join(words)):
            try:
                parse(value)
            except BadQuestionError as error:
                wrong.append(str(error))
    return wrong


@pytest.mark.parametrize("page", pages())
def test_every_command_line_on_a_page_can_be_typed(page):
    text = (ROOT / page).read_text("utf-8")
    found = {(a or b): mistakes(a or b) for a, b in _SHOWN.findall(text)}
    assert {line: wrong for line, wrong in found.items() if wrong} == {}


def test_a_command_that_is_not_there_would_be_seen():
    assert mistakes("report nothing") == ["no command nothing"]
    assert mistakes("store status|nothing") == ["no command nothing"]
    assert mistakes("report costs --bye team") == ["no option --bye"]
    assert mistakes("report costs --by key") != []
    assert mistakes("report costs --by team --since 7d     money per currency") == []
