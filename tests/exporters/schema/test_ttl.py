import threading
from datetime import UTC, datetime, timedelta

import pytest

from exporters.schema.cluster import ClusterForm, ServerForm
from exporters.schema.errors import SchemaError
from exporters.schema.migrate import ensure_database, migrate
from exporters.schema.ttl import TableTtl, apply_retention, retention_changes, table_ttls, ttl_expression
from tests.fakes.embedded_store import embedded_store
from tests.fakes.until import comes_true

MONEY = ("calls", "attempts")


def test_a_ttl_is_told_in_words():
    assert TableTtl(table="t", column="at").said() == "never deleted"
    ours = TableTtl(table="t", column="at", expression=ttl_expression("at", 400))
    assert (ours.said(), ours.days) == ("400 days", 400)
    odd = TableTtl(table="t", column="at", expression="at + toIntervalMonth(3)")
    assert (odd.said(), odd.days) == ("at + toIntervalMonth(3)", None)


def test_a_ttl_is_ours_however_the_server_writes_it():
    ttl = TableTtl(
        table="t",
        column="at",
        expression=ttl_expression("at", 30).replace("`", "").replace("(toYear(at) >= 2023)", "toYear(at) >= 2023"),
    )
    assert ttl.is_for(30)
    assert not ttl.is_for(31)
    assert not ttl.is_for(None)
    assert TableTtl(table="t", column="at").is_for(None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def client(store, request):
    """A connection to a database of the test's own, with our schema."""
    database = f"test {abs(hash(request.node.name))}"
    bare = store.client("default")
    ensure_database(bare, database)
    bare.close()
    client = store.client(database)
    migrate(client)
    for table in MONEY:
        # Otherwise the store looks for what has expired at its own leisure.
        client.command(f"ALTER TABLE {table} MODIFY SETTING merge_with_ttl_timeout = 0")
    yield client
    client.close()


@pytest.fixture
def form(client):
    return ServerForm(client.database)


def add(client, *instants):
    rows = "".join(f'{{"call_id": "c{n}", "started_at": "{at:010d}.5"}}\n' for n, at in enumerate(instants))
    client.raw_insert("calls", insert_block=rows.encode(), fmt="JSONEachRow", settings={"insert_deduplicate": 0})


def days_ago(days):
    return int((datetime.now(UTC) - timedelta(days=days)).timestamp())


def keep(client, form, **retention):
    applied = apply_retention(client, form, retention)
    assert applied.left == []
    return applied.done


def until_left(client, wanted):
    assert comes_true(lambda: client.command("SELECT count() FROM calls") == wanted, 30)


@pytest.mark.real
def test_money_is_kept_for_ever_unless_somebody_says_otherwise(client, form):
    ttls = table_ttls(client, form)
    assert [ttls[table].said() for table in MONEY] == ["never deleted"] * 2
    assert retention_changes(client, form, {}) == []
    assert retention_changes(client, form, dict.fromkeys(MONEY)) == []


@pytest.mark.real
def test_what_is_set_is_active_and_is_not_set_twice(client, form):
    said = keep(client, form, calls=400)
    assert said == ["calls: kept for 400 days, where it was never deleted; 0 rows are older and will go"]
    assert table_ttls(client, form)["calls"].said() == "400 days"
    assert retention_changes(client, form, {"calls": 400}) == []
    assert keep(client, form, calls=None) == ["calls: kept for ever instead of 400 days"]
    assert table_ttls(client, form)["calls"].said() == "never deleted"


@pytest.mark.real
def test_rows_that_were_there_before_go_as_well_and_whole_days_at_a_time(client, form):
    add(client, days_ago(0), days_ago(10), days_ago(50), days_ago(500))
    (said,) = keep(client, form, calls=30)
    assert said.endswith("2 rows are older and will go")
    until_left(client, 2)
    client.command("OPTIMIZE TABLE calls FINAL")
    assert client.command("SELECT count() FROM calls") == 2


@pytest.mark.real
def test_rows_of_a_wrong_clock_stay(client, form):
    add(client, 0, 9_214_646_400, days_ago(1))
    keep(client, form, calls=30)
    client.command("OPTIMIZE TABLE calls FINAL")
    assert client.command("SELECT count() FROM calls") == 3


@pytest.mark.real
def test_a_longer_time_saves_rows_that_had_a_nearer_date(client, form):
    client.command("SYSTEM STOP TTL MERGES calls")
    keep(client, form, calls=400)
    add(client, days_ago(300))
    client.command("SYSTEM STOP TTL MERGES calls")
    # As after a crash in the middle: the table says 100 days, its part still 400, and then it is to be 350.
    client.command(
        f"ALTER TABLE calls MODIFY TTL {ttl_expression('started_at', 100)} SETTINGS materialize_ttl_after_modify = 1, mutations_sync = 1"
    )
    keep(client, form, calls=350)
    client.command("OPTIMIZE TABLE calls FINAL")
    assert client.command("SELECT count() FROM calls") == 1


@pytest.mark.real
def test_a_change_that_was_cut_short_is_completed(client, form):
    add(client, days_ago(50))
    client.command("ALTER TABLE calls MODIFY SETTING materialize_ttl_recalculate_only = 1")
    client.command(
        f"ALTER TABLE calls MODIFY TTL {ttl_expression('started_at', 30)} SETTINGS materialize_ttl_after_modify = 0"
    )
    assert keep(client, form, calls=30) == ["calls: the change to 30 days is completed"]
    until_left(client, 0)


@pytest.mark.real
def test_what_does_not_end_in_time_deletes_nothing_and_is_told(client, form):
    add(client, days_ago(50))
    client.command("SYSTEM STOP MERGES calls")
    stop = threading.Event()
    stop.set()
    (said,) = apply_retention(client, form, {"calls": 30}, stop=stop).left
    assert "still getting their dates" in said
    assert client.command("SELECT count() FROM calls") == 1
    client.command("SYSTEM START MERGES calls")
    keep(client, form, calls=30)
    until_left(client, 0)


@pytest.mark.real
@pytest.mark.parametrize("table", ["schema_migrations", "no_such", "otel_traces"])
def test_a_table_that_does_not_age_is_named(client, form, table):
    with pytest.raises(SchemaError, match=rf"names {table}: no table of ours that ages\. There are attempts,"):
        retention_changes(client, form, {table: 30, "calls": 30})
    assert table_ttls(client, form)["calls"].said() == "never deleted"


class Answers:
    """What a node of a cluster would answer; the embedded engine is none."""

    def query(self, sql):
        rows = [(0,)]
        if "system.columns" in sql:
            rows = [("calls_local", "started_at")]
        elif "system.tables" in sql:
            rows = [
                (
                    "calls_local",
                    "ReplicatedMergeTree('/x', '{r}') PARTITION BY toDate(started_at) ORDER BY x SETTINGS y = 1",
                )
            ]
        return type("Rows", (), {"result_rows": rows})


def test_on_a_cluster_the_tables_of_the_shards_are_changed():
    table = "CREATE TABLE IF NOT EXISTS calls (trace_id String) ENGINE = MergeTree ORDER BY trace_id"
    (change,) = retention_changes(Answers(), ClusterForm("c", "db", [table]), {"calls": 30})
    assert [one.split(" MODIFY")[0] for one in change.statements] == ["ALTER TABLE `calls_local` ON CLUSTER `c`"] * 2
    assert change.hold == "SYSTEM STOP TTL MERGES ON CLUSTER `c` `db`.`calls_local`"
