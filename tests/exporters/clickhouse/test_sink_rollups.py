"""What the sink does to the roll-ups: a parcel is in them once, and what is older than they is brought in by and by."""

from decimal import Decimal
from functools import partial

import msgspec
import pytest
from clickhouse_connect.driver.exceptions import OperationalError

from exporters.clickhouse import sink as sink_module
from exporters.clickhouse.sink import ClickHouseSink
from exporters.recorder.ports import Batch, PricedCall, SinkUnavailableError
from exporters.schema.migrate import migrate
from exporters.schema.migrations import load_migrations
from exporters.schema.rollups import distrust, unrolled_days
from proxy.core.pricing import Priced
from tests.fakes.embedded_store import embedded_store
from tests.fakes.records import STARTED_NS, attempt, call

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

CENT = Priced(amount=Decimal("0.01"), currency="USD", cost_source="book", price_id="p")
DAY_NS = 86_400 * 10**9


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


def batch(first=1, count=60, token="w/1-abc"):
    """Calls on three days; every third one has two attempts."""
    calls = []
    for number in range(first, first + count):
        at_ns = STARTED_NS + number % 3 * DAY_NS
        tries = [attempt(n + 1, started_at_ns=at_ns + n) for n in range(1 + (number % 3 == 0))]
        calls.append(PricedCall(call(number, *tries, started_at_ns=at_ns), (CENT,) * len(tries)))
    return Batch(instance="w", number=1, token=token, calls=calls)


def counted(store, settings_of):
    """Calls, attempts and money: of the tables, of the minutes, of the days."""
    client = store.client(settings_of.store.database)
    sums = ["(SELECT (count(), (SELECT (count(), sum(cost)) FROM attempts)) FROM calls)"]
    sums += [
        f"(SELECT (sum(calls), (SELECT (sum(attempts), sum(cost)) FROM attempts_by_{level})) FROM calls_by_{level})"
        for level in ("minute", "day")
    ]
    (row,) = client.query(f"SELECT {', '.join(sums)}").result_rows
    client.close()
    return row


def assert_each_once(store, settings_of, calls=60, attempts=80):
    once = (calls, (attempts, Decimal(attempts) / 100))
    assert counted(store, settings_of) == (once, once, once)


def test_a_parcel_that_is_delivered_again_doubles_neither_rows_nor_sums(store, settings_of, sink):
    for _ in range(4):
        sink.deliver(batch())
    assert_each_once(store, settings_of)


@pytest.mark.parametrize("table", ["attempts", "calls"])
@pytest.mark.parametrize("applied", [False, True])
def test_a_parcel_that_was_cut_off_is_in_rows_and_sums_once(store, settings_of, sink, monkeypatch, table, applied):
    sink.check()
    send = sink._send

    def cut(name, rows, token):
        if name == table:
            if applied:
                send(name, rows, token)
            raise SinkUnavailableError("no answer")
        return send(name, rows, token)

    monkeypatch.setattr(sink, "_send", cut)
    with pytest.raises(SinkUnavailableError):
        sink.deliver(batch())
    monkeypatch.undo()
    sink.deliver(batch())
    assert_each_once(store, settings_of)


def test_a_store_killed_in_the_middle_of_an_insert_has_the_parcel_once(tmp_path):
    with embedded_store(tmp_path) as store:
        sink = ClickHouseSink(store.settings)
        sink.check()
        send, killed = sink._send, []

        def kill_after(name, rows, token):
            answer = send(name, rows, token)
            if name == "attempts" and not killed:
                killed.append(name)
                store.kill()
                store.start()
            return answer

        sink._send = kill_after
        for _ in range(3):
            try:
                sink.deliver(batch())
            except SinkUnavailableError:
                continue
        assert killed
        assert_each_once(store, store.settings)
        sink.close()


@pytest.fixture
def older(settings_of, monkeypatch):
    """A sink of the time before roll-ups."""
    with monkeypatch.context() as patch:
        patch.setattr(sink_module, "migrate", partial(migrate, migrations=load_migrations()[:2]))
        patch.setattr(sink_module, "unrolled_days", lambda _: [])
        patch.setattr(sink_module, "_check_columns", lambda _: None)  # of later versions' columns it knew nothing
        sink = ClickHouseSink(settings_of)
        sink.check()
    yield sink
    sink.close()


def test_a_parcel_that_an_older_version_was_about_is_counted_once(store, settings_of, older, sink):
    older.deliver(batch())
    # It was killed before it could move its cursor; the lane of the new one checks, and offers the parcel again.
    sink.check()
    assert counted(store, settings_of)[2][0] == 0
    sink.deliver(batch())
    while sink._rolling:
        sink.deliver(batch())
    assert_each_once(store, settings_of)


def test_roll_ups_wait_for_the_parcel_that_could_not_be_delivered(store, settings_of, older, sink, monkeypatch):
    older.deliver(batch())
    sink.check()
    with monkeypatch.context() as patch:
        patch.setattr(sink, "_send", lambda *_: (_ for _ in ()).throw(SinkUnavailableError("down")))
        with pytest.raises(SinkUnavailableError):
            sink.deliver(batch())
    # After a failure a lane checks before it tries again.
    sink.check()
    assert counted(store, settings_of)[2][0] == 0
    sink.deliver(batch())
    while sink._rolling:
        sink.deliver(batch())
    assert_each_once(store, settings_of)


def test_a_sink_with_nothing_to_deliver_completes_the_roll_ups(store, settings_of, older, sink):
    older.deliver(batch())
    for _ in range(20):
        sink.check()
    assert_each_once(store, settings_of)
    client = store.client(settings_of.store.database)
    assert unrolled_days(client) == []
    client.close()


def test_a_day_that_somebody_distrusts_is_made_anew(store, settings_of, sink):
    sink.deliver(batch())
    client = store.client(settings_of.store.database)
    (day,) = client.query("SELECT max(day) FROM calls_by_day").result_rows[0]
    client.command(f"INSERT INTO calls_by_day SELECT * FROM calls_by_day WHERE day = '{day}'")
    distrust(client, [day])
    for _ in range(3):
        sink.check()
    assert unrolled_days(client) == []
    client.close()
    assert_each_once(store, settings_of)


def test_trouble_with_roll_ups_is_no_trouble_of_a_parcel(store, settings_of, older, sink, monkeypatch):
    older.deliver(batch())
    with monkeypatch.context() as patch:
        patch.setattr(sink_module, "complete", lambda *_, **__: (_ for _ in ()).throw(OperationalError("no room")))
        assert sink.deliver(batch(100, 30, "w/2-abc")) == {"calls": 30, "attempts": 40}
        assert sink._rolling
    while sink._rolling:
        sink.deliver(batch(100, 30, "w/2-abc"))
    assert_each_once(store, settings_of, 90, 120)
