"""Where the token of a parcel is not enough: views that fail, and a recorder that does not know what it has delivered."""

from decimal import Decimal

import msgspec
import pytest

from exporters.clickhouse.sink import ClickHouseSink
from exporters.journal.quarantine import Quarantine
from exporters.journal.writer import Journal
from exporters.recorder.deliver import Delivery
from exporters.recorder.follow import Follower
from exporters.recorder.ports import Batch, PricedCall
from exporters.recorder.segments import PricedSegments
from exporters.recorder.state import State
from exporters.schema.rollups import differing
from proxy.core.pricing import Priced
from tests.fakes.embedded_store import embedded_store
from tests.fakes.records import STARTED_NS, call
from tests.fakes.sinks import FixedPrices

pytestmark = pytest.mark.real

CENT = Priced(amount=Decimal("0.01"), currency="USD", cost_source="book", price_id="p")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def settings(store, tmp_path, request):
    own = msgspec.structs.replace(store.settings.store, database=f"test_{abs(hash(request.node.name))}")
    return msgspec.structs.replace(store.settings, store=own, data_dir=tmp_path)


@pytest.fixture
def sink(settings):
    sink = ClickHouseSink(settings)
    sink.check()
    yield sink
    sink.close()


@pytest.fixture
def client(store, settings, sink):
    client = store.client(settings.store.database)
    yield client
    client.close()


def batch(*calls):
    priced = [PricedCall(one, (CENT,) * len(one.attempts), "w", 1) for one in calls]
    return Batch(instance="w", number=1, token="w/1-abc", calls=priced)


def counted(client, table):
    return client.query(f"SELECT count(), uniqExact(call_id) FROM {table}").result_rows[0]


def days(client):
    return [day for (day,) in client.query("SELECT DISTINCT toDate(started_at) FROM calls").result_rows]


def test_a_view_that_fails_neither_doubles_rows_nor_holds_them_up(sink, client, settings):
    client.command("CREATE TABLE mine (n UInt8) ENGINE = MergeTree ORDER BY n")
    client.command("CREATE MATERIALIZED VIEW mine_view TO mine AS SELECT toUInt8(user) AS n FROM calls")
    calls = batch(*map(call, range(8)))
    assert sink.deliver(calls) == {"attempts": 8, "calls": 8, "refused_by_views": 8}
    assert sink.deliver(calls)["calls"] == 8, "as after a kill"
    assert counted(client, "calls") == counted(client, "attempts") == (8, 8)
    assert differing(client, days(client)) == {}
    assert Quarantine(settings.journal_dir).entries() == []


def test_sums_of_ours_that_went_without_rows_are_made_anew(sink, client):
    sums = "calls_by_day"
    client.command(f"ALTER TABLE {sums} ADD CONSTRAINT fussy CHECK calls < 0")
    assert sink.deliver(batch(*map(call, range(8))))["refused_by_views"] == 8
    client.command(f"ALTER TABLE {sums} DROP CONSTRAINT fussy")
    for _ in range(4):
        sink.check()
    assert counted(client, "calls") == (8, 8)
    assert client.query(f"SELECT sum(calls) FROM {sums}").result_rows == [(8,)]
    assert client.query("SELECT count() FROM unrolled_days").result_rows == [(0,)]


def test_a_row_that_speaks_of_views_is_a_row_like_any_other(sink, client, settings):
    client.command("ALTER TABLE calls ADD CONSTRAINT fussy CHECK team != 'while pushing to view x'")
    odd = call(3)
    odd = msgspec.structs.replace(odd, caller=msgspec.structs.replace(odd.caller, team="while pushing to view x"))
    assert sink.deliver(batch(call(1), odd, call(2))) == {"attempts": 3, "calls": 2, "refused": 1}
    assert counted(client, "calls") == (2, 2)
    assert [entry.lines for entry in Quarantine(settings.journal_dir).entries()] == [1]


class Recorder:
    """As much of one as reads the journal and gives it to one sink; it dies with `end`."""

    def __init__(self, settings):
        settings.run_dir.mkdir(exist_ok=True)
        self.state = State(settings.run_dir / "recorder.sqlite")
        self.follower = Follower(settings.journal_dir, self.state, Quarantine(settings.journal_dir))
        self.sink = ClickHouseSink(settings)
        self.delivery = Delivery(self.sink, PricedSegments(FixedPrices()), self.state, settings.journal_dir)

    def deliver(self, parcels):
        read = self.follower.look().read
        for _ in range(parcels):
            parcel = self.delivery.next_parcel(read)
            self.delivery.deliver(parcel)

    def end(self):
        self.sink.close()
        self.state.close()


def test_a_journal_that_was_away_for_a_while_is_not_doubled(settings, client):
    journal = Journal(settings.journal_dir, "w", segment_bytes=1)
    for number in range(1, 5):
        journal.close_call(call(number))
    journal.close()
    recorder = Recorder(settings)
    recorder.deliver(1)
    recorder.end()
    away = settings.journal_dir.rename(settings.journal_dir.with_name("away"))
    recorder = Recorder(settings)
    assert recorder.follower.look().read == {}
    recorder.end()
    away.rename(settings.journal_dir)
    # A parcel of fewer segments has another token.
    min((settings.journal_dir / "w").glob("*.jsonl")).unlink()
    recorder = Recorder(settings)
    recorder.deliver(1)
    assert recorder.delivery.counts()["known"] == 3
    assert counted(client, "calls") == counted(client, "attempts") == (4, 4)
    recorder.end()


@pytest.mark.parametrize("gone", ["removed", "damaged"])
def test_a_recorder_without_its_memory_doubles_nothing(settings, client, gone):
    journal = Journal(settings.journal_dir, "w", segment_bytes=1)

    def write(first, last):
        for number in range(first, last):
            journal.close_call(call(number, started_at_ns=STARTED_NS + number))
        journal._keeper.submit(lambda: None).result()

    recorder = Recorder(settings)
    for number in range(1, 5):
        write(number, number + 1)
        recorder.deliver(1)
    assert counted(client, "calls") == (4, 4)
    recorder.end()
    # Another sink has none of them, so they lie there still.
    if gone == "removed":
        for file in settings.run_dir.glob("recorder.sqlite*"):
            file.unlink()
    else:
        (settings.run_dir / "recorder.sqlite").write_bytes(b"no database" * 100)
    write(5, 7)

    recorder = Recorder(settings)
    recorder.deliver(1)
    assert recorder.delivery.counts() == {"known": 4, "calls": 2, "attempts": 2}
    recorder.end()
    write(7, 9)
    recorder = Recorder(settings)
    recorder.deliver(1)
    assert counted(client, "calls") == counted(client, "attempts") == (8, 8)
    assert not recorder.sink._is_doubtful(
        Batch(instance="w", number=7, token="t", calls=[PricedCall(call(7), (), "w", 7)])
    )
    recorder.end()
    journal.close()
