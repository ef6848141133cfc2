from types import SimpleNamespace

import pytest

from exporters.clickhouse.client import INSERT_SETTINGS, connect
from exporters.schema.cluster import ClusterForm, ServerForm
from exporters.schema.migrate import ensure_database, migrate
from exporters.schema.migrations import Migration, load_migrations
from exporters.schema.verify import differences, reader_differences
from tests.fakes.embedded_store import embedded_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(store, request):
    """A connection to a database of the test's own, with our schema."""
    database = f"test_{abs(hash(request.node.name))}"
    bare = store.client("default")
    ensure_database(bare, database)
    bare.close()
    client = store.client(database)
    migrate(client)
    yield client
    client.close()


def found(client, retention=None, settings=INSERT_SETTINGS, migrations=None):
    made = differences(
        client, ServerForm(client.database), retention=retention or {}, settings=settings, migrations=migrations
    )
    return [(one.state, one.about, one.said) for one in made]


@pytest.mark.real
def test_a_database_of_ours_has_no_difference(client):
    assert found(client) == []


@pytest.mark.real
def test_an_empty_database_lacks_everything(store):
    bare = store.client("default")
    ensure_database(bare, "nothing")
    client = store.client("nothing")
    told = found(client)
    assert ("bad", "schema", "0001_calls is pending") in told
    assert ("bad", "calls", "is not there") in told
    assert ("bad", "otel_traces", "the view is not there") in told
    for one in (bare, client):
        one.close()


@pytest.mark.real
def test_what_somebody_has_changed_is_named(client):
    client.command(
        "ALTER TABLE calls DROP COLUMN unread, ADD COLUMN theirs UInt8, MODIFY COLUMN path LowCardinality(String)"
    )
    client.command("ALTER TABLE attempts MODIFY SETTING non_replicated_deduplication_window = 5")
    client.command("DROP VIEW otel_traces")
    assert found(client) == [
        ("bad", "calls", "path is LowCardinality(String), and should be String"),
        ("bad", "calls", "lacks the column unread"),
        ("note", "calls", "has columns of somebody else: theirs"),
        ("bad", "attempts", "non_replicated_deduplication_window is 5, and must be 10000 at least"),
        ("bad", "otel_traces", "the view is not there"),
    ]


@pytest.mark.real
def test_another_engine_and_a_view_that_fills_another_table_are_named(client):
    made = [
        Migration(
            version=9,
            name="x",
            sql="CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a;\n"
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT 1 AS a FROM calls;\n",
        )
    ]
    client.command("CREATE TABLE t (a UInt8) ENGINE = ReplacingMergeTree ORDER BY a")
    client.command("CREATE TABLE u (a UInt8) ENGINE = MergeTree ORDER BY a")
    client.command("CREATE MATERIALIZED VIEW v TO u AS SELECT 1 AS a FROM calls")
    told = found(client, migrations=[*load_migrations(), *made])
    assert told == [
        ("bad", "schema", "0009_x is pending"),
        ("bad", "t", "has the engine ReplacingMergeTree, and should have MergeTree"),
        ("bad", "v", "does not fill t"),
    ]


@pytest.mark.real
def test_a_schema_that_is_newer_or_edited_is_named(client):
    own = load_migrations()
    edited = Migration(version=own[-1].version, name=own[-1].name, sql=f"-- edited\n{own[-1].sql}")
    told = [said for state, about, said in found(client, migrations=[*own[:-2], edited]) if about == "schema"]
    assert told == [
        f"{own[-2].version:04d}_{own[-2].name} is unknown",
        f"{own[-1].version:04d}_{own[-1].name} is changed",
    ]


@pytest.mark.real
def test_settings_that_this_server_does_not_know_are_a_note(client):
    assert found(client, settings={"async_insert": 0, "of_tomorrow": 1}) == []
    client.command("SET max_threads = 1")
    told = [said for _, about, said in found(client) if about == "settings"]
    assert told == []


