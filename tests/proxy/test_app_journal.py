import msgspec
import pytest

from exporters.journal.quarantine import Quarantine
from exporters.journal.reader import add_segment, instances
from proxy.app_journal import (
    JournalError,
    drop_entry,
    journal_state,
    quarantine_entries,
    quarantine_entry,
    quarantine_lines,
    resubmit_entries,
    ship_folder,
    try_shipping,
)
from proxy.settings import Listen, Settings, StoreSettings
from tests.fakes.records import call


@pytest.fixture
def settings(tmp_path):
    """Of a Taximeter whose ClickHouse cannot be reached."""
    return Settings(
        listen=Listen("127.0.0.1", 0),
        admin=Listen("127.0.0.1", 0),
        store=StoreSettings(url="http://127.0.0.1:1", user="u", password="p", embedded=False),
        data_dir=tmp_path / "own",
        workers=1,
        providers=(),
    )


@pytest.fixture
def entry(settings):
    Quarantine(settings.journal_dir).put("w", 1, "newer", [msgspec.json.encode(call(1))])
    return quarantine_entries(settings)[0]


def test_entries_are_listed_and_looked_up(settings, entry):
    assert quarantine_entry(settings, "w.") == entry
    assert [line.kind for line in quarantine_lines(entry, 5)] == ["call"]
    with pytest.raises(JournalError, match="no entry x"):
        quarantine_entry(settings, "x")
    entry.path.unlink()
    with pytest.raises(JournalError):
        quarantine_lines(entry, 5)


def test_a_data_folder_that_is_not_there_has_no_entries_and_gets_no_folder(settings):
    assert quarantine_entries(settings) == []
    assert journal_state(settings).segments == 0
    assert not settings.data_dir.exists()


def test_without_the_store_nothing_is_put_back_and_nothing_lost(settings, entry):
    with pytest.raises(JournalError, match="run it again later"):
        list(resubmit_entries(settings, [entry]))
    assert quarantine_entries(settings) == [entry]


def test_what_is_dropped_leaves_a_count_in_the_journal(settings, entry):
    drop_entry(settings, entry)
    assert quarantine_entries(settings) == []
    assert len(instances(settings.journal_dir)) == 1


def test_a_folder_without_a_journal_is_refused(settings, tmp_path):
    with pytest.raises(JournalError, match="holds no journal"):
        ship_folder(settings, tmp_path, kept_too=False, progress=print)
    with pytest.raises(JournalError, match="holds no journal"):
        try_shipping(settings, tmp_path, kept_too=False)


def test_without_the_store_nothing_is_shipped_and_the_next_run_goes_on(settings, tmp_path):
    folder = tmp_path / "dead" / "journal" / "w"
    folder.mkdir(parents=True)
    add_segment(folder.parent, "w", 1, [call(1)])
    for _ in range(2):
        with pytest.raises(JournalError, match="run it again later"):
            ship_folder(settings, tmp_path / "dead", kept_too=False, progress=print)
    assert len([one for one in (settings.run_dir / "ship").iterdir() if one.is_dir()]) == 1
    with pytest.raises(JournalError, match="run it again later"):
        try_shipping(settings, tmp_path / "dead", kept_too=True)
    assert len([one for one in (settings.run_dir / "ship").iterdir() if one.is_dir()]) == 1
