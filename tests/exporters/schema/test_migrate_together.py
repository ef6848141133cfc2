"""Migrators beside each other, cut short, looked at before, and on a cluster; the rest is in test_migrate.py."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import msgspec
import pytest

from exporters.schema.migrate import SchemaError, ensure_database, migrate, planned
from exporters.schema.migrations import Migration, load_migrations
from tests.fakes.embedded_store import embedded_store

pytestmark = pytest.mark.real

TABLES = load_migrations()[:2]
"""The views read them."""
FILLED = Migration(
    version=3,
    name="filled",
    sql="CREATE TABLE IF NOT EXISTS a (b UInt8) ENGINE = MergeTree ORDER BY b "
    "SETTINGS non_replicated_deduplication_window = 100;\nINSERT INTO a SELECT number FROM numbers(3);\n",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(store, request):
    """A connection to a database of the test's own."""
    database = f"test {abs(hash(request.node.name))}"
    bare = store.client("default")
    ensure_database(bare, database)
    bare.close()
    client = store.client(database)
    yield client
    client.close()


def test_of_migrators_at_once_one_does_everything(client, store):
    clients = [store.client(client.database) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        applied = list(threads.map(lambda one: migrate(one, migrations=[*TABLES, FILLED]), clients))
    assert sorted(applied) == [*[()] * 5, (1, 2, 3)]
    assert client.command("SELECT count() FROM a") == 3
    for one in clients:
        one.close()


def test_a_migration_that_was_cut_short_after_its_insert_fills_once(client):
    migrate(client, migrations=[*TABLES, FILLED])
    # As if its note had never been made: the same statements run again.
    client.command("ALTER TABLE schema_migrations DELETE WHERE version = 3", settings={"mutations_sync": 2})
    again = msgspec.structs.replace(FILLED, sql=f"{FILLED.sql}-- anew\n;\n")
    assert migrate(client, migrations=[*TABLES, again]) == (3,)
    assert client.command("SELECT count() FROM a") == 3


def test_what_would_be_run_is_told_and_not_run(client):
    told = planned(client, migrations=[*TABLES, FILLED])
    assert "INSERT INTO a SELECT number FROM numbers(3)" in told
    assert told[-1].startswith("CREATE OR REPLACE VIEW otel_traces_trace_id_ts")
    assert client.query("SHOW TABLES").result_rows == []
    migrate(client, migrations=TABLES)
    assert all(one.startswith("CREATE OR REPLACE VIEW") for one in planned(client, migrations=TABLES))


def test_a_database_of_one_server_is_not_taken_for_that_of_a_cluster(client):
    migrate(client)
    for work in (migrate, planned):
        with pytest.raises(SchemaError, match=r"made for one server and store\.cluster is set"):
            work(client, cluster="c")


def test_a_database_of_a_cluster_is_not_taken_for_that_of_one_server():
    class OfACluster:
        """What a node of a cluster would answer; the embedded engine is none."""

        def command(self, sql):
            return {"SELECT currentDatabase()": "taximeter"}.get(sql, 0)

        def query(self, sql):
            assert "SELECT engine FROM system.tables" in sql
            return SimpleNamespace(result_rows=[("Distributed",)])

    with pytest.raises(SchemaError, match=r"made for a cluster: set store\.cluster"):
        planned(OfACluster())


def test_on_a_cluster_every_statement_goes_to_every_node(client):
    told = planned(client, cluster="two_by_two")
    assert len(told) > len(planned(client))
    assert all(" ON CLUSTER `two_by_two`" in one for one in told if not one.startswith("INSERT"))


def test_a_schema_without_a_form_on_a_cluster_is_refused(client):
    odd = Migration(version=1, name="odd", sql="OPTIMIZE TABLE a;\n")
    with pytest.raises(SchemaError, match="no form on a cluster"):
        planned(client, migrations=[odd], cluster="c")
