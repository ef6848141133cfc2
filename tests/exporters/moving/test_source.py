import os

import msgspec
import pytest

from exporters.moving.errors import CopyError
from exporters.moving.source import running_source
from exporters.store.folder import Folder, FolderLock
from exporters.store.remote import asker
from proxy.config.credentials import with_new_credentials
from proxy.runlock import supervisor_lock
from proxy.runstate import RunState, write_state
from proxy.settings import StoreSettings
from tests.fakes.embedded_store import EmbeddedStore, embedded_store

ELSEWHERE = StoreSettings(url="http://127.0.0.1:1", user="u", password="p", embedded=False)


def test_a_folder_without_a_store_is_told(tmp_path):
    settings = EmbeddedStore(tmp_path).settings
    with pytest.raises(CopyError, match="nothing to copy"), running_source(settings):
        raise AssertionError("there is none")


@pytest.mark.real
def test_the_one_that_runs_is_taken_as_it_is(tmp_path):
    with embedded_store(tmp_path) as store, running_source(store.settings) as source:
        assert source == store.settings.store


@pytest.mark.real
def test_the_one_that_still_runs_is_found_when_the_configuration_says_otherwise_by_now(tmp_path):
    store = EmbeddedStore(tmp_path)
    fresh = msgspec.structs.replace(store.settings.store, password="", reader_password="")
    store.settings = with_new_credentials(msgspec.structs.replace(store.settings, store=fresh))
    store.start()
    changed = msgspec.structs.replace(store.settings, store=ELSEWHERE)
    state = RunState(
        pid=0,
        version="1",
        started_at_s=0,
        config_file=None,
        listen=changed.listen,
        admin=changed.admin,
        store_url=store.settings.store.url,
    )
    try:
        with pytest.raises(CopyError, match="cannot be told where it answers"), running_source(changed):
            raise AssertionError("nobody knows")
        with supervisor_lock(changed.run_dir):
            pid = int((changed.run_dir / "supervisor.lock").read_text())
            processes = [{"role": "store", "state": "ready"}]
            write_state(changed, msgspec.structs.replace(state, pid=pid, processes=processes))
            with running_source(changed) as source:
                assert asker(source)("SELECT 1") == [[1]]
    finally:
        store.stop()


@pytest.mark.real
def test_one_that_is_just_being_started_again_is_not_opened_in_its_place(tmp_path):
    settings = with_new_credentials(EmbeddedStore(tmp_path).settings)
    Folder(settings.store_dir).engine_dir.mkdir(parents=True)
    with supervisor_lock(settings.run_dir):
        state = RunState(
            pid=os.getpid(),
            version="1",
            started_at_s=0,
            config_file=None,
            listen=settings.listen,
            admin=settings.admin,
            store_url="http://127.0.0.1:2",
            processes=[{"role": "store", "state": "waiting"}],
        )
        write_state(settings, state)
        with running_source(settings) as source:
            assert source.url == "http://127.0.0.1:2"
            FolderLock(Folder(settings.store_dir)).release()


@pytest.mark.real
def test_one_that_does_not_run_is_opened_for_as_long_as_it_is_needed(tmp_path):
    with embedded_store(tmp_path) as store:
        settings = msgspec.structs.replace(store.settings, store=ELSEWHERE)
    with running_source(settings) as source:
        assert asker(source)("SELECT 1") == [[1]]
        assert source.database == "taximeter"
    FolderLock(Folder(settings.store_dir)).release()


@pytest.mark.real
def test_one_that_cannot_be_opened_is_told(tmp_path):
    settings = EmbeddedStore(tmp_path).settings
    engine_dir = Folder(settings.store_dir).engine_dir
    (engine_dir / "metadata").mkdir(parents=True)
    (engine_dir / "metadata" / "broken.sql").write_text("no SQL at all")
    with pytest.raises(CopyError, match="does not start"), running_source(settings):
        raise AssertionError("it cannot")
