"""Rows for a store, and questions to it: calls with attempts, money in two currencies, spread over some days."""

from clickhouse_connect.driver.client import Client

from exporters.clickhouse.client import INSERT_SETTINGS
from exporters.schema.migrate import ensure_database, migrate
from tests.fakes.embedded_store import EmbeddedStore

DAY_ONE = "2026-11-20 00:00:00"
COLUMNS = "call_id, attempt, started_at, model, currency, cost, duration_ms, overhead_ms"
TABLES = ("attempts", "calls")


def ready_store(store: EmbeddedStore) -> Client:
    """A connection to the store with our tables in it."""
    bare = store.client("default")
    ensure_database(bare, store.settings.store.database)
    bare.close()
    client = store.client()
    migrate(client)
    return client


def fill(client: Client, token: str, calls: int, *, first_day: str = DAY_ONE, days: int = 3) -> None:
    """Insert calls under a token, as the recorder would: the same token and number make the same rows."""
    for table in TABLES:
        client.command(
            f"INSERT INTO {table} ({COLUMNS}) SELECT lower(hex(sipHash128('{token}', number))), 1, "
            f"toDateTime64('{first_day}', 9, 'UTC') + toIntervalSecond(intDiv(number * {days} * 86400, {calls})), "
            "concat('m', toString(number % 20)), if(number % 3 = 0, 'CNY', 'USD'), "
            f"toDecimal128(number, 18) / 1000003, 1, 2 FROM numbers({calls})",
            settings={**INSERT_SETTINGS, "insert_deduplication_token": f"{token}/{table}"},
        )


def counted(client: Client) -> tuple[int, int, int, int]:
    """Rows of calls, their keys, rows of attempts, their keys."""
    sql = ", ".join(
        f"(SELECT count() FROM {table}), (SELECT uniqExact(call_id, attempt) FROM {table})" for table in TABLES[::-1]
    )
    row = client.query(f"SELECT {sql}").result_rows[0]
    return tuple(int(value) for value in row)
