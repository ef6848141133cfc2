"""What stands in a page of the documentation: its code blocks, its headings, its links."""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<!\\)\]\(([^()\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    text: str
    line: int
    """Of the page, where the block begins."""
    heading: str
    """The heading that it stands under."""


def blocks(page: Path, language: str) -> list[Block]:
    """The fenced blocks of one language, in their order."""
    text = page.read_text("utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        headings = _HEADING.findall(_without_blocks(text[: match.start()]))
        line = text.count("\n", 0, match.start()) + 1
        if match[2] == language:
            found.append(Block(match[2], match[3], line, headings[-1][1] if headings else ""))
    return found


def anchors(page: Path) -> set[str]:
    """What a link can name behind `#`, by the rules of GitHub and GitLab."""
    found: set[str] = set()
    for _, title in _HEADING.findall(_without_blocks(page.read_text("utf-8"))):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()).replace(" ", "-")
        again = sum(1 for one in found if re.fullmatch(rf"{re.escape(words)}(-\d+)?", one))
        found.add(f"{words}-{again}" if again else words)
    return found


def links(page: Path) -> list[str]:
    """Where its links lead, images included; code is no link."""
    return _LINK.findall(re.sub(r"`[^`\n]*`", "``", _without_blocks(page.read_text("utf-8"))))


def _without_blocks(text: str) -> str:
    return _BLOCK.sub("", text)
