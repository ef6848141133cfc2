from decimal import Decimal

import msgspec
import pytest

from exporters.clickhouse.missing import MissingOnlySink, RowError, Trial
from exporters.clickhouse.sink import ClickHouseSink
from exporters.journal.quarantine import Quarantine
from exporters.journal.writer import Journal
from exporters.recorder.deliver import Delivery
from exporters.recorder.ports import Batch, PricedCall, SinkUnavailableError
from exporters.recorder.segments import PricedSegments
from exporters.recorder.ship import find_source, ship
from exporters.recorder.state import State
from proxy.core.pricing import Priced
from tests.fakes.embedded_store import embedded_store
from tests.fakes.records import attempt, call, call_id, opened
from tests.fakes.sinks import FixedPrices

pytestmark = pytest.mark.real

CENT = Priced(amount=Decimal("0.01"), currency="USD", cost_source="book", price_id="p")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def settings_of(store, tmp_path, request):
    own = msgspec.structs.replace(store.settings.store, database=f"test_{abs(hash(request.node.name))}")
    return msgspec.structs.replace(store.settings, store=own, data_dir=tmp_path)


@pytest.fixture
def plain(settings_of):
    sink = ClickHouseSink(settings_of)
    yield sink
    sink.close()


@pytest.fixture
def sink(settings_of):
    sink = MissingOnlySink(settings_of)
    yield sink
    sink.close()


@pytest.fixture
def trial(settings_of):
    trial = Trial(settings_of)
    yield trial
    trial.close()


@pytest.fixture
def numbers(store, settings_of):
    """Numbers of the calls of a table that are there, with repetitions."""

    def numbers(table="calls"):
        client = store.client(settings_of.store.database)
        rows = client.query(f"SELECT call_id FROM {table} ORDER BY call_id").result_rows
        client.close()
        return [int(row[0], 16) for row in rows]

    return numbers


def batch(*calls, token="w/1-abc", number=1):
    return Batch(
        instance="w", number=number, token=token, calls=[PricedCall(one, (CENT,) * len(one.attempts)) for one in calls]
    )


def test_calls_that_came_under_another_token_are_left_out(plain, sink, numbers):
    plain.deliver(batch(call(1), call(2, attempt(1), attempt(2)), token="a"))
    counts = sink.deliver(batch(call(1), call(2, attempt(1), attempt(2)), call(3), token="b"))
    assert counts == {"known": 2, "calls": 1, "attempts": 1}
    assert numbers() == [1, 2, 3]
    assert numbers("attempts") == [1, 2, 2, 3]


def test_a_call_whose_attempts_alone_are_there_is_completed(plain, sink, numbers, store, settings_of):
    plain.deliver(batch(call(1), token="a"))
    client = store.client(settings_of.store.database)
    client.command("TRUNCATE TABLE calls")
    client.close()
    assert sink.deliver(batch(call(1), token="b")) == {"calls": 1}
    assert (numbers(), numbers("attempts")) == ([1], [1])


def test_what_is_left_of_a_batch_does_not_go_under_a_token_that_stood_for_more(
    plain, sink, numbers, store, settings_of
):
    plain.deliver(batch(call(1), call(2), token="a"))
    client = store.client(settings_of.store.database)
    for table in ("calls", "attempts"):
        client.command(f"ALTER TABLE {table} DELETE WHERE call_id = '{call_id(2)}' SETTINGS mutations_sync = 1")
    client.close()
    assert sink.deliver(batch(call(1), call(2), token="a"))["calls"] == 1
    assert (numbers(), numbers("attempts")) == ([1, 2], [1, 2])


