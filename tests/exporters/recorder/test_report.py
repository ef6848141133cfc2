import msgspec
import pytest

from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import add_segment
from exporters.journal.writer import Journal
from exporters.recorder.report import journal_report
from exporters.recorder.state import State
from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.records import call, opened


@pytest.fixture
def settings(tmp_path):
    return Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="u", password="p"),
        data_dir=tmp_path,
        workers=1,
        providers=(),
    )


def test_a_data_folder_without_a_journal_is_empty(settings):
    report = journal_report(settings)
    assert (report.segments, report.bytes, report.instances, report.sinks, report.full) == (0, 0, [], {}, "")
    assert not settings.journal_dir.exists()


def test_what_waits_is_told_by_process_and_by_sink(settings):
    journal_dir = settings.journal_dir
    living = Journal(journal_dir, "w1")
    living.open_call(opened(1))
    (journal_dir / "w0").mkdir()
    for number in (3, 4, 5):
        add_segment(journal_dir, "w0", number, [call(number)])
    kept = journal_dir / ".shipped" / "20261124T10" / "w0"
    kept.mkdir(parents=True)
    (kept / f"00000001-1-{'0' * 64}.jsonl").write_bytes(b"{}\n")
    Quarantine(journal_dir).put("w0", 1, "torn", [b"{"])
    settings.run_dir.mkdir()
    state = State(settings.run_dir / "recorder.sqlite")
    state.commit_read("w0", 4, opened={"a": b"{}"}, closed=[], losses={"odd": 2})
    state.commit_delivered("clickhouse", {"w0": 2}, {})
    state.commit_delivered("otlp", {"w0": 4}, {})
    state.commit_parcel("clickhouse", [("w0", 3), ("w0", 4)])
    state.commit_parcel("webhook-ops", [("w0", 3)])

    report = journal_report(settings)
    dead, alive = report.instances
    assert (dead.instance, dead.alive, dead.sealed, dead.open, dead.read) == ("w0", False, 3, 0, 4)
    assert dead.cursors == {"clickhouse": 2, "otlp": 4}
    assert (alive.instance, alive.alive, alive.sealed, alive.open) == ("w1", True, 0, 1)
    assert (report.segments, report.bytes) == (4, dead.bytes + alive.bytes)
    assert alive.bytes == (journal_dir / "w1" / "00000001.open").stat().st_size
    assert {name: (sink.waiting_segments, sink.under_way) for name, sink in report.sinks.items()} == {
        "clickhouse": (3, 2),
        "otlp": (1, 0),
        "webhook-ops": (3, 1),
    }
    assert (report.kept_segments, report.kept_bytes, report.open_calls) == (1, 3, 1)
    assert (report.quarantine, report.losses) == ({"torn": 1}, {"odd": 2})
    assert report.oldest_s >= 0
    living.close()
    state.close()


@pytest.mark.parametrize(
    ("more", "full"), [({"journal_max_bytes": 1}, "max_bytes"), ({"journal_min_free_bytes": 2**60}, "min_free_bytes")]
)
def test_a_bound_that_is_reached_is_named(settings, more, full):
    journal = Journal(settings.journal_dir, "w")
    journal.close_call(call(1))
    assert journal_report(settings).full == ""
    assert journal_report(msgspec.structs.replace(settings, journal_max_bytes=0)).full == "", "0 is no limit"
    assert journal_report(msgspec.structs.replace(settings, **more)).full == full
    journal.close()
