import pytest

from exporters.clickhouse.known import BareRow, digest_of, known_calls, known_keys, row_key
from exporters.clickhouse.rows import AttemptRow
from tests.fakes.embedded_store import embedded_store


def row(call_id, attempt=0, started_at="1800000000.000000000"):
    return BareRow(call_id=call_id, attempt=attempt, started_at=started_at)


def test_a_call_is_known_by_its_id_and_an_attempt_by_its_number_too():
    assert row_key("calls", row("a", 3)) == ("a", 0)
    assert row_key("attempts", row("a", 3)) == ("a", 3)


def test_a_digest_stands_for_the_very_rows():
    first, second = (AttemptRow(call_id="a", attempt=number, started_at="1", span_id="s") for number in (1, 2))
    assert digest_of("attempts", [first, second]) != digest_of("attempts", [first])
    assert digest_of("attempts", [first]) == digest_of("attempts", [first])
    assert len(digest_of("calls", [])) == 32


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        client = store.client("default")
        for table in ("calls", "attempts"):
            columns = "call_id String, attempt UInt8, started_at DateTime64(9)"
            client.command(f"CREATE TABLE {table} ({columns}) ENGINE = MergeTree ORDER BY started_at")
            client.command(f"INSERT INTO {table} VALUES ('a', 1, '2027-01-15 08:00:00'), ('it''s', 2, '2106-01-01')")
        yield client
        client.close()


@pytest.mark.real
def test_the_store_says_which_rows_it_has(client):
    rows = [row("a", 1), row("a", 2), row("b", 1), row("it's", 2, "4291747200.000000000")]
    assert known_keys(client, "attempts", rows) == {("a", 1), ("it's", 2)}
    assert known_keys(client, "calls", rows) == {("a", 0), ("it's", 0)}
    assert known_keys(client, "calls", []) == set()
    assert known_calls(client, ["a", "b", "it's"]) == {"a", "it's"}