def test_refused_rows_among_those_that_are_left_are_found_and_the_others_taken(
    plain, sink, numbers, store, settings_of
):
    plain.deliver(batch(call(1), token="a"))
    client = store.client(settings_of.store.database)
    client.command("ALTER TABLE calls ADD CONSTRAINT fussy CHECK team != 'bad'")
    client.close()
    bad = call(3)
    bad = msgspec.structs.replace(bad, caller=msgspec.structs.replace(bad.caller, team="bad"))
    counts = sink.deliver(batch(call(1), call(2), bad, call(4), token="b"))
    assert (counts["known"], counts["calls"], counts["refused"]) == (1, 2, 1)
    assert numbers() == [1, 2, 4]
    (entry,) = Quarantine(settings_of.journal_dir).entries()
    assert (entry.reason, entry.lines) == ("refused-calls", 1)

    client = store.client(settings_of.store.database)
    with pytest.raises(RowError, match="fussy"):
        sink.insert_missing("calls", entry.read(), "t")
    client.command("ALTER TABLE calls DROP CONSTRAINT fussy")
    client.close()
    assert sink.insert_missing("calls", entry.read(), "t") == (1, 0)
    assert sink.insert_missing("calls", entry.read(), "u") == (0, 1)
    assert numbers() == [1, 2, 3, 4]


def test_what_is_no_row_is_not_inserted(sink):
    with pytest.raises(RowError, match="no table"):
        sink.insert_missing("schema_migrations", [b"{}"], "t")
    with pytest.raises(RowError, match="no row"):
        sink.insert_missing("calls", [b'{"call_id":"a"}'], "t")


def test_the_store_is_asked_for_calls_of_any_time_and_name(plain, sink):
    plain.deliver(batch(call(1), call(2)))
    odd = "it's \\ odd"
    assert sink.known_calls([call_id(1), call_id(9), odd]) == {call_id(1)}
    assert sink.known_calls([]) == set()
    assert sink.known_calls([call_id(number) for number in range(5000)]) == {call_id(1), call_id(2)}


def test_a_trial_counts_and_inserts_nothing(plain, trial, numbers):
    assert trial.deliver(batch(call(1))) == {"known": 0, "calls": 1}, "there is no table yet"
    plain.deliver(batch(call(1)))
    assert trial.deliver(batch(call(1), call(2), token="b")) == {"known": 1, "calls": 1}
    assert numbers() == [1]


def test_a_store_that_does_not_answer_is_unavailable(settings_of):
    gone = msgspec.structs.replace(
        settings_of, store=msgspec.structs.replace(settings_of.store, url="http://127.0.0.1:1")
    )
    with pytest.raises(SinkUnavailableError):
        Trial(gone).deliver(batch(call(1)))
    with pytest.raises(SinkUnavailableError):
        MissingOnlySink(gone).known_calls([call_id(1)])


@pytest.mark.parametrize("memory", ["there", "gone"])
@pytest.mark.parametrize("dies", ["before the calls", "before the cursor"])
def test_a_machine_that_died_in_a_delivery_is_shipped_without_doubles(
    plain, sink, settings_of, numbers, tmp_path, monkeypatch, memory, dies
):
    dead = tmp_path / "dead"
    journal = Journal(dead / "journal", "w1", segment_bytes=1)
    for number in range(1, 7):
        journal.open_call(opened(number))
        journal.close_call(call(number))
    journal.open_call(opened(7))
    journal._keeper.submit(lambda: None).result()
    journal._lock.release()
    (dead / "run").mkdir()
    state = State(dead / "run" / "recorder.sqlite")
    delivery = Delivery(plain, PricedSegments(FixedPrices()), state, dead / "journal")

    def killed(*_, **__):
        raise OSError("killed")

    with monkeypatch.context() as patched:
        if dies == "before the cursor":
            patched.setattr(state, "commit_delivered", killed)
        else:
            send = ClickHouseSink._send
            patched.setattr(
                ClickHouseSink,
                "_send",
                lambda self, table, *more: killed() if table == "calls" else send(self, table, *more),
            )
        parcel = delivery.next_parcel({"w1": 6})
        with pytest.raises(OSError, match="killed"):
            delivery.deliver(parcel)
    state.close()
    if memory == "gone":
        (dead / "run" / "recorder.sqlite").unlink()
    shipped = ship(
        find_source(dead, settings_of.journal_dir),
        tmp_path / "staging",
        sink=sink,
        pricer=FixedPrices(),
        quarantine=Quarantine(settings_of.journal_dir),
    )
    assert shipped.interrupted == 1
    assert numbers() == [1, 2, 3, 4, 5, 6, 7]
    assert numbers("attempts") == [1, 2, 3, 4, 5, 6, 7]
