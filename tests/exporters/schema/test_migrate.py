import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from exporters.schema.migrate import SchemaError, ensure_database, migrate, migration_states, quote_identifier
from exporters.schema.migrations import Migration, load_migrations
from tests.fakes.embedded_store import embedded_store

pytestmark = pytest.mark.real

FIRST = Migration(
    version=1, name="first", sql="CREATE TABLE IF NOT EXISTS a (b UInt8) ENGINE = MergeTree ORDER BY b;\n"
)
SECOND = Migration(version=2, name="second", sql="ALTER TABLE a ADD COLUMN IF NOT EXISTS c UInt8;\n")
OWN = load_migrations()


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


@pytest.fixture
def later(client):
    """Our own migrations and one more."""
    return [*OWN, Migration(version=len(OWN) + 1, name="later", sql=FIRST.sql)]


def states(client, migrations=None):
    return [(state.version, state.state) for state in migration_states(client, migrations)]


def test_a_new_database_gets_everything_and_an_up_to_date_one_nothing(client):
    assert {state for _, state in states(client)} == {"pending"}
    assert migrate(client) == tuple(migration.version for migration in OWN)
    assert {state for _, state in states(client)} == {"applied"}
    assert migrate(client) == ()
    tables = {row[0] for row in client.query("SHOW TABLES").result_rows}
    rolled = {f"{table}_by_{level}" for table in ("calls", "attempts") for level in ("minute", "day")}
    assert tables >= {"calls", "attempts", "contents", "unrolled_days", "schema_migrations"} | rolled
    assert tables >= {"otel_traces", "otel_traces_trace_id_ts"} | {f"{table}_view" for table in rolled}


def test_only_what_is_missing_is_applied_and_data_stays(client, later):
    migrate(client)
    client.raw_insert("calls", insert_block=b'{"call_id":"a","started_at":"1795000000.5"}', fmt="JSONEachRow")
    assert migrate(client, migrations=later) == (len(OWN) + 1,)
    assert client.command("SELECT count() FROM calls") == 1
    assert client.command("EXISTS TABLE a") == 1


def test_a_database_of_a_newer_version_is_refused_in_a_clear_sentence(client, later):
    migrate(client, migrations=later)
    with pytest.raises(SchemaError, match=rf"has schema {len(OWN) + 1} and this Taximeter knows only up to {len(OWN)}"):
        migrate(client)
    assert states(client)[-1] == (len(OWN) + 1, "unknown")


def test_ddl_that_was_edited_after_the_fact_is_refused(client):
    migrate(client)
    edited = [Migration(version=1, name="calls", sql=OWN[0].sql + "-- edited\n"), *OWN[1:]]
    with pytest.raises(SchemaError, match="another text of 0001_calls"):
        migrate(client, migrations=edited)
    assert states(client, edited)[0] == (1, "changed")


def test_a_migration_that_was_cut_short_is_run_again(client):
    client.command(OWN[0].statements[0])
    assert migrate(client) == tuple(migration.version for migration in OWN)


def test_recorders_that_start_at_once_do_not_disturb_each_other(client, store):
    clients = [store.client(client.database) for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        applied = list(threads.map(migrate, clients))
    assert all(set(versions) <= {migration.version for migration in OWN} for versions in applied)
    assert client.query("SELECT version FROM schema_migrations ORDER BY version").result_rows == [
        (m.version,) for m in OWN
    ]
    for one in clients:
        one.close()


def test_any_name_of_a_database_can_be_used(store):
    bare = store.client("default")
    name = "a `quoted` \\ name"
    ensure_database(bare, name)
    ensure_database(bare, name)
    assert name in {row[0] for row in bare.query("SHOW DATABASES").result_rows}
    bare.command(f"DROP DATABASE {quote_identifier(name)}")
    bare.close()


def test_an_existing_database_is_not_created(store):
    class MayNotCreate:
        def __init__(self, client):
            self.query = client.query

        def command(self, _, **__):
            raise DatabaseError("not allowed")

    bare = store.client("default")
    ensure_database(MayNotCreate(bare), "default")
    with pytest.raises(DatabaseError):
        ensure_database(MayNotCreate(bare), "another")
    bare.close()


CALL = {
    "call_id": "c1", "trace_id": "t1", "span_id": "s1", "parent_span_id": "app", "started_at": "1795000000.000000001",
    "duration_ms": 1500.5, "method": "POST", "route": "/x/v1/chat/completions", "path": "/v1/chat/completions",
    "status": 200, "outcome": "ok", "tags": {"env": "prod"}, "team": "search", "attempt": 2,
}  # fmt: skip
FAILED = {
    "call_id": "c1", "attempt": 1, "trace_id": "t1", "span_id": "s2", "parent_span_id": "s1", "kind": "azure",
    "started_at": "1795000000.1", "duration_ms": 10, "host": "127.0.0.1:8080", "operation": "chat", "provider": "x",
    "model_requested": "gpt", "status": 503, "outcome": "error", "error_class": "overloaded", "provider_code": "busy",
}  # fmt: skip
GOOD = FAILED | {
    "attempt": 2, "span_id": "s3", "kind": "minimax", "host": "api.minimax.io", "status": 200, "outcome": "ok",
    "error_class": "", "provider_code": "", "model": "gpt-1", "streaming": True, "ttft_ms": 250.0, "input_tokens": 0,
    "output_tokens": 7, "finish_reason": "stop", "cost": "0.000000000000000001", "currency": "USD",
}  # fmt: skip


@pytest.fixture
def traced(client):
    migrate(client)
    for table, rows in (("calls", [CALL]), ("attempts", [FAILED, GOOD])):
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        client.raw_insert(table, insert_block=data, fmt="JSONEachRow")
    return {
        row["SpanId"]: row for row in client.query("SELECT * FROM otel_traces WHERE TraceId = 't1'").named_results()
    }


def test_a_call_is_a_server_span_and_its_attempts_are_client_spans_below(traced):
    told = {span: (row["SpanKind"], row["ParentSpanId"], row["SpanName"]) for span, row in traced.items()}
    assert told == {
        "s1": ("Server", "app", "POST /x/v1/chat/completions"),
        "s2": ("Client", "s1", "chat gpt"),
        "s3": ("Client", "s1", "chat gpt"),
    }
    assert traced["s1"]["Duration"] == 1_500_500_000
    assert {row["ServiceName"] for row in traced.values()} == {"taximeter"}


def test_only_what_went_wrong_is_an_error(traced):
    assert {span: row["StatusCode"] for span, row in traced.items()} == {"s1": "Unset", "s2": "Error", "s3": "Unset"}
    assert traced["s2"]["StatusMessage"] == "overloaded busy"
    assert traced["s2"]["SpanAttributes"]["error.type"] == "overloaded"


def test_what_is_not_known_is_left_out_and_a_zero_is_not(traced):
    known = traced["s3"]["SpanAttributes"]
    assert known == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "minimax",
        "gen_ai.request.model": "gpt",
        "gen_ai.response.model": "gpt-1",
        "gen_ai.request.stream": "true",
        "gen_ai.response.finish_reasons": '["stop"]',
        "gen_ai.response.time_to_first_chunk": "0.25",
        "gen_ai.usage.input_tokens": "0",
        "gen_ai.usage.output_tokens": "7",
        "server.address": "api.minimax.io",
        "http.response.status_code": "200",
        "taximeter.call_id": "c1",
        "taximeter.attempt": "2",
        "taximeter.outcome": "ok",
        "taximeter.provider": "x",
        "taximeter.cost": "0.000000000000000001",
        "taximeter.currency": "USD",
    }


