"""Every relative link of every page leads to something that is there, headings included."""

import subprocess
from pathlib import Path

import pytest

from tests.fakes.markdown import anchors, links

ROOT = Path(__file__).parents[2]


def pages() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    return sorted(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


@pytest.mark.parametrize("page", pages())
def test_relative_links_resolve(page):
    broken = []
    for link in links(ROOT / page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_of_docs_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    listed = {link.partition("#")[0] for link in links(index)}
    assert {Path(page).name for page in pages() if page.startswith("docs/")} - {"README.md"} - listed == set()


def test_a_link_into_the_void_would_be_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b` c\n\n[x](gone.md) and `[y](code.md)`\n\n```\n[z](block.md)\n```\n\n## A `b` c\n")
    assert links(page) == ["gone.md"]
    assert anchors(page) == {"a-b-c", "a-b-c-1"}
