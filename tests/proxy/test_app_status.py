"""The status says what the recorder knows, or else what lies on the disk."""

from pathlib import Path

import msgspec
import pytest

from exporters.recorder.status import RecorderStatus
from proxy.app_status import checked, journal_as_told, status_of
from proxy.app_store import migrate_store
from proxy.config.load import load_settings
from proxy.ports import with_free_ports
from proxy.providers import PROVIDERS
from tests.fakes.embedded_store import embedded_store


def test_the_status_of_a_folder_on_which_nothing_runs_comes_from_the_disk(tmp_path):
    text = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstore: {listen: '127.0.0.1:0'}\n"
    (tmp_path / "t.yaml").write_text(text)
    settings = with_free_ports(load_settings(Path("t.yaml"), env={}, cwd=tmp_path, kinds=PROVIDERS))
    (settings.journal_dir / ".quarantine").mkdir(parents=True)

    status = status_of(settings)

    assert status.told_by == "disk"
    assert status.supervisor_pid is None
    assert (status.journal.segments, status.journal.losses, status.journal.quarantined) == (0, {}, {})
    assert status.store.schema_wanted >= 1


def test_losses_of_long_ago_are_told_and_are_not_fresh():
    known = RecorderStatus(losses={"old": 1}, losses_at_ns={"old": 1})

    told = journal_as_told(known)

    assert told.losses == {"old": 1}
    assert told.fresh_losses == ()


def test_a_self_check_that_never_ran_has_no_result():
    assert checked(RecorderStatus()).ran_at_s is None


@pytest.mark.real
def test_how_long_rows_are_kept_is_asked_of_the_store(tmp_path):
    with embedded_store(tmp_path) as store:
        kept = msgspec.structs.replace(store.settings.store, embedded=False, retention={"calls": 400})
        settings = msgspec.structs.replace(store.settings, store=kept, data_dir=tmp_path)
        assert status_of(settings).store.kept is None, "there are no tables yet"
        migrate_store(settings)
        told = status_of(settings).store
        assert (told.kept["calls"], told.kept["contents"], told.kept_to_be) == ("400 days", "14 days", ())
        other = msgspec.structs.replace(kept, retention={"calls": None})
        told = status_of(msgspec.structs.replace(settings, store=other)).store
        assert told.kept_to_be == ("calls: kept for ever instead of 400 days",)