def test_names_of_the_convention_and_tags_of_the_app_are_attributes(traced):
    assert traced["s2"]["SpanAttributes"]["gen_ai.provider.name"] == "azure.ai.openai"
    assert traced["s2"]["SpanAttributes"]["server.address"] == "127.0.0.1"
    assert traced["s2"]["SpanAttributes"]["server.port"] == "8080"
    assert traced["s1"]["SpanAttributes"]["taximeter.tag.env"] == "prod"
    assert traced["s1"]["SpanAttributes"]["http.route"] == "/x/v1/chat/completions"


GRAFANA = """
WITH 't1' AS trace_id,
    (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = trace_id) AS trace_start,
    (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = trace_id) AS trace_end
SELECT TraceId AS traceID, SpanId AS spanID, ParentSpanId AS parentSpanID, ServiceName AS serviceName,
    SpanName AS operationName, multiply(toUnixTimestamp64Nano(Timestamp), 0.000001) AS startTime,
    multiply(Duration, 0.000001) AS duration,
    arrayMap(key -> map('key', key, 'value', SpanAttributes[key]), mapKeys(SpanAttributes)) AS tags,
    arrayMap(key -> map('key', key, 'value', ResourceAttributes[key]), mapKeys(ResourceAttributes)) AS serviceTags,
    if(StatusCode IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) AS statusCode,
    arrayMap((name, timestamp, attributes) -> tuple(name, toString(toUnixTimestamp64Milli(timestamp)), attributes),
        Events.Name, Events.Timestamp, Events.Attributes) AS logs,
    arrayMap((trace, span, attributes) -> tuple(trace, span, attributes), Links.TraceId, Links.SpanId, Links.Attributes) AS references
FROM otel_traces
WHERE traceID = trace_id AND Timestamp >= trace_start AND Timestamp <= trace_end
LIMIT 1000
"""


def test_the_query_of_a_trace_view_finds_all_spans(client, traced):
    rows = list(client.query(GRAFANA).named_results())
    assert {row["spanID"]: row["statusCode"] for row in rows} == {"s1": 0, "s2": 2, "s3": 0}
    assert {row["duration"] for row in rows} == {1500.5, 10.0}


def test_a_trace_has_a_start_and_an_end(client, traced):
    (row,) = client.query(
        "SELECT toUnixTimestamp(Start), toUnixTimestamp(End) FROM otel_traces_trace_id_ts WHERE TraceId = 't1'"
    ).result_rows
    assert row == (1_795_000_000, 1_795_000_001)


def test_methods_and_paths_of_a_scanner_make_no_new_span_names(client):
    migrate(client)
    odd = CALL | {
        "method": "BREW",
        "route": "",
        "path": "/wp-admin",
        "status": 404,
        "outcome": "error",
        "error_class": "",
    }
    client.raw_insert("calls", insert_block=json.dumps(odd).encode(), fmt="JSONEachRow")
    (row,) = client.query("SELECT SpanName, SpanAttributes FROM otel_traces").result_rows
    assert row[0] == "HTTP"
    assert row[1]["http.request.method"] == "_OTHER"
    assert row[1]["error.type"] == "404"
