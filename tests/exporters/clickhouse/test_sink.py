import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings

from exporters.clickhouse import sink as sink_module
from exporters.clickhouse.rows import TABLES, AttemptRow, CallRow, PartRow, PriceLine
from exporters.clickhouse.sink import ClickHouseSink
from exporters.journal.quarantine import Quarantine
from exporters.recorder.ports import Batch, PricedCall, SinkUnavailableError
from exporters.schema.migrate import migrate
from exporters.schema.migrations import Migration, load_migrations
from proxy.core.money import Money
from proxy.core.pricing import Line, Priced
from proxy.core.usage import Usage, UsagePart
from tests.fakes.embedded_store import embedded_store
from tests.fakes.records import any_call, attempt, call, call_id

pytestmark = pytest.mark.real

CENT = Priced(amount=Decimal("0.01"), currency="USD", cost_source="book", price_id="p")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def settings_of(store, tmp_path, request):
    """Settings with a database and a data folder of the test's own."""
    own = msgspec.structs.replace(store.settings.store, database=f"test_{abs(hash(request.node.name))}")
    return msgspec.structs.replace(store.settings, store=own, data_dir=tmp_path)


@pytest.fixture
def sink(settings_of):
    sink = ClickHouseSink(settings_of)
    yield sink
    sink.close()


@pytest.fixture
def client(store, settings_of, sink):
    """A connection to the sink's database."""
    sink.check()
    client = store.client(settings_of.store.database)
    yield client
    client.close()


def batch(*calls, number=1, price=CENT):
    priced = [PricedCall(one, (price,) * len(one.attempts)) for one in calls]
    return Batch(instance="w", number=number, token=f"w/{number}-abc", calls=priced)


def counted(client):
    """(rows, different ones) of both tables."""
    sql = "SELECT (SELECT (count(), uniqExact(call_id)) FROM calls), (SELECT (count(), uniqExact(call_id, attempt)) FROM attempts)"
    return client.query(sql).result_rows[0]


def test_rows_and_columns_are_the_same_and_in_the_same_order(client):
    for table, row in TABLES.items():
        columns = [found[0] for found in client.query(f"DESCRIBE TABLE {table}").result_rows]
        assert list(row.__struct_fields__) == columns


def test_what_is_left_out_of_a_row_is_what_the_column_has_by_itself(client):
    for table, row in (
        ("calls", CallRow(call_id="a", started_at="1795000000.5")),
        ("attempts", AttemptRow(call_id="a", started_at="1795000000.5")),
    ):
        client.raw_insert(table, insert_block=msgspec.json.encode(row), fmt="JSONEachRow")
        explicit = msgspec.structs.asdict(row) | {"call_id": "b"}
        client.raw_insert(table, insert_block=json.dumps(explicit).encode(), fmt="JSONEachRow")
        short, full = client.query(f"SELECT * EXCEPT call_id FROM {table} ORDER BY call_id").result_rows
        assert short == full


def test_every_value_of_a_row_comes_back(client):
    line = PriceLine(part="input", quantity="5", free="1", rate="0.3", per=10**6, amount="0.0000012", price_id="p")
    part = PartRow(kind="advisor", model="m", input_tokens=1, cached_input_tokens=None, cache_write_tokens=0,
                   output_tokens=2, reasoning_tokens=None)  # fmt: skip
    for table, row_type in TABLES.items():
        values = {}
        for number, field in enumerate(msgspec.structs.fields(row_type)):
            values[field.name] = _sample(field, number, line, part)
        client.raw_insert(table, insert_block=msgspec.json.encode(row_type(**values)), fmt="JSONEachRow")
        back = json.loads(client.raw_query(f"SELECT * FROM {table}", fmt="JSONEachRow", settings={
            "output_format_json_quote_decimals": 1, "output_format_json_quote_64bit_integers": 0,
            "output_format_decimal_trailing_zeros": 0, "date_time_output_format": "unix_timestamp"}))  # fmt: skip
        assert _plain(back) == _plain(msgspec.to_builtins(values)), table


def _sample(field, number, line, part):
    special = {
        "started_at": "1795000000.123456789",
        "price_lines": [line],
        "usage_parts": [part],
        "units": {"images": "0.000000000001"},
        "costs": {"USD": "0.000000000000000001"},
        "tags": {"env": "prod ü \u0000"},
        "draws": {"budget:team|team=ü@2026-11-01T00:00:00Z": 2**63 - 1},
    }
    if field.name in special:
        return special[field.name]
    if field.name in {"cost", "list_cost", "provider_cost"}:
        return f"{number}.000000000000000001"
    kinds = {str: f"text {number} 'quoted' \\ \n 😀", bool: True, int: number, float: number + 0.123456789}
    if field.type in kinds:
        return kinds[field.type]
    if field.type == list[str]:
        return ["one", "two"]
    return {int | None: 2**63 - 1 - number, float | None: number + 0.5}[field.type]


