import json
import os
from pathlib import Path

import pytest

from exporters.schema.cluster import REMEMBERED_S, ClusterForm, ServerForm
from exporters.schema.lock import LOCK_TABLE
from exporters.schema.migrate import _NOTES
from exporters.schema.migrations import Migration, load_migrations
from exporters.schema.statement import StatementError
from exporters.schema.views import view_statements
from tests.fakes.cluster_engine import CLUSTER, EngineError, cluster_engine, on_one_node

FOLDER = Path(__file__).parent
GOLDEN = FOLDER / "cluster.golden.sql"
SCHEMA = Migration(version=1, name="all forms", sql=(FOLDER / "cluster.input.sql").read_text()).statements


@pytest.fixture
def form():
    return ClusterForm(CLUSTER, "meter", SCHEMA)


def real_form():
    statements = [statement for migration in load_migrations() for statement in migration.statements]
    written = [_NOTES, LOCK_TABLE, *statements]
    form = ClusterForm(CLUSTER, "default", written)
    return form, [made for one in (*written, *view_statements("1.41")) for made in form.of(one)]


def test_the_form_of_a_cluster_is_as_it_was_looked_through(form):
    # After a wanted change: write `text` to the file, and read the difference.
    text = "".join(f"{made};\n\n" for statement in SCHEMA for made in form.of(statement))
    assert text == GOLDEN.read_text()


def test_rows_of_traces_and_roll_ups_are_spread_and_the_rest_is_whole_everywhere(form):
    assert form.spread == {"calls", "newest", "by_day"}
    assert form.whole == {"notes"}
    assert (form.local("calls"), form.local("notes"), form.local("by_day_view")) == (
        "calls_local",
        "notes",
        "by_day_view",
    )


def test_the_tables_of_ours_that_hold_calls_are_spread_by_trace():
    form, made = real_form()
    assert {"calls", "attempts"} <= form.spread
    over = {one for one in made if "Distributed(" in one and ("`calls`" in one or "`attempts`" in one)}
    assert len(over) == 2
    assert all(one.endswith("cityHash64(`trace_id`))") for one in over)


def test_every_replicated_table_of_ours_remembers_tokens_for_days():
    _, made = real_form()
    tables = [one for one in made if "ENGINE = Replicated" in one]
    assert tables
    for one in tables:
        assert f"replicated_deduplication_window_seconds = {REMEMBERED_S}" in one
        assert "non_replicated" not in one


def test_no_view_of_ours_fills_a_distributed_table_or_hangs_on_one():
    form, made = real_form()
    for one in made:
        if one.startswith("CREATE MATERIALIZED"):
            assert "_local` AS\n" in one
            assert not any(f"FROM {table} " in one for table in form.spread)


def test_what_has_no_form_on_a_cluster_is_refused():
    with pytest.raises(StatementError, match="TRUNCATE"):
        ClusterForm("c", "d", ["TRUNCATE TABLE calls"])
    unordered = "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY tuple()"
    view = "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT 1 AS a FROM t"
    with pytest.raises(StatementError, match="ordered by columns"):
        ClusterForm("c", "d", [unordered, view]).of(unordered)


def test_on_one_server_a_statement_stays_as_it_is():
    form = ServerForm("a b")
    assert form.of(SCHEMA[0]) == (SCHEMA[0],)
    assert (form.local("calls"), form.on_cluster(), form.system("parts")) == ("calls", "", "system.parts")
    assert form.create_database() == "CREATE DATABASE IF NOT EXISTS `a b`"


def test_names_of_the_cluster_and_the_database_are_quoted():
    form = ClusterForm("it's", "a `b`", SCHEMA)
    assert form.create_database() == "CREATE DATABASE IF NOT EXISTS `a \\`b\\`` ON CLUSTER `it's`"
    assert "Distributed('it\\'s', 'a `b`', 'calls_local'" in form.of(SCHEMA[0])[1]
    assert form.system("parts") == "cluster('it\\'s', system, parts)"


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with cluster_engine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.mark.real
def test_the_engine_reads_every_statement_of_the_form(engine, form):
    _, made = real_form()
    for one in (*made, *(each for statement in SCHEMA for each in form.of(statement))):
        if not one.startswith("INSERT"):
            assert engine.run(f"EXPLAIN AST {one}")


@pytest.mark.real
def test_tokens_pass_through_the_distributed_table_and_views_count_once(engine):
    form, made = real_form()
    for _ in range(2):  # every statement may be run again
        for one in made:
            engine.run(on_one_node(one))
    rows = "\n".join(
        json.dumps({"call_id": f"c{n}", "trace_id": f"t{n % 7}", "started_at": "1795000000.5"}) for n in range(50)
    )
    settings = (
        "async_insert = 0, distributed_foreground_insert = 1, deduplicate_insert = 'enable', "
        "deduplicate_blocks_in_dependent_materialized_views = 1"
    )
    for token in ("a", "a", "b"):
        engine.run(
            f"INSERT INTO calls SETTINGS insert_deduplication_token = '{token}', {settings} FORMAT JSONEachRow {rows}"
        )
    assert engine.run("SELECT count(), uniqExact(trace_id) FROM calls") == "100\t7"
    assert engine.run("SELECT count() FROM calls_local") == "100"
    assert engine.run("SELECT count() FROM otel_traces") == "100"
    for name in sorted(form.spread - {"calls", "attempts"}):
        if name.startswith("calls"):
            assert engine.run(f"SELECT sum(calls) FROM {name}") == "100", name


@pytest.mark.real
def test_changes_of_a_table_reach_its_distributed_one(engine, form):
    engine.run("CREATE DATABASE meter")
    engine.run("USE meter")
    try:
        for statement in SCHEMA:
            for one in form.of(statement):
                engine.run(on_one_node(one))
        assert (
            engine.run(
                "SELECT count() FROM system.columns WHERE database = 'meter' AND name = 'team' AND table LIKE 'calls%'"
            )
            == "2"
        )
        assert engine.run("SELECT name FROM system.tables WHERE database = 'meter' AND name LIKE 'newest%'") == ""
    finally:
        engine.run("USE default")


@pytest.mark.real
def test_the_replicated_form_is_made_where_there_is_a_keeper(tmp_path):
    # TAXIMETER_KEEPER=host:port of an empty ClickHouse Keeper or ZooKeeper.
    keeper = os.environ.get("TAXIMETER_KEEPER")
    if not keeper:
        pytest.skip("no Keeper: TAXIMETER_KEEPER names none, so the Replicated tables were only parsed")
    _, made = real_form()
    with cluster_engine(tmp_path, keeper) as engine:
        for one in made:
            try:
                # Its DDL queue is off and it can take no rows, so INSERT has to stay out.
                if not one.startswith("INSERT"):
                    engine.run(one.replace(f" ON CLUSTER `{CLUSTER}`", ""))
            except EngineError as error:
                pytest.fail(f"{error}\n{one}")
        assert "calls_local" in engine.run("SELECT groupArray(name) FROM system.tables WHERE engine LIKE 'Replicated%'")
