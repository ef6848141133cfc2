"""A Taximeter as a person starts it fills the dashboards: nothing but `serve --demo` has written these rows."""

import asyncio
import re
import time

import clickhouse_connect
import pytest

from grafana.boards.live import LIVE
from grafana.boards.overview import OVERVIEW
from grafana.boards.pipeline import PIPELINE
from grafana.macros import Range, expand
from tests.fakes.until import until
from tests.fakes.whole import serving

PANELS = [panel for board in (OVERVIEW, LIVE, PIPELINE) for panel in board.panels]
SEEN = "SELECT (SELECT uniqExact(at) FROM health) > 1 AND (SELECT count() FROM calls WHERE outcome = 'ok' AND attempt > 0) > 5"


@pytest.mark.real
async def test_a_taximeter_fills_its_dashboards(tmp_path):
    async with serving(tmp_path, "--demo") as running:
        user, password, port = re.search(r"http://(\w+):([^@]+)@127.0.0.1:(\d+)", running.banner).groups()
        reader = await asyncio.to_thread(
            clickhouse_connect.get_client, host="127.0.0.1", port=int(port), username=user, password=password,
            database="taximeter", autogenerate_session_id=False,
        )  # fmt: skip
        await until(lambda: reader.query(SEEN).result_rows[0][0], 60)
        call, trace = reader.query("SELECT call_id, trace_id FROM calls WHERE cost > 0 LIMIT 1").result_rows[0]
        picked = {"call_id": [call], "trace_id": [trace]}
        now_s = int(time.time())

        found = {panel.title: reader.query(expand(panel.sql, Range(now_s - 3600, now_s), picked)) for panel in PANELS}

        assert [title for title, answer in found.items() if not answer.row_count] == []
        for title in ("Losses", "Calls twice in the store"):
            assert found[title].result_rows[0][0] == 0
        assert found["Trace"].row_count >= 2
        reader.close()