def _plain(value):
    """Numbers as Decimals, whatever form they are in."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    try:
        return Decimal(str(value)).normalize()
    except ArithmeticError:
        return value


def test_a_batch_is_there_once_however_often_it_is_delivered(client, sink):
    one = batch(call(1), call(2, attempt(1), attempt(2)), call(3, attempts=()))
    assert sink.deliver(one) == {"calls": 3, "attempts": 3}
    for _ in range(3):
        sink.deliver(one)
    assert counted(client) == ((3, 3), (3, 3))


def test_a_second_try_with_other_prices_changes_nothing(client, sink):
    sink.deliver(batch(call(1)))
    sink.deliver(batch(call(1), price=msgspec.structs.replace(CENT, amount=Decimal("0.02"))))
    assert client.query("SELECT cost, count() FROM calls GROUP BY cost").result_rows == [(Decimal("0.01"), 1)]


def test_a_batch_that_two_deliver_at_once_is_there_once(client, settings_of):
    calls = [call(number, started_at_ns=number * 86_400 * 10**9) for number in range(30)]
    sinks = [ClickHouseSink(settings_of) for _ in range(4)]
    for one in sinks:
        one.check()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda one: one.deliver(batch(*calls)), sinks))
    assert counted(client) == ((30, 30), (30, 30))
    for one in sinks:
        one.close()


def test_two_batches_of_the_same_calls_are_two(client, sink):
    sink.deliver(batch(call(1), number=1))
    sink.deliver(batch(call(1), number=2))
    assert counted(client) == ((2, 1), (2, 1))


def test_the_store_takes_any_record_at_all(client, sink):
    records = []

    @settings(max_examples=300)
    @given(any_call)
    def collect(record):
        records.append(record)

    collect()
    line = Line(part="x", quantity=Decimal("1E-20"), rate=Decimal("1E+30"), per=1, amount=Decimal("NaN"), price_id="p")
    odd = Priced(amount=Decimal("1E-30"), currency="", lines=(line,), list_cost=Money(Decimal("1E+50"), "X"))
    counts = sink.deliver(batch(*records, price=odd))
    assert counts.get("refused", 0) == 0
    assert client.command("SELECT count() FROM calls") == len(records) > 100


@pytest.fixture
def picky(client):
    """The tables refuse calls of the team `poison`."""
    for table in ("calls", "attempts"):
        client.command(f"ALTER TABLE {table} ADD CONSTRAINT no_poison CHECK team != 'poison'")
    return client


def poison(number):
    return call(number, caller=msgspec.structs.replace(call().caller, team="poison"))


def mixed(size=40, poisoned=(0, 7, 8, 39)):
    return batch(*(poison(number) if number in poisoned else call(number) for number in range(size)))


@pytest.mark.parametrize("poisoned", [(0,), (39,), (0, 7, 8, 39), tuple(range(20))])
def test_rows_that_are_refused_go_into_quarantine_and_all_others_into_the_store(picky, sink, settings_of, poisoned):
    counts = sink.deliver(mixed(poisoned=poisoned))
    good = 40 - len(poisoned)
    assert counts == {"calls": good, "attempts": good, "refused": 2 * len(poisoned)}
    assert counted(picky) == ((good, good), (good, good))
    kept = Quarantine(settings_of.journal_dir).counts()
    assert kept == {"refused-calls": len(poisoned), "refused-attempts": len(poisoned)}
    refused = next((settings_of.journal_dir / ".quarantine").glob("*refused-calls*.jsonl")).read_bytes().splitlines()
    assert [json.loads(line)["call_id"] for line in refused] == [call_id(number) for number in poisoned]


def test_one_row_that_is_refused_alone_does_not_block(picky, sink):
    assert sink.deliver(batch(poison(1))) == {"refused": 2}
    assert sink.deliver(batch(call(2), number=2)) == {"calls": 1, "attempts": 1}


def test_a_poisoned_batch_is_there_once_however_often_it_is_delivered(picky, sink, settings_of):
    for _ in range(3):
        sink.deliver(mixed())
    assert counted(picky) == ((36, 36), (36, 36))
    assert Quarantine(settings_of.journal_dir).counts() == {"refused-calls": 4, "refused-attempts": 4}


@pytest.mark.parametrize("sent", range(1, 24, 4))
def test_a_kill_while_a_batch_is_halved_loses_and_doubles_nothing(picky, settings_of, monkeypatch, sent):
    dying = ClickHouseSink(settings_of)
    dying.check()
    send = dying._send
    left = [sent]

    def killed(*args):
        if not left[0]:
            raise SinkUnavailableError("killed")
        left[0] -= 1
        return send(*args)

    monkeypatch.setattr(dying, "_send", killed)
    with contextlib.suppress(SinkUnavailableError):
        dying.deliver(mixed())
    # Meanwhile somebody repairs the table: the batch must not go in whole now.
    for table in ("calls", "attempts"):
        picky.command(f"ALTER TABLE {table} DROP CONSTRAINT no_poison")
    later = ClickHouseSink(settings_of)
    later.deliver(mixed())
    ((calls, different_calls), (attempts, different_attempts)) = counted(picky)
    assert (calls, attempts) == (different_calls, different_attempts)
    kept = Quarantine(settings_of.journal_dir).counts()
    assert calls + kept.get("refused-calls", 0) == 40
    assert attempts + kept.get("refused-attempts", 0) == 40
    later.close()


def test_a_store_that_refuses_everything_is_not_taken_for_poison(picky, sink, settings_of):
    with pytest.raises(SinkUnavailableError, match="refuses every row"):
        sink.deliver(batch(*(poison(number) for number in range(150))))
    assert Quarantine(settings_of.journal_dir).counts() == {}


def test_marks_are_taken_off_when_the_batch_is_done(picky, sink, settings_of):
    sink.deliver(mixed())
    assert list((settings_of.journal_dir / ".quarantine").glob("*.mark"))
    sink.deliver(batch(call(100), number=2))
    assert not list((settings_of.journal_dir / ".quarantine").glob(".*.mark"))


def test_a_record_that_no_row_can_be_made_of_is_kept_and_blocks_nothing(client, sink, settings_of, monkeypatch):
    make = sink_module.call_row

    def odd(priced, rows):
        if priced.call.call_id == call_id(2):
            raise ZeroDivisionError
        return make(priced, rows)

    monkeypatch.setattr(sink_module, "call_row", odd)
    assert sink.deliver(batch(call(1), call(2), call(3))) == {"calls": 2, "attempts": 2, "refused": 1}
    assert Quarantine(settings_of.journal_dir).counts() == {"no_row": 1}


def test_a_store_that_was_emptied_gets_its_tables_again(client, sink, settings_of):
    client.command(f"DROP DATABASE {settings_of.store.database} SYNC")
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch(call(1)))
    sink.deliver(batch(call(1)))
    assert counted(client) == ((1, 1), (1, 1))


def test_a_newer_schema_is_left_alone_in_a_clear_sentence(client, sink, settings_of):
    later = Migration(version=99, name="later", sql="CREATE TABLE IF NOT EXISTS z (a UInt8) ENGINE = Null;\n")
    migrate(client, migrations=[*load_migrations(), later])
    fresh = ClickHouseSink(settings_of)
    with pytest.raises(SinkUnavailableError, match="has schema 99"):
        fresh.check()


def test_a_table_without_our_columns_is_told_in_a_clear_sentence(client, settings_of):
    client.command("ALTER TABLE attempts DROP COLUMN price_lines")
    fresh = ClickHouseSink(settings_of)
    with pytest.raises(SinkUnavailableError, match="attempts lacks the columns price_lines"):
        fresh.deliver(batch(call(1)))


def test_a_wrong_password_is_told(settings_of):
    wrong = msgspec.structs.replace(settings_of.store, password="wrong")
    with pytest.raises(SinkUnavailableError, match="516"):
        ClickHouseSink(msgspec.structs.replace(settings_of, store=wrong)).check()


def test_a_store_that_goes_and_comes_back_is_used_again(tmp_path):
    with embedded_store(tmp_path) as store:
        sink = ClickHouseSink(store.settings)
        sink.deliver(batch(call(1)))
        store.kill()
        for refuse in (sink.check, lambda: sink.deliver(batch(call(2), number=2))):
            with pytest.raises(SinkUnavailableError):
                refuse()
        store.start()
        sink.deliver(batch(call(1)))
        sink.deliver(batch(call(2), number=2))
        client = store.client()
        assert counted(client) == ((2, 2), (2, 2))
        client.close()
        sink.close()


def test_usage_of_further_models_and_arithmetic_are_in_the_store(client, sink):
    usage = Usage(
        input_tokens=1, source="provider", parts=(UsagePart(kind="advisor", model="m2", usage=Usage(input_tokens=3)),)
    )
    line = Line(part="input", quantity=Decimal(1), rate=Decimal("0.3"), per=10**6, amount=Decimal("3E-7"), price_id="p")
    sink.deliver(batch(call(1, attempt(usage=usage)), price=msgspec.structs.replace(CENT, lines=(line,))))
    (row,) = client.query(
        "SELECT usage_parts.model, usage_parts.input_tokens, price_lines.amount FROM attempts"
    ).result_rows
    assert row == (["m2"], [3], [Decimal("3E-7")])