@pytest.mark.real
def test_retention_that_is_not_active_yet_is_a_note_and_a_wrong_name_is_bad(client):
    ((state, about, said),) = found(client, retention={"calls": 30})
    assert (state, about) == ("note", "retention")
    assert "calls: kept for 30 days" in said
    ((state, about, _),) = found(client, retention={"typo": 30})
    assert (state, about) == ("bad", "retention")


class Answers:
    """What a server of the operator's would answer where the embedded engine cannot be made to."""

    def __init__(self, **rows):
        self.rows = rows

    def query(self, sql, **_):
        return SimpleNamespace(result_rows=next((rows for part, rows in self.rows.items() if part in sql), []))

    def command(self, sql, **_):
        if "denied" in sql:
            raise RuntimeError("Not enough privileges")
        return 0


def of_cluster(**rows):
    table = "CREATE TABLE IF NOT EXISTS calls (trace_id String) ENGINE = MergeTree ORDER BY trace_id SETTINGS non_replicated_deduplication_window = 10000"
    own = [Migration(version=1, name="calls", sql=f"{table};\n")]
    made = differences(
        Answers(**rows), ClusterForm("c", "d", [table]), retention={}, settings=INSERT_SETTINGS, migrations=own
    )
    return {(one.about, one.said) for one in made if one.about.startswith("calls")}


def test_on_a_cluster_windows_must_last_for_days_and_names_be_distributed():
    columns = [("calls_local", "trace_id", "String"), ("calls", "trace_id", "String")]
    local = "ReplicatedMergeTree('/x', '{replica}') ORDER BY trace_id SETTINGS replicated_deduplication_window = {}"
    tables = [
        ("calls_local", "ReplicatedMergeTree", local.replace("{}", "100000")),
        ("calls", "MergeTree", "MergeTree"),
    ]
    assert of_cluster(**{"system.columns": columns, "engine, engine_full": tables}) == {
        ("calls_local", "replicated_deduplication_window_seconds is 0, and must be 604800 at least"),
        ("calls", "is no Distributed table"),
    }
    good = local.replace("{}", "100000, replicated_deduplication_window_seconds = 604800")
    tables = [("calls_local", "ReplicatedMergeTree", good), ("calls", "Distributed", "Distributed('c')")]
    assert of_cluster(**{"system.columns": columns, "engine, engine_full": tables}) == set()


def test_a_setting_that_is_fixed_to_what_we_cannot_use_is_bad():
    rows = {
        "system.settings": [("async_insert", "1", 1), ("insert_deduplicate", "1", 1), ("deduplicate_insert", "x", 0)]
    }
    made = differences(Answers(**rows), ServerForm("d"), retention={}, settings=INSERT_SETTINGS, migrations=[])
    told = {(one.state, one.said) for one in made if one.about == "settings"}
    assert told == {
        ("bad", "async_insert is fixed to 1 for this account, and inserts need 0"),
        ("note", "this server does not know deduplicate_blocks_in_dependent_materialized_views"),
    }


@pytest.mark.real
def test_the_reader_of_the_embedded_store_reads_and_changes_nothing(store, client):
    account = store.settings.store
    reader = connect(
        type(account)(url=account.url, user=account.reader_user, password=account.reader_password),
        database=client.database,
    )
    assert reader_differences(reader, ["calls", "attempts"], own_account=True) == []
    (said,) = [one.said for one in reader_differences(reader, ["no_such"], own_account=True)]
    assert said.startswith("cannot read no_such: ")
    reader.close()


def test_a_reader_that_may_change_things_is_named():
    rows = {"readonly": [("0",)], "SHOW GRANTS": [("GRANT SELECT, INSERT ON *.* TO eyes",)]}
    told = [one.said for one in reader_differences(Answers(**rows), ["calls", "denied"], own_account=True)]
    assert told == ["cannot read denied: Not enough privileges", "may change things"]
    harmless = {"readonly": [("0",)], "SHOW GRANTS": [("GRANT SELECT ON taximeter.* TO eyes",)]}
    assert reader_differences(Answers(**harmless), ["calls"], own_account=True) == []


def test_no_account_for_reading_is_a_note():
    (one,) = reader_differences(Answers(), ["calls"], own_account=False)
    assert (one.state, one.said) == ("note", "no account of its own reads")
