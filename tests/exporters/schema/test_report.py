from datetime import UTC, datetime

import pytest

from exporters.schema.cluster import ServerForm
from exporters.schema.migrate import ensure_database, migrate
from exporters.schema.migrations import load_migrations
from exporters.schema.report import store_report
from tests.fakes.embedded_store import embedded_store

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        bare = store.client("default")
        ensure_database(bare, "taximeter")
        bare.close()
        client = store.client("taximeter")
        yield client
        client.close()


def report(client):
    return store_report(client, ServerForm("taximeter"), url="http://x", database="taximeter", cluster=None)


def test_before_the_first_migration_there_are_no_tables(client):
    told = report(client)
    assert told.tables == ()
    assert {one.state for one in told.migrations} == {"pending"}
    assert told.server_version[0].isdigit()


def test_each_table_tells_its_size_its_span_and_how_long_it_is_kept(client):
    migrate(client)
    rows = "".join(f'{{"call_id": "{n}", "started_at": "{at}.5"}}\n' for n, at in enumerate((1790000000, 1795000000)))
    client.raw_insert("calls", insert_block=rows.encode(), fmt="JSONEachRow")
    told = report(client)
    assert {one.state for one in told.migrations} == {"applied"}
    assert len(told.migrations) == len(load_migrations())
    tables = {table.name: table for table in told.tables}
    calls = tables["calls"]
    assert (calls.engine, calls.rows, calls.parts) == ("MergeTree", 2, 2)
    assert calls.bytes_on_disk > 0
    assert calls.oldest == datetime.fromtimestamp(1790000000.5, UTC).replace(tzinfo=calls.oldest.tzinfo)
    assert calls.newest == datetime.fromtimestamp(1795000000.5, UTC).replace(tzinfo=calls.newest.tzinfo)
    assert (calls.kept, calls.kept_days) == ("never deleted", None)
    assert (tables["attempts"].rows, tables["attempts"].oldest) == (0, None)
