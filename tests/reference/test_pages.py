from pathlib import Path

import pytest

from policies.schema import PolicyFile
from proxy.config.schema import Config
from reference.pages import pages

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", pages())
def test_a_page_is_what_the_code_makes_of_it(name):
    assert (DOCS / name).read_text("utf-8") == pages()[name], "make it anew: make docs"


@pytest.mark.parametrize(("name", "file"), [("config.md", Config), ("policy-keys.md", PolicyFile)])
def test_every_key_at_the_top_of_a_file_is_on_its_page(name, file):
    text = pages()[name]
    for key in set(file.model_fields) - {"fallbacks", "guards"}:
        assert f"`{key}`" in text, key


def test_rows_have_as_many_cells_as_their_heads():
    for name, text in pages().items():
        cells = 0
        for line in text.splitlines():
            count = line.replace("\\|", "").count("|")
            if line.startswith("|"):
                assert cells in {0, count}, f"{name}: {line}"
            cells = count if line.startswith("|") else 0
