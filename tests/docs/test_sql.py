"""Every query that a page shows runs on the engine, over the tables as they are."""

import re
import subprocess
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.fakes.embedded_store import embedded_store
from tests.fakes.filled_store import ready_store
from tests.fakes.markdown import blocks

ROOT = Path(__file__).parents[2]
_INLINE = re.compile(r"`(SELECT [^`]+ FROM [^`]+)`|taximeter sql \"([^\"]+)\"")


def shown() -> list[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = []
    for page in filter(lambda name: (ROOT / name).is_file(), sorted(listed.stdout.splitlines())):
        for block in blocks(ROOT / page, "sql"):
            found += [(page, one) for one in re.split(r";\s*$", block.text, flags=re.MULTILINE) if one.strip()]
        found += [(page, a or b) for a, b in _INLINE.findall((ROOT / page).read_text("utf-8"))]
    return found


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        client = ready_store(store)
        yield client
        client.close()


@pytest.mark.real
def test_every_query_that_a_page_shows_runs(client):
    queries = shown()
    assert len(queries) > 3
    wrong = []
    for page, sql in queries:
        try:
            client.query(sql)
        except DatabaseError as error:
            wrong.append(f"{page}: {error}")
    assert wrong == []
